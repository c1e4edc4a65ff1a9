"""What a consumer with acks remembers: what is out, what comes again, and up to where all is acked."""

from collections import deque
from collections.abc import Container
from typing import NamedTuple

from tests.sim.broker.clock import NS

RECENT_MAX = 256
"""Acks remembered for a crash that forgets them."""


class UnAcked(NamedTuple):
    number: int
    """The consumer's own count at the first delivery."""
    due_ns: int
    """When it is delivered again."""


class Acked(NamedTuple):
    at_ns: int
    sequence: int
    was: UnAcked


class Ledger:
    """The deliveries of one consumer that are not acked."""

    def __init__(self, begins: int) -> None:
        self.out: dict[int, UnAcked] = {}
        self.floor = 0, begins - 1
        """The consumer's count and the stream's sequence up to which everything is acked."""
        self.repeats: dict[int, int] = {}
        """How often a message came again."""
        self.again: deque[int] = deque()
        """What is to be delivered again now."""
        self._recent: deque[Acked] = deque(maxlen=RECENT_MAX)

    def delivered(self, sequence: int, number: int, due_ns: int) -> None:
        first = self.out[sequence].number if sequence in self.out else number
        self.out[sequence] = UnAcked(first, due_ns)

    def put_off(self, sequence: int, due_ns: int) -> None:
        if sequence in self.out:
            self.out[sequence] = UnAcked(self.out[sequence].number, due_ns)

    def settle(self, sequence: int, number: int, last: int, now_ns: int) -> bool:
        """A delivery is acked, or its message is gone; False where it was none.

        `number`, `last`: the consumer's count and the sequence of its latest delivery.
        """
        done = self.out.pop(sequence, None)
        if done is None:
            return False
        self._recent.append(Acked(now_ns, sequence, done))
        self.repeats.pop(sequence, None)
        if sequence in self.again:
            self.again.remove(sequence)
        if not self.out:
            self.floor = number, last
        elif done.number == self.floor[0] + 1:
            above = min(self.out)
            if above > sequence:
                self.floor = self.out[above].number - 1, above - 1
        return True

    def next_again(self, there: Container[int]) -> int | None:
        """The next one to deliver again, of those that are still `there`."""
        while self.again:
            sequence = self.again.popleft()
            if sequence in self.out and sequence in there:
                self.repeats[sequence] = self.repeats.get(sequence, 0) + 1
                return sequence
        return None

    def call_back(self, now_ns: int) -> None:
        """What is due comes again, lowest sequence first."""
        waits = set(self.again)
        self.again.extend(
            sorted(sequence for sequence, one in self.out.items() if one.due_ns <= now_ns and sequence not in waits)
        )

    def next_due_ns(self) -> int | None:
        """When the next one comes again by itself."""
        waits = set(self.again)
        return min((one.due_ns for sequence, one in self.out.items() if sequence not in waits), default=None)

    def forget_acks(self, since_ns: int, there: Container[int]) -> None:
        """A crash before they were written down: these are out again."""
        for acked in self._recent:
            if acked.at_ns >= since_ns and acked.sequence in there:
                self.out[acked.sequence] = acked.was
                self.floor = min(self.floor, (acked.was.number - 1, acked.sequence - 1))

    def restart(self) -> None:
        """What was to come again waits for its time once more. That is kept in whole seconds: up to one early."""
        self.again.clear()
        self.out = {sequence: UnAcked(one.number, one.due_ns // NS * NS) for sequence, one in self.out.items()}
