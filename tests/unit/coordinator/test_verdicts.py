"""What is said of a task that waits, and of each node for it."""

import pytest

from coordinator.snapshot import Stand, Wanted
from coordinator.verdicts import explain, span
from tests.examples import GIB, NOON, a_node, a_waiting
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
    two = planner(a_node("a"), a_node("b", excluded="is cordoned: new disks"))
    assert explain(two, task, 0.0).waits_for == ("no node has the tag ssd (1 is cordoned besides)",)
    assert explain(two, task, 0.0, away=1).waits_for == (
        "no node that is online has the tag ssd (1 is cordoned besides)",
    )
    assert explain(planner(a_node(excluded="is cordoned")), task, 0.0).waits_for == (
        "the only node lacks the tag ssd and is cordoned",
    )


def test_every_lasting_reason_of_a_node_is_told() -> None:
    task = a_waiting(1, wanted=Wanted("sftp", tags=SSD, avoid_tags=frozenset({"metered"})))
    one = planner(a_node("a", excluded="is cordoned: new disks", tags=frozenset({"metered"})), a_node("b", tags=SSD))
    found = explain(one, task, 0.0)
    assert [verdict.excluded for verdict in found.nodes] == [
        "is cordoned: new disks; lacks the tag ssd; has the tag metered, which the task avoids; can't do sftp",
        "can't do sftp",
    ]
    assert found.waits_for == ("no node can do sftp (1 is cordoned besides)",)


def test_nodes_that_each_lack_something_else_are_counted() -> None:
    task = a_waiting(1, wanted=Wanted("sftp", tags=SSD))
    sftp = frozenset({"sftp"})
    nodes = (a_node("a", tags=SSD), a_node("b", capabilities=sftp), a_node("c", capabilities=sftp))
    assert explain(planner(*nodes), task, 0.0).waits_for == ("no node fits: 2 lack the tag ssd, 1 can't do sftp",)


def test_what_passes_by_itself_is_said_first_and_the_other_nodes_are_counted() -> None:
    task = a_waiting(1, wanted=Wanted("http", tags=SSD))
    nodes = (a_node("a"), a_node("b", tags=SSD), a_node("c", tags=SSD), a_node("d", tags=SSD, excluded="is cordoned"))
    assert explain(loaded(planner(*nodes), b=4, c=4), task, 0.0).waits_for == (
        "it waits for a slot on b or c (1 node lacks the tag ssd, 1 is cordoned)",
    )
    both = loaded(planner(*nodes, a_node("e", excluded="is cordoned")), b=4, c=4)
    assert explain(both, task, 0.0).waits_for == (
        "it waits for a slot on b or c (2 nodes lack the tag ssd, 1 is cordoned)",
    )
    many = [a_node(f"n{number}") for number in range(5)]
    full = loaded(planner(*many), **{node.node: 4 for node in many})
    assert explain(full, a_waiting(1), 0.0).waits_for == ("it waits for a slot on one of 5 nodes",)


def test_disk_and_bandwidth_that_are_short_are_named_for_their_nodes() -> None:
    nodes = (a_node("a", disk_left=GIB), a_node("b", bandwidth=30 << 20), a_node("c"))
    one = loaded(planner(*nodes), c=4)
    one.occupy("other", Stand("b", "bob", (), 20 << 20))
    task = a_waiting(1, wanted=Wanted("http", bandwidth=20 << 20), size=2 * GIB)
    said = "it waits for a slot on c, or for 20 MiB/s of bandwidth on b, or for 2 GiB of disk on a"
    assert explain(one, task, 0.0).waits_for == (said,)


def test_where_all_that_could_have_it_are_closed_each_says_why() -> None:
    task = a_waiting(1, wanted=Wanted("http", tags=SSD))
    closed = a_node("b", tags=SSD, excluded="is being drained: new disks")
    assert explain(planner(a_node("a"), closed), task, 0.0).waits_for == (
        "b alone could have it, and is being drained: new disks (1 node lacks the tag ssd)",
    )
    broken = a_node("c", tags=SSD, excluded="aria2c does not start")
    (said,) = explain(planner(closed, broken), task, 0.0).waits_for
    assert said.startswith("the 2 nodes that could have it take nothing: b is being drained: new disks, c is in tr")
    assert said.endswith("c is in trouble: aria2c does not start")


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (45, "for another 45 s"),
        (600, "for another 10 min"),
        (7200, "until 2031-05-01 14:00 UTC (2 h)"),
        (26336 * 86400, "until 2103-06-09 12:00 UTC (26,336 d)"),
    ],
)
def test_a_long_wait_is_told_as_the_moment_of_its_end(seconds: float, said: str) -> None:
    assert span(seconds, NOON.timestamp()) == said


def test_an_origin_and_an_owner_at_their_limits_are_named() -> None:
    one = planner(a_node(slots=9), origins={"x.org": {"running": 1}}, owners={"ann": {"running": 1}})
    one.occupy("other", Stand("node-a", "ann", (X,), 0))
    assert explain(one, a_waiting(1, owner="ann", origins=(X,)), 0.0).waits_for == (
        "ann has 1 task at nodes, and the policy allows 1",
        "x.org:443 has 1 task at nodes, and the policy allows 1",
    )


def test_an_origin_that_cools_down_is_named_with_the_time_it_takes() -> None:
    one = planner(a_node())
    one.cool(X, 30.0)
    said = "x.org:443 asked to be left alone: nothing is begun from there for another 20 s"
    assert explain(one, a_waiting(1, origins=(X,)), 10.0).waits_for == (said,)


def test_an_origin_of_which_something_has_to_stop_is_not_said_to_have_asked_for_it() -> None:
    one = planner(a_node())

    def said(now: float) -> str:
        return explain(one, a_waiting(1, origins=(X,)), now).waits_for[0]

    one.origins.let_stop(X, 20.0)
    why = "x.org:443 may still be asked by the node of a task that ended elsewhere, and has a limit"
    assert said(10.0) == f"{why}: nothing is begun from there for another 10 s"
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
    assert found.waits_for == ("its turn: 2 of default's go before it",)


def test_what_comes_before_placing_is_told_first() -> None:
    found = explain(planner(), a_waiting(1), 0.0, before=("it is paused",))
    assert found.waits_for == ("it is paused", "no node is online")
    assert found.ahead is None
