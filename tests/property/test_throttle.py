"""What is set at aria2 from moment to moment lets no more through than is allowed, whatever changes."""

import random
from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from node.throttle import BURST_S, HELD_BACK_S, Throttle

LOOK_EVERY_S = 0.2
STEP_S = 0.05
KIB = 1 << 10


class Aria2Limiter:
    """aria2 1.37's own: an average over ten slots of a second, looked at once a second while it holds back."""

    def __init__(self, now: float, line: float) -> None:
        self.limit = 0
        self.came = 0
        self._line = line
        self._slots: deque[list[float]] = deque()
        self._awake_at = now

    def average(self, now: float) -> float:
        while self._slots and now - self._slots[0][0] > 10:
            self._slots.popleft()
        if not self._slots:
            return 0.0
        return sum(size for _, size in self._slots) / max(0.001, now - self._slots[0][0])

    def run(self, now: float) -> None:
        """What comes in one step."""
        if now < self._awake_at:
            return
        left = self._line * STEP_S
        while left > 0:
            if self.limit and self.average(now) > self.limit:
                self._awake_at = now + 1.0
                return
            part = min(16 * KIB, left)
            left -= part
            self.came += int(part)
            if not self._slots or now - self._slots[-1][0] >= 1:
                self._slots.append([now, 0])
            self._slots[-1][1] += part


def play(rates: list[tuple[float, float]], line: float, seed: int = 0) -> list[float]:
    """Bytes of each second, with a rate for so many seconds each; the looks come a little late."""
    dice = random.Random(seed)
    now = 100.0
    aria2, throttle = Aria2Limiter(now, line), Throttle(now)
    seconds: list[float] = []
    seen = 0
    for rate, length in rates:
        ends, look_at = now + length, now
        while now < ends - 1e-9:
            if now >= look_at:
                throttle.saw(aria2.came - seen, now)
                seen = aria2.came
                aria2.limit = throttle.limit(rate, now)
                look_at = now + LOOK_EVERY_S + dice.uniform(0, 0.1)
            before = aria2.came
            aria2.run(now)
            now += STEP_S
            second = int(now - 100 - STEP_S / 2)
            seconds += [0.0] * (second + 1 - len(seconds))
            seconds[second] += aria2.came - before
    return seconds


@given(
    st.lists(
        st.tuples(st.sampled_from([200 * KIB, 1000 * KIB, 4000 * KIB]), st.integers(6, 25)), min_size=1, max_size=4
    ),
    st.integers(0, 1000),
)
def test_five_seconds_never_bring_much_more_than_is_allowed(rates: list[tuple[float, float]], seed: int) -> None:
    seconds = play(rates, line=50_000 * KIB, seed=seed)
    allowed = [rate for rate, length in rates for _ in range(int(length))]
    for start in range(len(allowed) - 5):
        most = sum(max(allowed[max(0, second - 2) : second + 1]) for second in range(start, start + 5))
        assert sum(seconds[start : start + 5]) <= 1.15 * most + BURST_S * max(allowed[start : start + 5])


@given(st.sampled_from([100, 500, 3000, 20_000]), st.integers(0, 1000))
def test_all_that_is_allowed_comes(kib: int, seed: int) -> None:
    seconds = play([(kib * KIB, 40)], line=100_000 * KIB, seed=seed)
    assert 0.9 * kib * KIB <= sum(seconds[5:]) / len(seconds[5:]) <= 1.1 * kib * KIB


def test_a_rise_brings_no_burst_and_a_fall_no_silence() -> None:
    seconds = play([(1000 * KIB, 15), (4000 * KIB, 15), (1000 * KIB, 15)], line=50_000 * KIB)
    risen, fallen = seconds[15:25], seconds[31:45]
    assert sum(risen[:3]) <= 1.5 * 3 * 4000 * KIB
    assert sum(risen) >= 0.85 * 10 * 4000 * KIB
    assert sum(fallen[:7]) >= 0.5 * 7 * 1000 * KIB


def test_a_slow_origin_is_not_held_back_and_a_fast_one_is() -> None:
    for line, is_held in ((500 * KIB, False), (5000 * KIB, True)):
        throttle, aria2 = Throttle(0.0), Aria2Limiter(0.0, line)
        seen, now = 0, 0.0
        while now < 10 * HELD_BACK_S:
            throttle.saw(aria2.came - seen, now)
            seen = aria2.came
            aria2.limit = throttle.limit(1000 * KIB, now)
            for _ in range(4):
                aria2.run(now)
                now += STEP_S
        assert throttle.holds_back(now) is is_held


def test_after_a_fast_past_no_more_comes_than_is_allowed() -> None:
    """Where a limit begins, aria2 has an average of what came freely: ten seconds may be silent, none is a burst."""
    aria2 = Aria2Limiter(0.0, 100_000 * KIB)
    now = 0.0
    while now < 12:
        aria2.run(now)
        now += STEP_S
    throttle = Throttle(now, int(aria2.average(now)))
    seen = began = aria2.came
    since = now
    while now < since + 30:
        throttle.saw(aria2.came - seen, now)
        seen = aria2.came
        aria2.limit = throttle.limit(1000 * KIB, now)
        for _ in range(4):
            aria2.run(now)
            now += STEP_S
        assert aria2.came - began <= 1000 * KIB * (now - since + BURST_S) + 64 * KIB
    assert aria2.came - began >= 15 * 1000 * KIB
