"""Plain examples of what the wire carries, for tests that care about one field of many."""

from datetime import UTC, datetime
from typing import Any

from msgspec.structs import replace

from broker.pull import Delivery
from coordinator.snapshot import NodeFacts, NodeState, Task, Wanted
from node.session import Session
from schemas import subjects as s
from schemas.event import AttemptFailed, Released
from schemas.heartbeat import Heartbeat
from schemas.ids import DEFAULT_OWNER, QUEUED
from schemas.lifecycle import State
from schemas.request import Request
from schemas.task import FailureClass, StoredRow, TaskRow

TASK = "00000000000000aa"
GIB = 1 << 30
NOON = datetime(2031, 5, 1, 12, tzinfo=UTC)


def a_task(number: int) -> str:
    """The id of example task `number`, from 1."""
    return f"{number:016x}"


def a_request(**fields: Any) -> Request:
    return replace(Request(uris=("https://a.example/f.iso",)), **fields)


def a_row(**fields: Any) -> TaskRow:
    """A queued row unless said otherwise."""
    row = TaskRow(task=TASK, owner=DEFAULT_OWNER, source="id:a", request=a_request(), state=State.QUEUED, place=QUEUED)
    return replace(row, **fields)


def an_assigned_row(node: str = "node-a", **fields: Any) -> TaskRow:
    return a_row(**{"state": State.ASSIGNED, "place": node, "instance": "i1"} | fields)


def a_stored(sequence: int, row: TaskRow | None = None, **fields: Any) -> StoredRow:
    """A row in the table, `fields` changed in it."""
    return StoredRow(sequence, replace(row or a_row(), **fields), 0.0)


def a_failure(failure: FailureClass = FailureClass.TRANSIENT, **fields: Any) -> AttemptFailed:
    fact = AttemptFailed(
        task=TASK,
        owner=DEFAULT_OWNER,
        time=NOON,
        attempt=1,
        node="node-a",
        failure=failure,
        reason="the origin is overloaded",
        code="http-503",
    )
    return replace(fact, **fields)


def a_release(**fields: Any) -> Released:
    fact = Released(task=TASK, owner=DEFAULT_OWNER, time=NOON, attempt=1, node="node-a", reason="leaving")
    return replace(fact, **fields)


def a_heartbeat(node: str = "node-a", beat: int = 1, **fields: Any) -> Heartbeat:
    beating = Heartbeat(node=node, instance="i1", beat=beat, version="0", slots=4, running=0, waiting=0)
    return replace(beating, **fields)


def a_node(node: str = "node-a", *, slots: int = 4, **fields: Any) -> NodeFacts:
    """A node with four slots and nobody waiting in line."""
    facts = NodeFacts(
        node=node,
        instance="i1",
        slots=slots,
        limit=slots,
        capabilities=frozenset({"http"}),
        disk_left=100 * GIB,
        disk_low=64 << 20,
    )
    return replace(facts, **fields)


def a_state(facts: NodeFacts, *, assigned: int = 0, bandwidth_used: int = 0, turn: int = 0) -> NodeState:
    """A node with so many tasks."""
    return NodeState(facts, assigned, facts.disk_left, bandwidth_used, turn)


def a_waiting(number: int, *, wanted: Wanted | None = None, **fields: Any) -> Task:
    """Task `number` in the queue: later numbers were submitted later unless `order` says otherwise."""
    task = Task(
        task=a_task(number),
        owner=DEFAULT_OWNER,
        priority=0,
        order=number,
        sequence=number,
        wanted=wanted or Wanted("http"),
    )
    return replace(task, **fields)


def a_session(number: int = 1, *, priority: int = 0, **fields: Any) -> Session:
    row = an_assigned_row(task=a_task(number), request=a_request(priority=priority))
    return replace(Session(row=row, sequence=number), **fields)


def a_delivery(
    body: bytes,
    *,
    owner: str = DEFAULT_OWNER,
    message_id: str | None = None,
    sequence: int = 7,
    stored_ns: int = 10**18,
) -> Delivery:
    """A request as the inbox delivers it."""
    headers = {} if message_id is None else {s.MESSAGE_ID: message_id}
    return Delivery(s.requests(owner), body, headers, "", sequence, stored_ns, 1, 0)
