"""Counting by owner agrees with counting anew, whatever happens to tasks, and never promises beyond the limit."""

from collections import Counter

from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from coordinator.owners import Owners
from schemas.ids import QUEUED
from schemas.lifecycle import State
from schemas.task import StoredRow
from tests.examples import a_row, a_stored

OWNERS = ("alice", "bob")
TASKS = tuple(f"{number:016x}" for number in range(1, 7))
STATES = (State.QUEUED, State.ASSIGNED, State.ACTIVE, State.ENDING, None)


def standing(task: str, owner: str, state: State | None) -> StoredRow | None:
    if state is None:
        return None
    place = QUEUED if state in (State.QUEUED, State.ENDING) else "node-a"
    return a_stored(1, replace(a_row(), task=task, owner=owner, state=state, place=place))


def owner_of(task: str) -> str:
    return OWNERS[int(task, 16) % 2]


@given(st.lists(st.tuples(st.sampled_from(TASKS), st.sampled_from(STATES))))
def test_what_is_counted_is_what_stands(changes: list[tuple[str, State | None]]) -> None:
    owners, rows = Owners(), dict[str, State | None]()
    for task, state in changes:
        owners.row_changed(task, standing(task, owner_of(task), state))
        rows[task] = state
        queued = Counter(owner_of(task) for task, state in rows.items() if state is State.QUEUED)
        running = Counter(owner_of(task) for task, state in rows.items() if state in (State.ASSIGNED, State.ACTIVE))
        assert {owner: (owners.queued(owner), owners.running(owner)) for owner in OWNERS} == {
            owner: (queued[owner], running[owner]) for owner in OWNERS
        }


@given(
    st.integers(0, 4),
    st.lists(st.tuples(st.sampled_from(TASKS), st.sampled_from(("ask", "create", "give up", "run", "end")))),
)
@example(2, [(TASKS[0], "ask"), (TASKS[0], "create"), (TASKS[1], "ask")])
def test_never_more_wait_than_the_limit_however_asking_and_creating_mix(
    limit: int, steps: list[tuple[str, str]]
) -> None:
    owners, promised, queued = Owners(), set[str](), set[str]()
    for task, step in steps:
        if step == "ask":
            known = task in promised or task in queued or task in owners._counted
            admitted = owners.admit(task, "alice", limit)
            assert admitted == (known or len(promised) + len(queued) < limit)
            if admitted and not known:
                promised.add(task)
        elif step == "create" and task in promised:
            owners.row_changed(task, standing(task, "alice", State.QUEUED))
            promised.remove(task)
            queued.add(task)
        elif step == "give up":
            owners.settle(task)
            promised.discard(task)
        elif step == "run" and task in queued:
            owners.row_changed(task, standing(task, "alice", State.ACTIVE))
            queued.remove(task)
        elif step == "end" and task not in promised:
            owners.row_changed(task, None)
            queued.discard(task)
        assert len(queued) + len(promised) <= limit
        assert owners.queued("alice") == len(queued)


def test_owners_without_tasks_take_no_room() -> None:
    owners = Owners()
    for number in range(100):
        task = f"{number + 1:016x}"
        assert owners.admit(task, f"owner-{number}", 1)
        owners.row_changed(task, standing(task, f"owner-{number}", State.QUEUED))
        owners.row_changed(task, standing(task, f"owner-{number}", State.ACTIVE))
        owners.row_changed(task, None)
        owners.settle(task)
    assert not owners._queued
    assert not owners._running
    assert not owners._coming
    assert repr(owners) == "<Owners of 0 tasks, 0 coming>"
