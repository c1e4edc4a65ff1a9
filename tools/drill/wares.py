"""What a drill downloads: files made from a seed, so that everybody knows each byte and nobody stores one."""

import hashlib
import random
from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple

from schemas.request import Request

BLOCK_BYTES = 1 << 16
SMALL_BYTES = (1 << 10, 128 << 10)
DRIPPED_BYTES = (256 << 10, 768 << 10)
LARGE_BYTES = (1 << 20, 3 << 20)
MISSING_CODE = "http-404"
CHECKED_EVERY = 3
"""Of so many requests for a plain file one names its checksum; with the others nobody but the drill would notice."""


class Nature(StrEnum):
    """How the origin serves a file."""

    PLAIN = "plain"
    DRIPPED = "dripped"
    """Slowly, by one connection: something is always under way in the small lane."""
    LARGE = "large"
    """By several connections, in the large lane."""
    SLOW = "slow"
    """Large, and slowly."""
    MISSING = "missing"
    """Never: 404, so that failures are in the books too."""
    BUSY = "busy"
    """At the second try: 503 with Retry-After first."""
    BROKEN = "broken"
    """At the second try: 500 first, which aria2 never tries again by itself."""


MIX = {
    Nature.PLAIN: 33,
    Nature.DRIPPED: 5,
    Nature.LARGE: 3,
    Nature.SLOW: 3,
    Nature.MISSING: 2,
    Nature.BUSY: 2,
    Nature.BROKEN: 2,
}
"""Of each fifty files so many."""
IN_LARGE_LANE = frozenset({Nature.LARGE, Nature.SLOW})
_SIZES = {Nature.DRIPPED: DRIPPED_BYTES, Nature.LARGE: LARGE_BYTES, Nature.SLOW: LARGE_BYTES}


class Ware(NamedTuple):
    """One file."""

    name: str
    nature: Nature
    bytes: int

    @property
    def path(self) -> str:
        """Below the origin's address. It tells the origin all that it must know."""
        return f"{self.nature}/{self.bytes}/{self.name}"


def wares(seed: int, count: int) -> tuple[Ware, ...]:
    """The files of a drill: the same for the same seed."""
    dice = random.Random(f"wares {seed}")  # noqa: S311 - a game, no secret
    natures: list[Nature] = []
    while len(natures) < count:
        deck = [nature for nature, number in MIX.items() for _ in range(number)]
        dice.shuffle(deck)
        natures += deck
    return tuple(
        Ware(f"file-{number:05}.bin", nature, _size(dice, nature)) for number, nature in enumerate(natures[:count], 1)
    )


def request(seed: int, number: int, ware: Ware, origin: str) -> Request:
    """What is asked of the cluster for it. `origin`: its address, with the slash."""
    is_checked = number % CHECKED_EVERY == 0 and ware.nature is Nature.PLAIN
    return Request(
        uris=(origin + ware.path,),
        id=f"drill-{seed}-{number}",
        out=ware.name,
        options={"split": 2} if ware.nature in IN_LARGE_LANE else {},
        checksum=f"sha-256={digest(seed, ware)}" if is_checked else None,
    )


def blocks(seed: int, name: str, start: int, stop: int) -> Iterator[bytes]:
    """The bytes from `start` to before `stop`, in pieces of BLOCK_BYTES at most."""
    for number in range(start // BLOCK_BYTES, -(-stop // BLOCK_BYTES)):
        first = number * BLOCK_BYTES
        block = random.Random(f"{seed} {name} {number}").randbytes(BLOCK_BYTES)  # noqa: S311
        yield block[max(0, start - first) : stop - first]


def digest(seed: int, ware: Ware) -> str:
    """SHA-256 of what the origin serves, as hex."""
    whole = hashlib.sha256()
    for block in blocks(seed, ware.name, 0, ware.bytes):
        whole.update(block)
    return whole.hexdigest()


def _size(dice: random.Random, nature: Nature) -> int:
    low, high = _SIZES.get(nature, SMALL_BYTES)
    return int(low * (high / low) ** dice.random())
