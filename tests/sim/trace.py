"""What happened, line by line: kept where somebody wants to read it, summed up always."""

import zlib
from collections.abc import Callable, MutableMapping
from typing import Any

import structlog

from tests.sim.loop import BEGINS_AT_S, PROCESS


class Trace:
    """Every line goes into `digest`; only a trace that is kept holds them."""

    def __init__(self, now: Callable[[], float], *, keep: bool = False) -> None:
        self._now = now
        self._keep = keep
        self.digest = 0
        self.lines: list[str] = []

    def note(self, who: str, *said: object) -> None:
        line = f"{self._now() - BEGINS_AT_S:8.3f} {who:10} {' '.join(map(str, said))}"
        self.digest = zlib.crc32(line.encode(), self.digest)
        if self._keep:
            self.lines.append(line)

    def heard(self, _: object, level: str, event: MutableMapping[str, Any]) -> str:
        """A processor of structlog: what components log stands between what happens; it is not summed up."""
        process = PROCESS.get(None)
        said = " ".join(f"{key}={value}" for key, value in event.items() if key != "event")
        name = process.name if process else ""
        self.lines.append(f"{self._now() - BEGINS_AT_S:8.3f} {name:10} - {level}: {event['event']} {said}")
        raise structlog.DropEvent
