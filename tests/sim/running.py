"""Who downloads what at this moment, seen from above."""

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.sim.lane import SimLane


class Running:
    """Every transfer that some aria2c works on. `began` is told of each."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.now = now
        self._at: dict[tuple[str, int], list[SimLane]] = {}
        self.began: Callable[[str, int, list[SimLane]], None] = lambda task, attempt, lanes: None

    def begins(self, task: str, attempt: int, lane: "SimLane") -> None:
        lanes = self._at.setdefault((task, attempt), [])
        lanes.append(lane)
        self.began(task, attempt, lanes)

    def ends(self, task: str, attempt: int, lane: "SimLane") -> None:
        lanes = self._at[task, attempt]
        lanes.remove(lane)
        if not lanes:
            del self._at[task, attempt]

    def tasks(self) -> list[tuple[str, int]]:
        return list(self._at)

    def lanes(self, task: str, attempt: int) -> list["SimLane"]:
        return self._at.get((task, attempt), [])
