"""What a verb by filter is about."""

from datetime import UTC, datetime

import pytest

from schemas.control import IDS_MAX, How, Prioritise
from schemas.filter import Standing, TaskFilter
from schemas.lifecycle import Desired, State
from schemas.meant import MEANT, chunks, misfit, narrowed
from schemas.view import TaskView
from tools.looking import age

NOW = datetime(2031, 5, 1, tzinfo=UTC)


def a_task(state: State, desired: Desired = Desired.RUN, due_in_s: float = 0.0) -> TaskView:
    return TaskView(task="0" * 16, owner="o", state=state, desired=desired, due_in_s=due_in_s)


@pytest.mark.parametrize(
    ("verb", "task", "expected"),
    [
        ("cancel", a_task(State.ACTIVE), True),
        ("cancel", a_task(State.ACTIVE, Desired.CANCEL), False),
        ("cancel", a_task(State.ENDING), False),
        ("cancel", a_task(State.COMPLETED), False),
        ("pause", a_task(State.QUEUED), True),
        ("pause", a_task(State.QUEUED, Desired.PAUSE), False),
        ("pause", a_task(State.ACTIVE, Desired.RELEASE), True),
        ("pause", a_task(State.ACTIVE, Desired.CANCEL), False),
        ("resume", a_task(State.QUEUED, Desired.PAUSE), True),
        ("resume", a_task(State.ACTIVE), False),
        ("retry", a_task(State.QUEUED, due_in_s=3), True),
        ("retry", a_task(State.QUEUED), False),
        ("retry", a_task(State.FAILED), True),
        ("clear", a_task(State.QUEUED, Desired.PAUSE), True),
        ("clear", a_task(State.ASSIGNED), False),
        ("prioritise", a_task(State.ACTIVE), True),
        ("prioritise", a_task(State.COMPLETED), False),
    ],
)
def test_a_verb_means_only_tasks_it_can_do_something_to(verb: str, task: TaskView, expected: bool) -> None:
    assert MEANT[verb](task) is expected


def test_a_retry_that_names_no_state_does_not_fetch_what_completed_again() -> None:
    assert narrowed("retry", TaskFilter(tags=("eu",))).states == (Standing.QUEUED, Standing.FAILED)
    assert narrowed("retry", TaskFilter(states=(Standing.CANCELLED,))).states == (Standing.CANCELLED,)
    assert narrowed("cancel", TaskFilter(tags=("eu",))).states == ()


def test_a_position_is_one_of_what_is_queued() -> None:
    of_an_owner = TaskFilter(owners=("ann",))
    assert narrowed("prioritise", of_an_owner, Prioritise(position=0)).states == (Standing.QUEUED,)
    assert narrowed("prioritise", of_an_owner, Prioritise(position=0, priority=1)).states == ()
    assert "queued" in misfit("prioritise", TaskFilter(states=(Standing.ACTIVE,)), Prioritise(position=0))
    assert not misfit("prioritise", TaskFilter(states=(Standing.ACTIVE,)), Prioritise(priority=1))


@pytest.mark.parametrize("how", How)
def test_more_than_one_ask_takes_come_to_stand_in_their_order(how: How) -> None:
    """Each ask puts its tasks to the same position, before or behind what an earlier one has put there."""
    tasks = [str(number) for number in range(2 * IDS_MAX + 1)]
    asked = Prioritise(position=0, how=how)
    line: list[str] = ["-", "-"]
    for chunk in chunks(tasks, asked):
        assert len(chunk) <= IDS_MAX
        line = [*chunk, *line] if how is How.SET else [*line, *chunk]
    assert [task for task in line if task != "-"] == tasks
    assert [task for chunk in chunks(tasks) for task in chunk] == tasks


def test_states_a_verb_can_do_nothing_about_are_refused() -> None:
    assert "has ended" in misfit("cancel", TaskFilter(states=(Standing.FAILED,)))
    assert "downdraft cancel" in misfit("clear", TaskFilter(states=(Standing.ACTIVE,)))
    for verb, state in (("retry", Standing.FAILED), ("clear", Standing.PAUSED), ("pause", Standing.ACTIVE)):
        assert not misfit(verb, TaskFilter(states=(state,)))


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (-1, "0s"),
        (0.4, "0s"),
        (99, "99s"),
        (100, "1m"),
        (5_399, "89m"),
        (5_400, "1h"),
        (172_799, "47h"),
        (172_800, "2d"),
    ],
)
def test_an_age_is_told_in_one_unit(seconds: float, expected: str) -> None:
    assert age(seconds) == expected
