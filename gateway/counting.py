"""How many things of a kind are open, by whoever opened them."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager


class Counting:
    """Counts what is open."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()

    def __repr__(self) -> str:
        return f"<Counting {self.total} of {len(self._open)}>"

    @property
    def total(self) -> int:
        return self._open.total()

    def of(self, whom: str) -> int:
        return self._open[whom]  # a Counter keeps nothing for what it does not have

    @contextmanager
    def one(self, whom: str) -> Iterator[None]:
        """One more for the length of the block."""
        self._open[whom] += 1
        try:
            yield
        finally:
            self._open[whom] -= 1
            if not self._open[whom]:
                del self._open[whom]
