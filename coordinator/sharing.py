"""One limit on bandwidth divided among nodes by need, without ever handing out more than there is. Pure.

What a node is given counts from the moment it is written; what is taken from it, only once it says that it keeps to
less. So shares shrink first, and others grow by what has come free.
"""

import math
from collections.abc import Mapping

from msgspec import Struct

from schemas.filling import fill

IDLE_BYTES_PER_S = 64 << 10
"""So much is kept for a node that downloads nothing: what it begins does not have to wait for the next round …"""
IDLE_PART = 0.02
"""… but no more than this part of the limit for all of them."""
RUNNING_BYTES_PER_S = 64 << 10
"""Even a node that seems to need less is given so much, if there is enough for all."""
KEPT_BACK_PART = 0.03
"""Not divided: room for small changes, and for the first share of a node that comes."""
MARGIN = 1.1
"""A node that does not use its share keeps so many times what it uses …"""
WIDE_MARGIN = 1.25
"""… or so many times, where there is enough for all."""
GROWTH = 2.0
"""A node that could use more is given so many times its share at most: it may need only a little more."""
DECLINE = 0.5
"""What does not use its share keeps so much of it in each round: it may be between two downloads."""
SETTLED_S = 12.0
"""A speed tells of a share only when that has stood for so long: aria2 averages over ten seconds."""
SHRINK_LEAST = 0.10
RAISE_LEAST = 0.05
"""Smaller changes are not worth a write: the one costs others little, the other would leave some of it unused."""


class Claim(Struct, frozen=True, kw_only=True):
    """What one node has of a limit, and how it fares. Bytes a second."""

    share: int | None
    """As written last; None: nothing was, it is free."""
    ceiling: float
    """The most that it may still keep to, by all that was written and not yet confirmed; `inf` where nobody knows."""
    speed: int = 0
    held_back: bool = False
    """More would come if it had more."""
    running: bool = False
    """It has something to download."""
    heard: bool = True
    """Its heartbeats come; else its share is left alone."""
    for_s: float = math.inf
    """How long its share has not been raised."""
    running_s: float = math.inf
    """How long it has been downloading."""
    line: int = 0
    """What it is said to be able to; 0: nobody said."""


def idle_share(limit: int, nodes: int) -> int:
    """For each of `nodes` while it has nothing to download."""
    return max(1, min(IDLE_BYTES_PER_S, int(limit * IDLE_PART / max(1, nodes))))


def divide(limit: int, claims: Mapping[str, Claim], idle: int) -> dict[str, int]:
    """The shares to write now, of those nodes whose share is to change. Equal claims, equal shares.

    `idle` is what a node has that downloads nothing: see `idle_share`.

    No sum of what nodes may keep to, in whatever order they hear of it, is above `limit`, unless it was before.
    """
    wanted = _targets(limit, claims, idle)
    changes = {
        node: target for node, target in wanted.items() if (share := claims[node].share) is not None and target < share
    }
    small = {node for node, target in changes.items() if target >= (claims[node].share or 0) * (1 - SHRINK_LEAST)}
    unchanged = sum(
        max(target, claims[node].share or 0) if node in small else target for node, target in wanted.items()
    )
    if unchanged <= limit:
        changes = {node: target for node, target in changes.items() if node not in small}
    return changes | _raises(limit, claims, wanted, changes)


def _raises(
    limit: int, claims: Mapping[str, Claim], wanted: Mapping[str, int], shrunk: Mapping[str, int]
) -> dict[str, int]:
    """What nodes may be given already, by what nobody may keep to any more; those that are free are given a share."""
    free = {node for node, claim in claims.items() if claim.share is None and math.isinf(claim.ceiling)}
    raises = {node: wanted[node] for node in free}
    room = limit - sum(claim.ceiling for claim in claims.values())
    growing = [node for node in sorted(wanted) if node not in free and wanted[node] > (claims[node].share or 0)]
    lacking = {node: max(0.0, wanted[node] - claims[node].ceiling) for node in growing if node not in shrunk}
    if room < 0 or not lacking:
        return raises
    part = min(1.0, room / max(1.0, sum(lacking.values())))
    for node, more in lacking.items():
        claim = claims[node]
        # Up to its ceiling nothing is taken from anybody: that much is counted as its own.
        raised = int(claim.ceiling + part * more) if more else wanted[node]
        if raised > (claim.share or 0) * (1 + RAISE_LEAST):
            raises[node] = raised
    return raises


def _targets(limit: int, claims: Mapping[str, Claim], idle: int) -> dict[str, int]:
    """Where the shares should be in the end."""
    left = limit * (1 - KEPT_BACK_PART)
    targets = {}
    needs: dict[str, float] = {}
    for node, claim in claims.items():
        if not claim.heard and claim.share is not None:
            needs[node] = claim.share
        elif claim.running:
            needs[node] = max(_need(claim), idle)
        else:
            targets[node] = idle
            left -= idle
    targets |= fill(left, needs)
    spare = left - sum(targets[node] for node in needs)
    if spare > 0:
        more = {node: max(0.0, _wide(claims[node]) - targets[node]) for node in needs if claims[node].heard}
        for node, extra in fill(spare, more).items():
            targets[node] += extra
    return targets


def _need(claim: Claim) -> float:
    """What a node that downloads is to have."""
    need = math.inf
    if claim.share is None and math.isinf(claim.ceiling) and claim.speed:
        need = claim.speed * WIDE_MARGIN  # it ran free: so much, and no more, is what it can use
    elif claim.share is not None and claim.running_s >= SETTLED_S:
        if claim.held_back:
            need = claim.share * GROWTH
        else:
            need = claim.share if claim.for_s < SETTLED_S else max(claim.speed * MARGIN, claim.share * DECLINE)
    return min(max(need, RUNNING_BYTES_PER_S), _line(claim))


def _wide(claim: Claim) -> float:
    """What it is to have where there is enough for all: then nothing is taken from anybody."""
    need = _need(claim)
    return need if math.isinf(need) else min(max(need, claim.speed * WIDE_MARGIN, claim.share or 0), _line(claim))


def _line(claim: Claim) -> float:
    return claim.line or math.inf
