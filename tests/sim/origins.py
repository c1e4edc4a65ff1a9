"""What lies behind the addresses of simulated requests: sizes, speeds, and the trouble each try runs into."""

import hashlib
from collections import deque

from msgspec import Struct

from node.failures import Verdict
from schemas.task import FailureClass

MIB = 1 << 20


class Trouble(Struct, frozen=True):
    """How one try fails."""

    failure: FailureClass
    at: float
    """Share of the file that comes first; a damaged file comes whole and wrong."""

    def verdict(self) -> Verdict:
        return Verdict(self.failure, f"sim-{self.failure}", f"the simulated origin says {self.failure}")


class Origin(Struct):
    """One file somewhere."""

    uri: str
    bytes: int
    seconds: float
    """One whole download takes so long."""
    troubles: deque[Trouble]
    """Of the next tries, wherever they run; the last permanent one stays."""

    @property
    def digest(self) -> str:
        return f"sha-256={hashlib.sha256(self.uri.encode()).hexdigest()}"

    def next_trouble(self) -> Trouble | None:
        if not self.troubles:
            return None
        if self.troubles[0].failure is FailureClass.PERMANENT:
            return self.troubles[0]
        return self.troubles.popleft()


class Origins:
    """All there are, by address."""

    def __init__(self) -> None:
        self._known: dict[str, Origin] = {}

    def add(self, origin: Origin) -> None:
        self._known[origin.uri] = origin

    def of(self, uri: str) -> Origin:
        return self._known[uri]
