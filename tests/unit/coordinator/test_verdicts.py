"""What is said of a task that waits, and of each node for it."""

from coordinator.snapshot import Stand, Wanted
from coordinator.verdicts import explain
from tests.examples import a_node, a_waiting
from tests.unit.coordinator.test_plan import SSD, X, loaded, places, planner


def test_each_node_is_told_of_with_its_rank_or_with_what_excludes_it() -> None:
    one = loaded(planner(a_node("a"), a_node("b"), a_node("c", excluded="is cordoned")), a=2)
    found = explain(one, a_waiting(1, wanted=Wanted("http")), 0.0)
    assert [(verdict.node, verdict.rank, verdict.excluded) for verdict in found.nodes] == [
        ("b", 1, ""),
        ("a", 2, ""),
        ("c", None, "is cordoned"),
    ]
    assert found.strategy == "least-loaded"
    assert found.nodes[1].note == "2 of 4 slots in use"


def test_the_first_in_rank_is_the_one_that_gets_it() -> None:
    one = loaded(planner(a_node("a"), a_node("b", tags=SSD), a_node("c")), a=1, c=1)
    task = a_waiting(1, wanted=Wanted("http", prefer_tags=SSD), avoid=("a",))
    best = explain(one, task, 0.0).nodes[0].node
    assert places(one, task) == {1: best}


def test_a_task_that_no_node_can_take_says_why_in_a_sentence() -> None:
    task = a_waiting(1, wanted=Wanted("http", tags=SSD))
    assert explain(planner(), task, 0.0).waits_for == ("no node is online",)
    assert explain(planner(a_node()), task, 0.0).waits_for == ("the only node lacks the tag ssd",)
    two = planner(a_node("a"), a_node("b", excluded="is cordoned"))
    assert explain(two, task, 0.0).waits_for == ("none of the 2 nodes can have it now",)


def test_full_nodes_are_said_to_be_full() -> None:
    one = loaded(planner(a_node("a"), a_node("b")), a=4, b=4)
    said = ("each of the 2 nodes takes nothing more: all 4 slots are taken",)
    assert explain(one, a_waiting(1), 0.0).waits_for == said


def test_an_origin_and_an_owner_at_their_limits_are_named() -> None:
    one = planner(a_node(slots=9), origins={"x.org": {"running": 1}}, owners={"ann": {"running": 1}})
    one.occupy("other", Stand("node-a", "ann", (X,), 0))
    assert explain(one, a_waiting(1, owner="ann", origins=(X,)), 0.0).waits_for == (
        "ann has 1 of the 1 tasks at nodes that the policy allows",
        "x.org:443 has 1 of the 1 tasks at nodes that the policy allows",
    )


def test_an_origin_that_cools_down_is_named_with_the_time_it_takes() -> None:
    one = planner(a_node())
    one.cool(X, 30.0)
    said = "x.org:443 asked to be left alone: for 20 s more nothing is begun from there"
    assert explain(one, a_waiting(1, origins=(X,)), 10.0).waits_for == (said,)


def test_an_origin_of_which_something_has_to_stop_is_not_said_to_have_asked_for_it() -> None:
    one = planner(a_node())

    def said(now: float) -> str:
        return explain(one, a_waiting(1, origins=(X,)), now).waits_for[0]

    one.origins.let_stop(X, 20.0)
    why = "x.org:443 may still be asked by the node of a task that ended elsewhere, and has a limit"
    assert said(10.0) == f"{why}: for 10 s more nothing is begun from there"
    one.cool(X, 30.0)
    assert said(10.0).startswith("x.org:443 asked to be left alone")
    one.plan(1, 31.0)
    one.origins.let_stop(X, 40.0)
    assert said(31.0).startswith(why)


def test_what_waits_for_its_turn_says_how_many_go_before() -> None:
    one = planner(a_node())
    for number in (1, 2, 3):
        one.add(a_waiting(number))
    found = explain(one, a_waiting(3), 0.0)
    assert found.ahead == 2
    assert found.waits_for == ("its turn: 2 of its owner go before it",)


def test_what_comes_before_placing_is_told_first() -> None:
    found = explain(planner(), a_waiting(1), 0.0, before=("it is paused",))
    assert found.waits_for == ("it is paused", "no node is online")
