"""Which task an aria2c dies of: found, given up alone, and nobody else."""

from hypothesis import given
from hypothesis import strategies as st

from node.crashes import CALM_S, DEATHS_MAX, PAUSE_MAX_S, Crashes


def crash_loop(innocent: int, poison: int) -> tuple[list[str], int]:
    """A lane with `innocent` tasks and one, the `poison`th, that kills aria2c as soon as it is added: who is blamed."""
    crashes = Crashes()
    waiting = [f"task {number}" for number in range(innocent)]
    waiting.insert(min(poison, innocent), "poison")
    blamed: list[str] = []
    deaths, now = 0, 0.0
    while "poison" in waiting and deaths < 50:
        held: dict[str, int] = {}
        queue = list(waiting)
        while queue:
            now += 1.0
            if crashes.is_careful:
                if crashes.is_trying(held, now):
                    held = {task: done + 1000 + deaths * 10_000 for task, done in held.items()}
                    continue
                task = queue.pop(0)
                crashes.try_one(task, now)
                held[task] = 0
            else:
                held |= dict.fromkeys(queue, 0)
                queue = []
            if "poison" in held:
                break
        deaths += 1
        guilty = crashes.died(held, 1.0)
        blamed += guilty
        waiting = [task for task in waiting if task not in guilty]
    return blamed, deaths


@given(st.integers(0, 30), st.integers(0, 30))
def test_a_task_that_kills_its_aria2c_is_given_up_alone_after_few_deaths(innocent: int, poison: int) -> None:
    blamed, deaths = crash_loop(innocent, poison)
    assert blamed == ["poison"]
    assert deaths <= DEATHS_MAX + 2


@given(st.lists(st.floats(0.1, 100), max_size=30))
def test_tasks_that_move_between_the_deaths_are_never_blamed(lives: list[float]) -> None:
    crashes = Crashes()
    for number, lived_s in enumerate(lives, 1):
        assert crashes.died({"a": number * 100_000, "b": number}, lived_s) == []


@given(st.lists(st.floats(0.0, 20.0), max_size=40))
def test_the_pause_between_two_starts_stays_short_enough_to_go_on_within_5_s(lives: list[float]) -> None:
    crashes = Crashes()
    for lived_s in lives:
        crashes.died({}, lived_s)
        crashes.failed_to_start()
        assert 0.5 <= crashes.pause_s <= PAUSE_MAX_S < 5


def test_an_aria2c_that_lives_ends_the_care() -> None:
    crashes = Crashes()
    for _ in range(3):
        crashes.died({"a": 0, "b": 0}, 1.0)
    assert crashes.is_careful
    crashes.lived(CALM_S)
    assert not crashes.is_careful


def test_an_attempt_that_is_over_takes_its_deaths_along() -> None:
    crashes = Crashes()
    for _ in range(DEATHS_MAX - 1):
        assert crashes.died({"a": 0}, 1.0) == []
    crashes.forget(["a"])
    assert crashes.died({"a": 0}, 1.0) == []
