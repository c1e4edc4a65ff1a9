"""A node that keeps failing what others finish is set aside; an origin that fails everywhere sets nobody aside."""

from collections.abc import Iterable
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.aside import (
    ASIDE_SHARE,
    ATTEMPTS_MIN,
    FORGIVEN_AFTER_S,
    LAST_MAX,
    LINE_CODES,
    LONGEST_S,
    SHORTEST_S,
    WINDOW_S,
    Conduct,
    Decision,
    may_be_its_own,
)
from schemas.task import FailureClass

NODES = ["node-a", "node-b", "node-c", "node-d"]
ORIGINS = ["one.example:443", "two.example:443"]
FAILURES = [
    (FailureClass.NODE, "disk"),
    (FailureClass.TRANSIENT, "aria2-6"),
    (FailureClass.TRANSIENT, "http-503"),
    (FailureClass.DAMAGED, "checksum-mismatch"),
    (FailureClass.PERMANENT, "http-404"),
]


class Attempt(NamedTuple):
    node: str
    task: str
    origin: str
    failure: tuple[FailureClass, str] | None = None
    after_s: float = 1.0
    """Since the one before."""


tasks = st.integers(0, 30).map(str)
failing = st.builds(Attempt, st.sampled_from(NODES), tasks, st.just("bad.example:80"), st.sampled_from(FAILURES))
completing = st.builds(Attempt, st.sampled_from(NODES), tasks, st.sampled_from(ORIGINS))
anything = st.builds(
    Attempt,
    st.sampled_from(NODES),
    tasks,
    st.sampled_from(ORIGINS),
    st.none() | st.sampled_from(FAILURES),
    st.floats(0, 400),
)
LINE = (FailureClass.TRANSIENT, "aria2-6")


def tell(conduct: Conduct, attempts: Iterable[Attempt], online: int = len(NODES), at: float = 1000.0) -> list[Decision]:
    """Every decision that comes of these attempts."""
    made = []
    for one in attempts:
        at += one.after_s
        if one.failure is None:
            conduct.completed(one.node, one.task, one.origin, at)
            continue
        failure, code = one.failure
        about = {"failure": failure, "code": code, "reason": "network trouble", "online": lambda: online}
        if decision := conduct.failed(one.node, one.task, one.origin, at, **about):  # type: ignore[arg-type]
            assert decision.until > at
            made.append(decision)
    return made


def others_finish(count: int = 3, origin: str = ORIGINS[0]) -> list[Attempt]:
    return [Attempt(node, f"{node}-{number}", origin) for node in NODES[1:] for number in range(count)]


def fails(count: int, node: str = "node-a", origin: str = ORIGINS[0]) -> list[Attempt]:
    return [Attempt(node, f"{node}-fails-{number}", origin, LINE) for number in range(count)]


def test_a_node_that_fails_what_others_finish_is_set_aside_and_the_sentence_says_why() -> None:
    (decision,) = tell(Conduct(), [*others_finish(), *fails(ATTEMPTS_MIN)])
    assert decision.node == "node-a"
    assert decision.why == "5 of its last 5 attempts failed where other nodes do well, the last with: network trouble"


@given(st.lists(failing | completing, max_size=80))
def test_an_origin_that_fails_everywhere_sets_nobody_aside(attempts: list[Attempt]) -> None:
    assert tell(Conduct(), attempts) == []


@given(st.lists(anything, max_size=80))
def test_a_cluster_of_one_node_never_sets_it_aside(attempts: list[Attempt]) -> None:
    assert tell(Conduct(), [*others_finish(), *attempts, *fails(10)], online=1) == []


@given(st.lists(anything, max_size=40), st.permutations(NODES), st.integers(1, 4))
def test_never_more_than_half_of_the_nodes_are_aside_at_once(
    attempts: list[Attempt], failing_one_after_the_other: list[str], online: int
) -> None:
    conduct, at, aside = Conduct(), 1000.0, dict[str, float]()
    all_finish = [Attempt(node, f"{node}-{number}", ORIGINS[0]) for node in NODES for number in range(20)]
    they_fail = [one for node in failing_one_after_the_other for one in fails(15, node)]
    for one in (*attempts, *all_finish, *they_fail):
        at += one.after_s
        for decision in tell(conduct, [one._replace(after_s=0)], online, at):
            aside[decision.node] = decision.until
        assert sum(at < until for until in aside.values()) <= max(0, ASIDE_SHARE * online)


@given(st.lists(anything, max_size=ATTEMPTS_MIN - 1))
def test_nothing_is_concluded_from_few_attempts(attempts: list[Attempt]) -> None:
    assert tell(Conduct(), [*others_finish(), *attempts]) == []


@given(st.lists(st.sampled_from([FAILURES[2], FAILURES[3], FAILURES[4]]), min_size=5, max_size=40))
def test_what_an_origin_answers_is_never_held_against_a_node(answers: list[tuple[FailureClass, str]]) -> None:
    attempts = [one._replace(failure=answer) for one, answer in zip(fails(len(answers)), answers, strict=True)]
    assert tell(Conduct(), [*others_finish(), *attempts]) == []


def test_a_task_that_fails_on_several_nodes_is_held_against_none() -> None:
    poison = [Attempt(node, str(number), ORIGINS[0], LINE) for number in range(20) for node in NODES[:2]]
    assert tell(Conduct(), [*others_finish(30), *poison]) == []


def test_a_node_that_fails_now_and_then_stays() -> None:
    mixed = [one for pair in zip(fails(40), others_finish(40)[:40], strict=True) for one in pair]
    mixed = [one if one.failure else one._replace(node="node-a") for one in mixed]
    assert tell(Conduct(), [*others_finish(), *mixed]) == []


def test_what_others_finished_long_ago_says_nothing() -> None:
    late = [one._replace(after_s=2 * WINDOW_S if not number else 1) for number, one in enumerate(fails(10))]
    assert tell(Conduct(), [*others_finish(), *late]) == []


def test_a_second_bad_node_does_not_hide_the_first() -> None:
    both = [one for pair in zip(fails(8), fails(8, "node-b"), strict=True) for one in pair]
    made = tell(Conduct(), [*others_finish(8)[8:], *both])
    assert {one.node for one in made} == {"node-a", "node-b"}


def test_each_time_is_twice_as_long_up_to_the_longest() -> None:
    conduct, at, lengths = Conduct(), 1000.0, list[float]()
    (first,) = tell(conduct, [*others_finish(), *fails(5)], at=at)
    lengths.append(first.until - (at + 9 + 5))
    until = first.until
    for number in range(10):
        tell(conduct, others_finish(), at=until - 20)
        (again,) = tell(conduct, [Attempt("node-a", f"probe-{number}", ORIGINS[0], LINE)], at=until)
        lengths.append(again.until - (until + 1))
        until = again.until
    assert lengths == [min(LONGEST_S, SHORTEST_S * 2**times) for times in range(11)]


def test_one_task_that_it_completes_shows_that_it_is_well() -> None:
    conduct = Conduct()
    (decision,) = tell(conduct, [*others_finish(), *fails(5)])
    assert not conduct.completed("node-a", "begun-before", ORIGINS[0], decision.until - 1)
    assert conduct.completed("node-a", "probe", ORIGINS[0], decision.until + 1)
    assert not conduct.completed("node-a", "next", ORIGINS[0], decision.until + 2), "said once"
    assert tell(conduct, [*others_finish(), *fails(3)], at=decision.until + 3) == [], "it begins with a clean sheet"


def test_what_it_was_given_before_it_was_set_aside_is_not_held_against_it_twice() -> None:
    conduct = Conduct()
    (decision,) = tell(conduct, [*others_finish(), *fails(5)])
    assert tell(conduct, fails(10), at=decision.until - 15) == []


@pytest.mark.parametrize(("well_for_s", "times"), [(60.0, 1), (FORGIVEN_AFTER_S + 60, 0)])
def test_it_is_forgiven_after_a_long_time_only(well_for_s: float, times: int) -> None:
    conduct = Conduct()
    (first,) = tell(conduct, [*others_finish(), *fails(5)])
    conduct.pardon("node-a", first.until)
    at = first.until + well_for_s
    (second,) = tell(conduct, [*others_finish(), *fails(5)], at=at)
    assert second.until - (at + 14) == SHORTEST_S * 2**times


@given(st.lists(anything, max_size=200))
def test_what_is_kept_is_bounded(attempts: list[Attempt]) -> None:
    conduct = Conduct()
    tell(conduct, attempts)
    assert all(len(standing.last) <= LAST_MAX for standing in conduct._nodes.values())
    conduct.forget({"node-a"})
    assert {node for node in conduct._nodes if conduct.against(node) is None} <= {"node-a"}


def test_every_trouble_of_the_disk_and_the_line_may_be_the_nodes_own() -> None:
    assert may_be_its_own(FailureClass.NODE, "aria2c-crash")
    assert all(may_be_its_own(FailureClass.TRANSIENT, code) for code in LINE_CODES)
    assert not may_be_its_own(FailureClass.TRANSIENT, "http-429")
