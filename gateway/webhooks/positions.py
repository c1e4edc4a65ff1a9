"""How far a webhook is, while several of its events are under way. Pure."""


class Positions:
    """Knows up to where everything is done."""

    def __init__(self, start: int) -> None:
        self._read_to = start
        self._open: set[int] = set()

    def __repr__(self) -> str:
        return f"<Positions {self.safe}, {len(self._open)} under way>"

    @property
    def safe(self) -> int:
        """Everything up to this sequence is done; whoever goes on after it misses nothing."""
        return min(self._open) - 1 if self._open else self._read_to

    def begin(self, sequence: int) -> None:
        self._open.add(sequence)

    def done(self, sequence: int) -> None:
        self._open.discard(sequence)

    def read_to(self, sequence: int) -> None:
        """Everything up to there was begun, or is not wanted."""
        self._read_to = sequence
