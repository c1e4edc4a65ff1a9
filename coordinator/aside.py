"""Which nodes keep failing what others finish, and are set aside for a while. Pure: the caller tells the time.

A failure counts against a node only where it may be the node's own (its disk, its aria2c, its line) and where other
nodes do well with the same origin. An origin that fails everywhere therefore sets nobody aside.
"""

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import NamedTuple

from schemas.task import FailureClass

LAST_MAX = 20
"""Attempts of a node that are looked at: its latest."""
ATTEMPTS_MIN = 5
"""With fewer nothing is concluded."""
WINDOW_S = 600.0
"""What is older says nothing of now."""
FAILING_SHARE = 0.75
"""Of its attempts so many must count against a node."""
WELL_SHARE = 0.75
"""Of a node's attempts at an origin so many must complete for it to do well there."""
WELL_TIMES = 2
"""So many times more nodes must do well with an origin than badly, or it is the origin that fails."""
SHORTEST_S = 30.0
LONGEST_S = 1800.0
"""Set aside again, a node waits twice as long each time, up to here."""
FORGIVEN_AFTER_S = 3600.0
"""Well for so long, it begins with the shortest again."""
ASIDE_SHARE = 0.5
"""Of the online nodes no more than this are set aside at once: where most fail, it is not the nodes."""
ORIGINS_MAX = 500
NODES_MAX = 100
"""Kept for each origin: the nodes that were heard of last. Bounds the memory to some megabytes."""
LINE_CODES = frozenset({"aria2-1", "aria2-2", "aria2-5", "aria2-6", "aria2-19", "stalled"})
"""Failures that the node's own line may be to blame for: refused, no answer, too slow, broken, no such name."""

FAILS = "it kept failing what others finish"
"""Why, for those who are not to know whose tasks those were."""


class Decision(NamedTuple):
    """Nothing is to be placed on a node for a while."""

    node: str
    until: float
    """On the caller's clock, seconds."""
    why: str
    """A sentence for people."""


class _Attempt(NamedTuple):
    at: float
    task: str
    origin: str
    reason: str
    """Of a failure that may be the node's own; empty for a completion, and for every other failure."""


class _Record:
    """How one node fared with one origin, within two halves of the window: the older one is dropped whole."""

    __slots__ = ("at", "before", "now")

    def __init__(self) -> None:
        self.at = 0.0
        self.now = (0, 0)
        """(attempts, completed)."""
        self.before = (0, 0)

    def add(self, at: float, *, completed: bool) -> None:
        if at - self.at > WINDOW_S / 2:
            self.before = self.now if at - self.at <= WINDOW_S else (0, 0)
            self.now, self.at = (0, 0), at
        attempts, done = self.now
        self.now = attempts + 1, done + completed

    def does_well(self, at: float) -> bool | None:
        """None where nothing of it is new enough to count."""
        if at - self.at > WINDOW_S:
            return None
        attempts, done = self.now[0] + self.before[0], self.now[1] + self.before[1]
        return done >= WELL_SHARE * attempts


class _Standing:
    """What is held against one node."""

    def __init__(self) -> None:
        self.last: deque[_Attempt] = deque(maxlen=LAST_MAX)
        self.times = 0
        """How often it was set aside since it was forgiven."""
        self.until = 0.0
        self.why = ""
        self.well_since = 0.0
        """When it was last pardoned."""
        self.is_tried = False
        """It was set aside and has completed nothing since: one task at a time shows whether it is well."""


class Conduct:
    """How the nodes' attempts went lately, each against those of the others."""

    def __init__(self) -> None:
        self._nodes: dict[str, _Standing] = {}
        self._origins: OrderedDict[str, OrderedDict[str, _Record]] = OrderedDict()
        self._failed_at: OrderedDict[str, str] = OrderedDict()
        """The node each task failed on; empty for one that failed on several, which says nothing of them."""

    def __repr__(self) -> str:
        return f"<Conduct of {len(self._nodes)} nodes at {len(self._origins)} origins>"

    def completed(self, node: str, task: str, origin: str, at: float) -> bool:
        """A node finished a task. True where it was being tried and is well again."""
        self._record(node, origin, at, completed=True)
        standing = self._of(node)
        standing.last.append(_Attempt(at, task, origin, ""))
        if not standing.is_tried or at < standing.until:
            return False  # what it had begun before says nothing of what it would begin now
        self.pardon(node, at)
        return True

    def failed(
        self,
        node: str,
        task: str,
        origin: str,
        at: float,
        *,
        failure: FailureClass,
        code: str,
        reason: str,
        online: Callable[[], int],
    ) -> Decision | None:
        """An attempt failed; `online`: how many nodes there are."""
        if failure is FailureClass.PERMANENT:
            return None  # the origin answered, and would anybody
        self._record(node, origin, at, completed=False)
        standing = self._of(node)
        standing.last.append(_Attempt(at, task, origin, reason if may_be_its_own(failure, code) else ""))
        self._note_failure(node, task)
        if at < standing.until or not standing.last[-1].reason:
            return None  # it was given to it before it was set aside; or is nothing that it could help
        telling = [
            one for one in standing.last if at - one.at <= WINDOW_S and self._failed_at.get(one.task, node) == node
        ]
        blamed = [one for one in telling if one.reason and self._others_do_well(node, one.origin, at)]
        if standing.is_tried:
            is_failing = standing.last[-1] in blamed
        else:
            is_failing = len(telling) >= ATTEMPTS_MIN and len(blamed) >= FAILING_SHARE * len(telling)
        others_aside = sum(at < other.until for other in self._nodes.values())
        if not is_failing or others_aside + 1 > ASIDE_SHARE * online():
            return None
        tried = "the attempt to try it" if standing.is_tried else f"{len(blamed)} of its last {len(telling)} attempts"
        standing.why = f"{tried} failed where other nodes do well, the last with: {reason}"
        return Decision(node, self._set_aside(standing, at), standing.why)

    def against(self, node: str) -> Decision | None:
        """Why a node is set aside and until when; where that is past, it is being tried."""
        standing = self._nodes.get(node)
        return Decision(node, standing.until, standing.why) if standing is not None and standing.is_tried else None

    def pardon(self, node: str, at: float) -> None:
        """It is well, or somebody says so: what was held against it is forgotten, but not how often that was."""
        if (standing := self._nodes.get(node)) is not None and standing.is_tried:
            standing.last.clear()
            standing.is_tried, standing.until, standing.well_since = False, 0.0, at

    def forget(self, nodes: set[str]) -> None:
        """Keep only what is known of `nodes`, and of those that are to be tried when they come back."""
        self._nodes = {node: standing for node, standing in self._nodes.items() if node in nodes or standing.is_tried}

    def _set_aside(self, standing: _Standing, at: float) -> float:
        """Until when."""
        if not standing.is_tried and at - standing.well_since > FORGIVEN_AFTER_S:
            standing.times = 0
        standing.until = at + min(LONGEST_S, SHORTEST_S * 2.0**standing.times)
        standing.times += 1
        standing.is_tried = True
        return standing.until

    def _others_do_well(self, node: str, origin: str, at: float) -> bool:
        others = [
            does_well
            for other, record in self._origins.get(origin, {}).items()
            if other != node and (does_well := record.does_well(at)) is not None
        ]
        well = sum(others)
        return well > 0 and well >= WELL_TIMES * (len(others) - well)

    def _note_failure(self, node: str, task: str) -> None:
        first = self._failed_at.setdefault(task, node)
        if first != node:
            self._failed_at[task] = ""
        while len(self._failed_at) > ORIGINS_MAX * LAST_MAX:
            self._failed_at.popitem(last=False)

    def _record(self, node: str, origin: str, at: float, *, completed: bool) -> None:
        nodes = self._origins.setdefault(origin, OrderedDict())
        self._origins.move_to_end(origin)
        if len(self._origins) > ORIGINS_MAX:
            self._origins.popitem(last=False)
        if (record := nodes.get(node)) is None:
            record = nodes[node] = _Record()
            if len(nodes) > NODES_MAX:
                nodes.popitem(last=False)
        record.add(at, completed=completed)

    def _of(self, node: str) -> _Standing:
        if (standing := self._nodes.get(node)) is None:
            standing = self._nodes[node] = _Standing()
        return standing


def may_be_its_own(failure: FailureClass, code: str) -> bool:
    """Whether a node may itself be to blame for a failure: its disk, its aria2c, its line."""
    return failure is FailureClass.NODE or code in LINE_CODES
