"""How nodes stood in the last minutes."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.readmodel.nodehistory import NodeHistory, NodeSample
from tests.examples import a_heartbeat

BEGIN = datetime(2026, 11, 1, tzinfo=UTC)
KEPT = 4


def at(number: int) -> datetime:
    return BEGIN + timedelta(seconds=10 * number)


@pytest.fixture
def history() -> NodeHistory:
    return NodeHistory(KEPT)


def sampled(history: NodeHistory, number: int, *nodes: str) -> None:
    history.sample(at(number), [a_heartbeat(node, bytes_per_s=number) for node in nodes])


def told(history: NodeHistory, node: str) -> list[tuple[int, int]]:
    """Which moments there are, and what was said at each."""
    return [((each.time - BEGIN).seconds // 10, each.bytes_per_s) for each in history.of(node)]


def test_a_sample_tells_what_the_node_said(history: NodeHistory) -> None:
    said: dict[str, Any] = {
        "running": 3,
        "cpu_percent": 12.5,
        "memory_bytes": 1 << 40,
        "disk_free_bytes": 1 << 50,
    }
    history.sample(at(0), [a_heartbeat("a", bytes_per_s=7, **said)])
    assert history.of("a") == (NodeSample(at(0), 7, 3, 12.5, 1 << 40, 1 << 50),)


def test_of_many_the_latest_are_kept(history: NodeHistory) -> None:
    for number in range(10):
        sampled(history, number, "a")
    assert told(history, "a") == [(6, 6), (7, 7), (8, 8), (9, 9)]


def test_a_node_that_came_later_has_its_own_moments(history: NodeHistory) -> None:
    sampled(history, 0, "a")
    sampled(history, 1, "a", "b")
    assert (told(history, "a"), told(history, "b")) == ([(0, 0), (1, 1)], [(1, 1)])


def test_of_a_node_that_was_silent_for_a_while_the_moments_between_are_missing(history: NodeHistory) -> None:
    for number in range(4):
        sampled(history, number, *(["a"] if number != 2 else []))
    assert told(history, "a") == [(0, 0), (1, 1), (3, 3)]


def test_a_node_that_was_silent_throughout_is_forgotten(history: NodeHistory) -> None:
    sampled(history, 0, "a", "b")
    for number in range(1, KEPT):
        sampled(history, number, "b")
    assert told(history, "a") == [(0, 0)]
    sampled(history, KEPT, "b")
    assert (history.of("a"), len(told(history, "b"))) == ((), KEPT)
    assert repr(history) == "<NodeHistory of 1 nodes at 4 moments>"
    sampled(history, KEPT + 1, "a")
    assert told(history, "a") == [(5, 5)]


def test_of_a_node_that_nobody_heard_there_is_nothing(history: NodeHistory) -> None:
    assert history.of("nobody") == ()
