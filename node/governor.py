"""What a node lets through of its share: divided between its lanes, and for each origin among its downloads.

Each lane tells what it hands to aria2 and what it sees there, and sets what it is told. Bytes a second; moments are
monotonic seconds.
"""

import math
from collections.abc import Iterable
from typing import NamedTuple

from msgspec import Struct

from node.limited import FIRST_READ_BYTES, Lane, Limited, Origin, Task, divided, received_of
from node.throttle import BURST_S
from node.transfers import Addition, Limits, Tick
from schemas.heartbeat import ALL
from schemas.nodes import NodeShare

MENDS_WITHIN_S = 2.0
"""What an origin gave too much or too little is made good over so long …"""
MENDED_BY = (0.25, 1.25)
"""… by so many times its share at least and at most."""
FORGET_ORIGIN_S = 10.0
"""An origin from which nothing is downloaded any more has paid its debts by then."""


class Kept(Struct, frozen=True):
    """What a heartbeat tells of it."""

    limit: int | None = None
    revision: int = 0
    is_alone: bool = False
    origins: dict[str, int] = {}
    held_back: tuple[str, ...] = ()
    own_limit: int | None = None
    """What its operator lets it download in a second; `upload_limit`: send."""
    upload_limit: int | None = None


class Limit(NamedTuple):
    """Of one task. Bytes a second, 0 for none."""

    download: int
    upload: int | None = None
    """None: as it is."""


class Governor:
    """Keeps one node to its share, and to what its operator lets it do."""

    def __init__(self, *, is_ready: bool = True) -> None:
        """`is_ready`: nothing need be read before the first download."""
        self.is_ready = is_ready
        self._share = NodeShare()
        self._kept = self._share
        self._revision = 0
        self._is_alone = False
        self._own: int | None = None
        """What the operator lets it download in a second, whatever its share is."""
        self._own_upload: int | None = None
        self._uploads: dict[str, int] = {}
        """The upload limit that each lane's aria2 has, 0 for none."""
        self._relimited: dict[str, dict[str, Limit]] = {}
        """Tasks whose own limits have changed since their lane asked last, by lane."""
        self._lanes: dict[str, Lane] = {}
        self._tasks: dict[str, Task] = {}
        self._origins: dict[str, Origin] = {}

    def __repr__(self) -> str:
        return f"<Governor {self._kept}, {len(self._tasks)} downloads>"

    @property
    def is_limiting(self) -> bool:
        return self._total is not None or bool(self._kept.origins or self._kept.others)

    @property
    def _total(self) -> int | None:
        """What may come in a second over all: the smaller one of its share and its own limit."""
        limits = [one for one in (self._kept.bytes_per_s, self._own) if one is not None]
        return min(limits, default=None)

    @property
    def has_share(self) -> bool:
        return self._revision > 0

    def follow(self, share: NodeShare | None, revision: int) -> None:
        """Keep to this from now on; None: to nothing."""
        self._share = self._kept = share or NodeShare()
        self._revision = revision if share else 0
        self._is_alone, self.is_ready = False, True

    def go_alone(self) -> None:
        """Without the broker for long: keep to what is meant for that, until a share is followed anew."""
        if self._revision:
            self._is_alone, self._kept = True, self._share.alone()

    def limit(self, download: int | None, upload: int | None) -> None:
        """What an operator lets this node do, bytes a second; None: no limit."""
        self._own, self._own_upload = download, upload

    def limit_task(self, task: str, download: int, upload: int | None) -> None:
        """A download that aria2 has may be so fast from now on, 0 for any; `upload`: of a torrent."""
        if (one := self._tasks.get(task)) is not None:
            one.own_limit = download
            self._relimited.setdefault(one.lane, {})[task] = Limit(download, upload)

    # --- told by a lane -----------------------------------------------------------------------------------------

    def begin(self, lane: str, addition: Addition, now: float) -> bool:
        """Whether a download may be handed to aria2 now; then it is known here."""
        if not self.is_ready:
            return False
        task = Task(lane, addition, now)
        limited = [(self._origin(origin, now), part) for origin, part in self._parts(task)]
        for origin, part in limited:
            origin.allowance.refill(part, now)
            if origin.allowance.credit < 0:
                origin.made_wait_at = now
                return False
        if limited:
            task.charged = task.size if all(task.is_brief(part) for _, part in limited) else FIRST_READ_BYTES
            for origin, _ in limited:
                origin.allowance.take(task.charged)
        self._tasks[addition.gid] = task
        return True

    def looked(self, lane: str, tick: Tick, now: float) -> None:
        """What the lane's aria2 has now."""
        if not self.is_limiting:
            return
        theirs = {gid: task for gid, task in self._tasks.items() if task.lane == lane}
        came = {gid: received_of(task, tick.transfers.get(gid)) for gid, task in theirs.items()}
        state = self._lane(lane, now)
        state.speed = tick.speed
        for one, received in [(theirs[gid], came[gid]) for gid in theirs] + [(state, sum(came.values()))]:
            one.meter.saw(received, now)
            if one.throttle is not None:
                one.throttle.saw(received, now)
        from_origin = dict.fromkeys(self._origins, 0)
        for gid, task in theirs.items():
            charged = min(came[gid], task.charged)
            task.charged -= charged
            for name in task.origins & self._origins.keys():
                self._origins[name].allowance.take(came[gid] - charged)
                self._origins[name].used_at = now
                from_origin[name] += came[gid]
        for name, received in from_origin.items():
            self._origins[name].meter.saw(received, now)

    def ended(self, gids: Iterable[str]) -> None:
        """aria2 does not have these any more; what their origins were charged for nothing is given back."""
        for gid in gids:
            if (task := self._tasks.pop(gid, None)) is not None:
                self._relimited.get(task.lane, {}).pop(gid, None)
                for name in task.origins & self._origins.keys():
                    self._origins[name].allowance.take(-task.charged)

    def is_new(self, lane: str) -> None:
        """The lane's aria2 is another one, without limits and downloads."""
        self.ended([gid for gid, task in self._tasks.items() if task.lane == lane])
        self._lanes.pop(lane, None)
        self._uploads.pop(lane, None)

    def orders(self, lane: str, now: float) -> Limits:
        """What is to be set at the lane's aria2 now."""
        changed = self._relimited.pop(lane, {})
        limits = {gid: limit.download for gid, limit in changed.items()}
        parts = self._task_parts(now) if self._kept.origins or self._kept.others else {}
        for gid, task in self._tasks.items():
            if task.lane != lane:
                continue
            if (part := parts.get(gid)) is not None:
                limit = task.held(now, task.speed).limit(part, now)
                limits[gid] = min(limit, task.own_limit) if task.own_limit else limit
            elif task.throttle is not None:
                limits[gid], task.throttle = task.own_limit, None
        uploads = {gid: limit.upload for gid, limit in changed.items() if limit.upload is not None}
        return Limits(self._overall(lane, now), limits, self._overall_upload(lane), uploads)

    def _overall_upload(self, lane: str) -> int | None:
        wanted, had = self._own_upload or 0, self._uploads.get(lane, 0)
        self._uploads[lane] = wanted
        return None if wanted == had else wanted

    # --- told by the node -----------------------------------------------------------------------------------------

    def kept(self, now: float) -> Kept:
        """What the node keeps to, and how it fares with it."""
        if not self._revision:
            return Kept(own_limit=self._own, upload_limit=self._own_upload)
        held_back = [name for name, origin in self._origins.items() if self._holds_back(name, origin, now)]
        share = self._kept.bytes_per_s
        is_binding = share is not None and (self._own is None or share <= self._own)
        if is_binding and any(self._lanes[lane].holds_back(now) for lane in self._busy() if lane in self._lanes):
            held_back.append(ALL)
        rates = {name: int(origin.meter.rate) for name, origin in self._origins.items()}
        return Kept(
            self._kept.bytes_per_s,
            self._revision,
            self._is_alone,
            rates,
            tuple(sorted(held_back)),
            own_limit=self._own,
            upload_limit=self._own_upload,
        )

    def crawls(self, lane: str, connections: int) -> bool:
        """Whether so little is allowed that some of the connections get nothing for long: aria2 serves them in turn."""
        total = self._total
        limits = [total] if total is not None else []
        limits += [part for task in self._tasks.values() if task.lane == lane for _, part in self._parts(task)]
        return bool(limits) and min(limits) < 2 * FIRST_READ_BYTES * max(1, connections)

    # --- inside -----------------------------------------------------------------------------------------------------

    def _lane(self, lane: str, now: float) -> Lane:
        if lane not in self._lanes:
            self._lanes[lane] = Lane(now)
        return self._lanes[lane]

    def _origin(self, name: str, now: float) -> Origin:
        if name not in self._origins:
            self._origins[name] = Origin(now)
        return self._origins[name]

    def _parts(self, task: Task) -> list[tuple[str, int]]:
        """The origins of a task of which there is a share, and that."""
        return [(origin, part) for origin in sorted(task.origins) if (part := self._kept.of(origin)) is not None]

    def _busy(self) -> set[str]:
        return {task.lane for task in self._tasks.values()}

    def _overall(self, lane: str, now: float) -> int | None:
        state, total = self._lane(lane, now), self._total
        if total is None:
            was_limited, state.throttle = state.throttle is not None, None
            return 0 if was_limited else None
        throttle = state.held(now, state.speed)
        busy = self._busy()
        if lane not in busy:
            throttle.rest(now)
            return 1
        lanes = {one: self._lane(one, now) for one in sorted(busy)}
        return throttle.limit(divided(total, lanes, now)[lane], now)

    def _task_parts(self, now: float) -> dict[str, float]:
        """What each download may take, by the shares of its origins; those that are brief are not held back."""
        by_origin: dict[str, dict[str, Task]] = {}
        for gid, task in self._tasks.items():
            for origin, _ in self._parts(task):
                by_origin.setdefault(origin, {})[gid] = task
        for name in [name for name, one in self._origins.items() if now - one.used_at > FORGET_ORIGIN_S]:
            if name not in by_origin:
                del self._origins[name]
        parts: dict[str, float] = {}
        for name, tasks in by_origin.items():
            share = self._kept.of(name)
            assert share is not None, "only origins with a share are limited"
            allowance = self._origin(name, now).allowance
            allowance.refill(share, now)
            mended = share + (allowance.credit - share * BURST_S / 2) / MENDS_WITHIN_S
            allowed = min(max(mended, MENDED_BY[0] * share), MENDED_BY[1] * share)
            held: dict[str, Limited] = {gid: task for gid, task in tasks.items() if not task.is_brief(share)}
            for gid, part in divided(allowed, held, now).items():
                parts[gid] = min(parts.get(gid, math.inf), part)
        return parts

    def _holds_back(self, name: str, origin: Origin, now: float) -> bool:
        is_waited_for = now - origin.made_wait_at < MENDS_WITHIN_S
        return is_waited_for or any(name in task.origins and task.holds_back(now) for task in self._tasks.values())
