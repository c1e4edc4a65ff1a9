"""Which shares stand, which may still be kept to, and what is to be written next. Pure.

`plan` decides; `wrote` and `read` tell what became of it. A node may keep to the share it named in its last heartbeat,
and to any that was written since.
"""

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from coordinator.limits import TOTAL, Limits, Member
from coordinator.sharing import Claim, divide, idle_share
from schemas.heartbeat import Heartbeat
from schemas.nodes import ALONE_AFTER_S, NodeShare

LAPSED_AFTER_S = ALONE_AFTER_S + 30.0
"""A node that is silent for so long has noticed that it is alone, if it still runs: with time for that."""
OTHER_BYTES_PER_S = 16 << 10
"""What a node may take from an origin of which it has no share yet …"""
OTHERS_PART = 0.05
"""… and the part of an origin's limit that this may come to over all nodes."""
AGAIN_AFTER_S = 5.0
"""A share that a node has not taken over by then, for it keeps to less until one is written, is written again."""
SILENT_AFTER_S = 10.0
"""Without a heartbeat for so long, a node's need is not known any more."""


class _Standing(Struct, frozen=True):
    """What stands under one node's key."""

    share: NodeShare
    revision: int
    since: float
    """When it was written or read, monotonic seconds."""
    older: tuple["_Older", ...] = ()
    """What stood before and may still be kept to."""
    raised: Mapping[str, float] = {}
    """When its share of each origin, and of all (TOTAL), was raised last; monotonic seconds."""

    def knows(self, revision: int) -> bool:
        """Whether that is one of these."""
        return revision == self.revision or any(one.revision == revision for one in self.older)


class _Older(NamedTuple):
    share: NodeShare | None
    """None: nothing stood, so it was free."""
    revision: int
    since: float
    """When it was replaced, monotonic seconds."""

    def is_long_ago(self, now: float) -> bool:
        """Whether a node that is connected has read a later one, whatever it says."""
        return now - self.since >= LAPSED_AFTER_S


class ShareBook:
    """The shares of one term."""

    def __init__(self, epoch: int, now: float) -> None:
        """`now`: monotonic seconds, as everywhere here."""
        self._epoch = epoch
        self._began_at = now
        self._standing: dict[str, _Standing] = {}
        self._running: dict[tuple[str, str], float] = {}
        """Since when a node has been downloading, from each origin with a limit and (TOTAL) at all."""

    def __repr__(self) -> str:
        return f"<ShareBook of term {self._epoch}: {len(self._standing)} shares>"

    def revision(self, node: str) -> int:
        """What a change of a node's share must name; 0 where none stands."""
        return one.revision if (one := self._standing.get(node)) else 0

    def __iter__(self) -> Iterator[str]:
        """The nodes that have a share."""
        return iter(tuple(self._standing))

    def read(self, node: str, share: NodeShare | None, revision: int, now: float) -> None:
        """What stands there, whoever wrote it."""
        if share is None or self.revision(node) != revision:
            self._replace(node, share, revision, now, {})

    def wrote(self, node: str, share: NodeShare | None, revision: int, now: float) -> None:
        """A planned change is stored."""
        before = self._standing.get(node)
        raised = {} if before is None else dict(before.raised)
        for origin in () if share is None else (TOTAL, *share.origins):
            if before and _more(_part(share, origin), _part(before.share, origin)):
                raised[origin] = now
        self._replace(node, share, revision, now, raised)

    def _replace(
        self, node: str, share: NodeShare | None, revision: int, now: float, raised: Mapping[str, float]
    ) -> None:
        before = self._standing.pop(node, None)
        if share is None:
            return
        earlier = _Older(before.share, before.revision, now) if before else _Older(None, 0, now)
        kept = {origin: at for origin, at in raised.items() if origin == TOTAL or origin in share.origins}
        self._standing[node] = _Standing(share, revision, now, (*(before.older if before else ()), earlier), kept)

    def doubtful(self, members: Mapping[str, Member]) -> list[str]:
        """Nodes that keep to a share which is not the one that should stand there: look what does."""
        return [
            node
            for node, member in members.items()
            if member.beat.share != self.revision(node) and not self._is_expected(node, member.beat)
        ]

    def _is_expected(self, node: str, beat: Heartbeat) -> bool:
        """It has just not said yet that it took over what was written last."""
        standing = self._standing.get(node)
        return standing is not None and bool(standing.older) and beat.share < standing.revision

    def may_take(self, member: Member) -> bool:
        """Whether a node knows its share: before, nothing is placed there while a limit holds."""
        return member.beat.node in self._standing and member.beat.share > 0

    def plan(self, limits: Limits, members: Mapping[str, Member], now: float) -> dict[str, NodeShare | None]:
        """What is to be written now, by node; None: it is free again. `members`: every node that is known."""
        if not limits:
            return dict.fromkeys(self._standing)
        self._confirm(members, now)
        nodes = sorted(members.keys() | self._standing.keys())
        many = 1 << max(0, len(nodes) - 1).bit_length()  # in steps, so that not each node that comes changes all shares
        others = {entry: _floor(limit, many) if limit else 0 for entry, limit in limits.origins.items()}
        shares = {node: self._carried(node, limits, others, members.get(node), now) for node in nodes}
        if limits.total is not None:
            idle = idle_share(limits.total, many)
            claims = {node: self._claim(node, TOTAL, members.get(node), now) for node in nodes}
            for node, total in divide(limits.total, claims, idle).items():
                shares[node] = replace(shares[node], bytes_per_s=total)
            shares = {node: replace(share, alone_bytes_per_s=idle) for node, share in shares.items()}
        for origin in sorted({origin for member in members.values() for origin in member.origins} | self._origins()):
            if (limit := limits.of(origin)) is not None:
                self._share_origin(origin, limit, _floor(limit, many), shares, members, now)
        return {
            node: share
            for node, share in shares.items()
            if (limits.total is None or share.bytes_per_s is not None)
            and not (self._stands(node, share) and not self._is_awaited(members.get(node), now))
        }

    def _confirm(self, members: Mapping[str, Member], now: float) -> None:
        """Forget what no node can keep to any more: it names a later one, or has had the time to read one."""
        for node, standing in self._standing.items():
            if (member := members.get(node)) is None or not standing.older:
                continue
            kept, is_heard = member.beat.share, member.silent_s < SILENT_AFTER_S
            older = tuple(
                one
                for one in standing.older
                if kept <= one.revision and kept != standing.revision and not (is_heard and one.is_long_ago(now))
            )
            if len(older) < len(standing.older):
                self._standing[node] = replace(standing, older=older)
        running = {
            (node, origin)
            for node, member in members.items()
            for origin in (TOTAL, *member.origins)
            if self._runs(member, origin) and not member.beat.is_alone  # that one begins anew
        }
        self._running = {key: self._running.get(key, now) for key in running}

    def _carried(
        self, node: str, limits: Limits, others: dict[str, int], member: Member | None, now: float
    ) -> NodeShare:
        """The share as it stands, without what has no limit any more."""
        standing = self._standing.get(node)
        before = standing.share if standing else NodeShare()
        origins = {origin: part for origin, part in before.origins.items() if limits.of(origin)}
        total = before.bytes_per_s if limits.total is not None else None
        lapsed = self._is_lapsed(node, member, now)
        return NodeShare(bytes_per_s=total, origins=origins, others=others, lapsed=lapsed, epoch=self._epoch)

    def _origins(self) -> set[str]:
        return {origin for standing in self._standing.values() for origin in standing.share.origins}

    def _share_origin(
        self,
        origin: str,
        limit: int,
        floor: int,
        shares: dict[str, NodeShare],
        members: Mapping[str, Member],
        now: float,
    ) -> None:
        """Put one origin's part into the shares of those who download from it."""
        among = sorted(node for node in shares if self._may_have(node, origin, members.get(node)))
        claims = {node: self._claim(node, origin, members.get(node), now) for node in among}
        room = max(1, limit - floor * (len(shares) - len(among)))
        for node, part in divide(room, claims, floor).items():
            kept = {one: size for one, size in shares[node].origins.items() if one != origin}
            is_own = claims[node].running or part > floor
            shares[node] = replace(shares[node], origins=kept | ({origin: part} if is_own else {}))

    def _may_have(self, node: str, origin: str, member: Member | None) -> bool:
        """Whether a node may keep to more of an origin's limit than any other, or is to."""
        if member is None or member.origins.get(origin):
            return True
        standing = self._standing.get(node)
        if standing is None:
            return False
        shares = [standing.share, *(one.share for one in standing.older)]
        return not standing.knows(member.beat.share) or any(share and origin in share.origins for share in shares)

    def _claim(self, node: str, origin: str, member: Member | None, now: float) -> Claim:
        """What a node has of one origin's limit, or of the total (TOTAL)."""
        standing = self._standing.get(node)
        silent_s = self._silent_s(member, now)
        is_lapsed = self._is_lapsed(node, member, now)
        running = member is not None and not is_lapsed and self._runs(member, origin)
        beat = member.beat if member else None
        claim = Claim(
            share=_part(standing.share, origin) if standing else None,
            ceiling=self._ceiling(standing, origin, beat, running=running, is_lapsed=is_lapsed),
            running=running,
            heard=is_lapsed or (member is not None and silent_s < SILENT_AFTER_S),
            for_s=now - (standing.raised.get(origin, -math.inf) if standing else -math.inf),
            running_s=now - self._running.get((node, origin), -math.inf),
        )
        if beat is None:
            return claim
        if origin == TOTAL:
            return replace(claim, speed=beat.bytes_per_s, held_back=TOTAL in beat.held_back, line=beat.bandwidth)
        return replace(claim, speed=beat.origins.get(origin, 0), held_back=origin in beat.held_back)

    def _silent_s(self, member: Member | None, now: float) -> float:
        return now - self._began_at if member is None else member.silent_s

    def _is_lapsed(self, node: str, member: Member | None, now: float) -> bool:
        """Gone, or without the broker for so long that it keeps to what is meant for that."""
        if member is None and (standing := self._standing.get(node)) and standing.share.lapsed:
            return True
        return self._silent_s(member, now) >= LAPSED_AFTER_S or (member is not None and member.beat.leaving)

    def _runs(self, member: Member, origin: str) -> bool:
        return member.is_running if origin == TOTAL else member.origins.get(origin, 0) > 0

    def _ceiling(
        self, standing: _Standing | None, origin: str, beat: Heartbeat | None, *, running: bool, is_lapsed: bool
    ) -> float:
        """The most that it may keep to now."""
        free = math.inf if running or beat is None else 0.0  # one that has nothing to download takes nothing
        if is_lapsed:
            shares = [standing.share, *(one.share for one in standing.older)] if standing else []
            return float(max((_alone(one, origin) for one in shares if one), default=0))
        if standing is None:
            return free
        possible = [standing.share, *(one.share for one in standing.older)]
        ceilings = [_or(_part(one, origin), free) for one in possible]
        if beat is None:
            ceilings.append(math.inf)
        elif not standing.knows(beat.share):
            # An earlier leader's: of the total it says itself how much that is.
            ceilings.append(_or(beat.limit_bytes_per_s, free) if origin == TOTAL else free)
        return max(ceilings)

    def _is_awaited(self, member: Member | None, now: float) -> bool:
        """Whether a node that was alone waits for a share to be written, be it the same."""
        if member is None or not member.beat.is_alone or member.silent_s >= SILENT_AFTER_S:
            return False
        standing = self._standing.get(member.beat.node)
        return standing is None or now - standing.since >= AGAIN_AFTER_S

    def _stands(self, node: str, share: NodeShare) -> bool:
        standing = self._standing.get(node)
        return standing is not None and replace(standing.share, epoch=self._epoch) == share


def _floor(limit: int, nodes: int) -> int:
    return max(1, min(OTHER_BYTES_PER_S, int(limit * OTHERS_PART / nodes)))


def _part(share: NodeShare | None, origin: str) -> int | None:
    if share is None:
        return None
    return share.bytes_per_s if origin == TOTAL else share.of(origin)


def _alone(share: NodeShare, origin: str) -> int:
    """What a node keeps to that is without the broker."""
    return _part(share.alone(), origin) or 0


def _more(now: int | None, before: int | None) -> bool:
    return now is not None and before is not None and now > before


def _or(part: int | None, otherwise: float) -> float:
    return otherwise if part is None else float(part)
