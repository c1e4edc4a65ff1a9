"""How nodes stood in the last minutes, one sample now and then: for graphs that are there when somebody looks."""

from array import array
from collections import deque
from collections.abc import Iterable
from datetime import datetime
from math import isnan, nan

from msgspec import Struct

from schemas.heartbeat import Heartbeat


class NodeSample(Struct, frozen=True):
    """How a node stood at a moment."""

    time: datetime
    bytes_per_s: int
    running: int
    cpu_percent: float
    """Of its machine."""
    memory_bytes: int
    """Of the node and its aria2."""
    disk_free_bytes: int


FIGURES = 5
"""Of a sample, beside its time."""
_SILENT = (nan,) * FIGURES


class NodeHistory:
    """The latest samples of every node: 2.5 KiB each where sixty are kept, so 25 MiB for ten thousand nodes."""

    def __init__(self, samples_max: int) -> None:
        self._moments: deque[datetime] = deque(maxlen=samples_max)
        self._figures: dict[str, array[float]] = {}
        """By node, as many numbers a moment; the last of them belong to the last moment."""
        self._silent_for: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"<NodeHistory of {len(self._figures)} nodes at {len(self._moments)} moments>"

    def sample(self, moment: datetime, heard: Iterable[Heartbeat]) -> None:
        """Take down how those stand that are heard. A node that was silent throughout is forgotten."""
        self._moments.append(moment)
        told = {beat.node: _figures_of(beat) for beat in heard}
        for node in told.keys() | self._figures.keys():
            self._silent_for[node] = 0 if node in told else self._silent_for[node] + 1
            if self._silent_for[node] == self._moments.maxlen:
                del self._figures[node], self._silent_for[node]
            else:
                self._append(node, told.get(node, _SILENT))

    def _append(self, node: str, figures: tuple[float, ...]) -> None:
        kept = self._figures.setdefault(node, array("d"))
        kept.extend(figures)
        del kept[: -FIGURES * len(self._moments)]

    def of(self, node: str) -> tuple[NodeSample, ...]:
        """The oldest first; none of the moments when it was silent."""
        kept = self._figures.get(node, array("d"))
        count = len(kept) // FIGURES
        moments = [*self._moments][len(self._moments) - count :]
        found = []
        for index, moment in enumerate(moments):
            speed, running, cpu, memory, disk = kept[index * FIGURES : (index + 1) * FIGURES]
            if not isnan(speed):
                found.append(NodeSample(moment, int(speed), int(running), cpu, int(memory), int(disk)))
        return tuple(found)


def _figures_of(beat: Heartbeat) -> tuple[float, ...]:
    return beat.bytes_per_s, beat.running, beat.cpu_percent, beat.memory_bytes, beat.disk_free_bytes
