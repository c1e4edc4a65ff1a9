"""When the cluster was itself again after each fault, by what anyone can see from outside. No I/O, no clock.

| struck | itself again |
|---|---|
| a node | the node beats again, as a new process or thawed; or all that it held runs or ended elsewhere |
| a coordinator | a leader answers what was asked after the blow |
| an aria2c | another one runs, or it is thawed, and a transfer that it held has moved on |
| the broker | the log stores the next event |

Moments are Unix seconds: the log's store times are, and broker and drill share a clock.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from schemas.event import AnyEvent, Assigned, Finished, Released, Retrying, Started
from schemas.heartbeat import Heartbeat, Progress
from tools.drill.plan import BROKER, OF_COORDINATORS, OF_NODES, Kind

AGAIN = "it beats again"
ELSEWHERE = "its tasks went elsewhere"
ANSWERS = "a leader answers"
MOVED = "a transfer moved on"
REPLACED = "it runs again"
STORES = "the log stores again"


@dataclass
class _Open:
    """A fault from which the cluster has not recovered yet."""

    kind: Kind
    target: str
    struck_at: float
    instance: str = ""
    """Of the node's process when it was struck."""
    held: set[str] = field(default_factory=set)
    """What was there then and was not seen elsewhere since."""
    held_any: bool = False
    bytes_done: dict[str, int] = field(default_factory=dict)
    back_at: float | None = None
    """When it was thawed or replaced."""
    has_moved: bool = False


class Witness:
    """Takes what is seen, and tells of each recovery once."""

    def __init__(self, recovered: Callable[[int, float, str], None]) -> None:
        """`recovered`: called with the fault's number, the moment, and by what it was seen."""
        self._recovered = recovered
        self._open: dict[int, _Open] = {}
        self._holder: dict[str, str] = {}
        """The node of each live task."""
        self._lane: dict[str, str] = {}
        """The lane in which a live task was last started."""
        self._bytes_done: dict[str, int] = {}
        self._instances: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"<Witness {len(self._open)} faults open, {len(self._holder)} tasks on nodes>"

    @property
    def open(self) -> frozenset[int]:
        """Faults whose end is still to be seen."""
        return frozenset(self._open)

    def struck(self, number: int, kind: Kind, target: str, at: float) -> None:
        """`target`: a process by its name, an aria2c as `<node>/<lane>`."""
        node, _, lane = target.partition("/")
        held: set[str] = set()
        if kind in OF_NODES:
            held = {task for task, holder in self._holder.items() if holder == node}
        elif lane:
            held = {task for task, on in self._lane.items() if on == lane and self._holder.get(task) == node}
        self._open[number] = _Open(
            kind,
            target,
            at,
            instance=self._instances.get(node, ""),
            held=held,
            held_any=bool(held),
            bytes_done={task: self._bytes_done.get(task, 0) for task in held} if lane else {},
        )

    def back(self, number: int, at: float) -> None:
        """The process was thawed, or another one runs in its place."""
        if (fault := self._open.get(number)) is None:
            return
        fault.back_at = at
        if "/" in fault.target:
            if fault.has_moved:
                self._close(number, at, MOVED)
            elif not fault.held_any:
                self._close(number, at, REPLACED)

    def answered(self, asked_at: float, at: float) -> None:
        """A leading coordinator answered."""
        for number, fault in tuple(self._open.items()):
            if fault.kind in OF_COORDINATORS and asked_at > fault.struck_at:
                self._close(number, at, ANSWERS)

    def beat(self, heartbeat: Heartbeat, at: float) -> None:
        self._instances[heartbeat.node] = heartbeat.instance
        for number, fault in tuple(self._open.items()):
            if fault.kind not in OF_NODES or fault.target != heartbeat.node:
                continue
            is_new = heartbeat.instance != fault.instance and at > fault.struck_at
            if is_new or (fault.kind is Kind.NODE_FROZEN and fault.back_at is not None):
                self._close(number, at, AGAIN)

    def moved(self, progress: Progress, at: float) -> None:
        self._bytes_done[progress.task] = progress.bytes_done
        for number, fault in tuple(self._open.items()):
            if progress.bytes_done > fault.bytes_done.get(progress.task, progress.bytes_done):
                self._went_on(number, fault, at)

    def happened(self, event: AnyEvent, at: float) -> None:
        """`at`: when the log stored it."""
        node = self._holder.get(event.task)
        match event:
            case Assigned():
                self._holder[event.task] = event.node
                self._lane.pop(event.task, None)
            case Started():
                self._lane[event.task] = event.lane
            case Retrying() | Released():
                self._holder.pop(event.task, None)
            case Finished():
                for known in (self._holder, self._lane, self._bytes_done):
                    known.pop(event.task, None)
        for number, fault in tuple(self._open.items()):
            if at <= fault.struck_at:
                self._correct(number, fault, event)
            elif fault.target == BROKER:
                self._close(number, at, STORES)
            elif event.task in fault.held:
                self._left(number, fault, event, node, at)

    def _correct(self, number: int, fault: _Open, event: AnyEvent) -> None:
        """The log is read a little late: what had ended before the blow was not there any more."""
        if event.task not in fault.held or not isinstance(event, Finished | Retrying | Released):
            return
        fault.held.discard(event.task)
        fault.held_any = bool(fault.held)
        if "/" in fault.target and not fault.held_any and fault.back_at is not None:
            self._close(number, fault.back_at, REPLACED)

    def _left(self, number: int, fault: _Open, event: AnyEvent, node: str | None, at: float) -> None:
        """A task that was there when the fault came is not there any more, or goes on there."""
        is_elsewhere = isinstance(event, Finished) or (isinstance(event, Assigned) and event.node != fault.target)
        if "/" in fault.target:
            if isinstance(event, Finished | Assigned):
                self._went_on(number, fault, at)
        elif is_elsewhere:
            fault.held.discard(event.task)
            if not fault.held:
                self._close(number, at, ELSEWHERE)

    def _went_on(self, number: int, fault: _Open, at: float) -> None:
        fault.has_moved = True
        if fault.back_at is not None:
            self._close(number, at, MOVED)

    def _close(self, number: int, at: float, how: str) -> None:
        del self._open[number]
        self._recovered(number, at, how)
