"""Which task an aria2c dies of, and how carefully the next one is loaded. Pure.

Whoever kills it from outside kills it while bytes arrive. A task that it dies of is there each time, without a byte
more than before. Where several are suspected, the next aria2c gets one at a time until one remains.
"""

from collections.abc import Iterable, Mapping

DEATHS_MAX = 3
"""Deaths with the same single suspect after which its attempt is over here."""
CALM_S = 10.0
"""An aria2c that lived for so long died of something new."""
CAREFUL_FROM = 2
"""Early deaths in a row after which tasks are handed over one at a time."""
TRIAL_MAX_S = 8.0
"""How long the next task waits at most for the last one to prove harmless."""
PAUSE_S = 0.5
PAUSE_MAX_S = 3.0
"""Between two aria2c: longer with each early death, and never so long that a killed one is missed for 5 s."""


class Crashes:
    """The deaths of one lane's daemons."""

    def __init__(self) -> None:
        self._deaths: dict[str, int] = {}
        self._best: dict[str, int] = {}
        """The most bytes a task ever had when an aria2c died with it."""
        self._in_a_row = 0
        """Early deaths."""
        self._failed_starts = 0
        self._on_trial = ""
        self._trial_since = 0.0

    def __repr__(self) -> str:
        return f"<Crashes {self._in_a_row} in a row, {len(self._deaths)} tasks suspected>"

    @property
    def is_careful(self) -> bool:
        return self._in_a_row >= CAREFUL_FROM

    @property
    def pause_s(self) -> float:
        """Before the next aria2c is started."""
        failures = min(10, max(self._in_a_row, self._failed_starts))
        return min(PAUSE_MAX_S, PAUSE_S * 2.0 ** max(0, failures - 1))

    def try_one(self, task: str, now: float) -> None:
        """`task` alone was handed over."""
        self._on_trial, self._trial_since = task, now

    def is_trying(self, held: Mapping[str, int], now: float) -> bool:
        """Whether the last task that was handed over is still to prove harmless. `held`: bytes of each."""
        if self._on_trial not in held or self._has_moved(self._on_trial, held):
            return False
        trial_s = min(TRIAL_MAX_S, 2.0 ** min(10, self._in_a_row - CAREFUL_FROM))
        return now - self._trial_since < trial_s

    def died(self, held: Mapping[str, int], lived_s: float) -> list[str]:
        """An aria2c died that held these tasks, with so many bytes each. Those whose attempts it should end."""
        self._in_a_row = self._in_a_row + 1 if lived_s < CALM_S else 1
        suspects = [task for task in held if not self._has_moved(task, held)]
        for task, done in held.items():
            if task not in suspects:
                self._deaths.pop(task, None)
            self._best[task] = max(done, self._best.get(task, 0))
        if self._on_trial in suspects:
            suspects = [self._on_trial]  # the others had their trial
        self._on_trial = ""
        if len(suspects) != 1:
            return []
        (suspect,) = suspects
        self._deaths[suspect] = self._deaths.get(suspect, 0) + 1
        if self._deaths[suspect] < DEATHS_MAX:
            return []
        self._in_a_row = 0
        return [suspect]

    def failed_to_start(self) -> None:
        """It did not even begin: no task's fault."""
        self._failed_starts += 1

    def started(self) -> None:
        """It answers."""
        self._failed_starts = 0

    def lived(self, lived_s: float) -> None:
        """The aria2c of now has lived for so long."""
        if lived_s >= CALM_S:
            self._in_a_row = 0

    def forget(self, tasks: Iterable[str]) -> None:
        """Their attempts are over."""
        for task in tasks:
            self._deaths.pop(task, None)
            self._best.pop(task, None)

    def _has_moved(self, task: str, held: Mapping[str, int]) -> bool:
        return held[task] > self._best.get(task, 0)
