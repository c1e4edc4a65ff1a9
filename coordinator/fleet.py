"""What is known of the nodes, from their heartbeats. Pure: the caller says what time it is."""

from collections.abc import Iterator

from msgspec import Struct

from schemas.heartbeat import Heartbeat


class Seen(Struct, frozen=True):
    heartbeat: Heartbeat
    heard_at: float
    """On the listener's monotonic clock, seconds."""


class Fleet:
    """The latest heartbeat of each node.

    Silence counts from `base`: it is moved forward whenever *we* may not have listened (rule 10).
    """

    def __init__(self, now: float) -> None:
        self._seen: dict[str, Seen] = {}
        self._base = now

    def __repr__(self) -> str:
        return f"<Fleet {len(self._seen)} nodes>"

    def hear(self, heartbeat: Heartbeat, now: float) -> bool:
        """Take a heartbeat; False for one that was overtaken by a later one of the same process."""
        known = self._seen.get(heartbeat.node)
        if (
            known is not None
            and known.heartbeat.instance == heartbeat.instance
            and heartbeat.beat <= known.heartbeat.beat
        ):
            return False
        self._seen[heartbeat.node] = Seen(heartbeat, now)
        return True

    def start_afresh(self, now: float) -> None:
        """Nobody's silence before `now` counts."""
        self._base = now

    def forget_offline(self, now: float, after_s: float) -> None:
        for node, seen in tuple(self._seen.items()):
            if now - max(seen.heard_at, self._base) > after_s:
                del self._seen[node]

    def get(self, node: str) -> Seen | None:
        return self._seen.get(node)

    def __iter__(self) -> Iterator[Seen]:
        return iter(sorted(self._seen.values(), key=lambda seen: seen.heartbeat.node))

    def silent_s(self, seen: Seen, now: float) -> float:
        """For how long it has not been heard while we listened."""
        return now - max(seen.heard_at, self._base)

    def is_online(self, node: str, now: float, lost_after_s: float) -> bool:
        """Heard lately and staying."""
        seen = self._seen.get(node)
        return seen is not None and not seen.heartbeat.leaving and now - seen.heard_at <= lost_after_s

    def is_lost(self, node: str, now: float, lost_after_s: float) -> bool:
        """Silent for the whole time-out while we listened, or gone after saying so."""
        seen = self._seen.get(node)
        heard_at = seen.heard_at if seen is not None else self._base
        return now - max(heard_at, self._base) > lost_after_s
