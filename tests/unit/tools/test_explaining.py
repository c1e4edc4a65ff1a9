"""What `explain` tells people."""

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from schemas import codec
from schemas.control import ExplainReply, NodeVerdict, Placed
from schemas.lifecycle import Desired, State
from tests.examples import NOON, TASK
from tools.explaining import ordered, sentences

WAITING = ExplainReply(
    task=TASK,
    owner="ann",
    state=State.QUEUED,
    priority=5,
    submitted=NOON - timedelta(minutes=12),
    strategy="least-loaded",
    waits_for=("all 8 slots of the 2 nodes that can are taken",),
    ahead=1234,
)
PLACED = Placed(time=NOON - timedelta(seconds=30), attempt=1, node="attic", why="the only node that can")

CHOSEN = "chosen as the only node that can"


def told(reply: ExplainReply, **fields: Any) -> list[str]:
    return sentences(replace(reply, **fields), NOON)


def test_a_waiting_task_says_what_it_waits_for_and_where_it_stands() -> None:
    assert told(WAITING) == [
        "waits: all 8 slots of the 2 nodes that can are taken",
        "priority +5, 1,234 of ann's go before it, submitted 12m ago",
    ]
    assert told(WAITING, ahead=0, priority=0)[-1] == "ann's first, submitted 12m ago"
    assert told(WAITING, ahead=1, priority=0)[-1] == "1 of ann's goes before it, submitted 12m ago"
    assert told(WAITING, desired=Desired.PAUSE, priority=0)[-1] == "submitted 12m ago"
    assert told(WAITING, waits_for=("it waits for a slot on a",))[0] == "waits for a slot on a"
    assert told(WAITING, asks_for=("tag ssd", "not metered"))[-1] == "asks for: tag ssd, not metered"
    assert told(WAITING, ahead=None, priority=0, submitted=None) == told(WAITING)[:1]
    assert told(WAITING, waits_for=(), reason="node attic was lost")[:2] == [
        "waits for nothing: it is placed with the next look",
        "came back to the queue: node attic was lost",
    ]


@pytest.mark.parametrize(
    ("state", "fields", "expected"),
    [
        (State.ACTIVE, {}, ["runs on attic since {when} (30s)", CHOSEN]),
        (State.ASSIGNED, {}, ["is on attic since {when} (30s)", CHOSEN]),
        (State.ASSIGNED, {"placed": (), "why": ""}, ["is on attic"]),
        (State.ENDING, {"reason": "cancelled as asked"}, ["ending: cancelled as asked"]),
        (State.COMPLETED, {}, ["completed on attic", CHOSEN]),
        (State.FAILED, {"reason": "gone"}, ["failed on attic: gone", CHOSEN]),
        (State.CANCELLED, {"node": "", "placed": ()}, ["cancelled, never placed"]),
    ],
)
def test_a_task_that_was_placed_says_where_and_why(state: State, fields: dict[str, Any], expected: list[str]) -> None:
    placed = replace(WAITING, state=state, node="attic", why=PLACED.why, placed=(PLACED,), waits_for=())
    when = PLACED.time.astimezone().strftime("%H:%M:%S.%f")[:-3]
    assert told(placed, **fields) == [line.format(when=when) for line in expected]


def test_nodes_are_told_best_first_then_those_that_can_not() -> None:
    nodes = [
        NodeVerdict(node="a", online=False, excluded="is offline"),
        NodeVerdict(node="b", online=True, excluded="lacks the tag ssd"),
        NodeVerdict(node="c", online=True, rank=2, score=(0.5,)),
        NodeVerdict(node="d", online=True, rank=1, score=(0.25,)),
    ]
    assert [one.node for one in ordered(nodes)] == ["d", "c", "b", "a"]


def test_a_score_that_is_no_finite_number_travels_as_null() -> None:
    verdict = NodeVerdict(node="a", online=True, rank=1, score=(float("-inf"), 0.5, "a"))
    reply = codec.decode(codec.encode(replace(WAITING, nodes=(verdict,))), ExplainReply)
    assert reply.nodes[0].score == (None, 0.5, "a")
