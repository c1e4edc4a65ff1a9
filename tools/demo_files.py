"""The files of the demo: what they are, making them, and checking what the nodes made of them."""

import hashlib
import random
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from schemas.errors import DowndraftError
from schemas.event import Completed, Failed, Finished
from schemas.sizes import format_size

MIB = 1 << 20
LARGE_BYTES = 200 * MIB
LARGE_BYTES_SMALL = 16 * MIB
"""What `--small` makes of it, for tests."""
TAG = "archive"
TAGGED = 6
PLAIN = 16
SMALL_BYTES = (4 << 10, 4 * MIB)
TAGGED_BYTES = (1 * MIB, 3 * MIB)
SEED = 25
SPARE_BYTES = 32 * MIB
"""Room for the broker's streams and the logs."""
NOT_FOUND_CODE = "http-404"


class NoRoom(DowndraftError):
    """The disk has too little space."""


class Sample(NamedTuple):
    """One address the demo asks for."""

    name: str
    bytes: int
    tags: tuple[str, ...] = ()
    bare: bool = False
    """Published with plain NATS, without an id."""
    missing: bool = False
    """The origin does not have it: the download must fail."""


def samples(large_bytes: int) -> tuple[Sample, ...]:
    """24 files, and one that is missing. The large one comes first: it takes longest."""
    dice = random.Random(SEED)  # noqa: S311 - sizes, not secrets
    low, high = SMALL_BYTES
    sizes = [int(low * (high / low) ** dice.random()) for _ in range(PLAIN)]
    return (
        Sample("large.bin", large_bytes),
        *(Sample(f"small-{index:02}.bin", size) for index, size in enumerate(sizes, 1)),
        *(Sample(f"{TAG}-{index}.bin", dice.randint(*TAGGED_BYTES), (TAG,)) for index in range(1, TAGGED + 1)),
        Sample("bare.bin", 300_000, bare=True),
        Sample("missing.bin", 0, missing=True),
    )


def check_room(folder: Path, wanted: Sequence[Sample]) -> None:
    """Raises NoRoom where `folder` can't hold every file twice: the origin's and the node's."""
    needed = 2 * sum(sample.bytes for sample in wanted) + SPARE_BYTES
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise NoRoom(
            f"the demo needs {format_size(needed)} of disk and {str(folder)!r} has {format_size(free)} free: "
            "make room there, or name another folder with --data"
        )


def make(folder: Path, wanted: Sequence[Sample]) -> None:
    """Write the origin's files: the same bytes every time, no two blocks alike. Blocks on the disk."""
    folder.mkdir(parents=True, exist_ok=True)
    for sample in wanted:
        if sample.missing:
            (folder / sample.name).unlink(missing_ok=True)
            continue
        with (folder / sample.name).open("wb") as file:
            for start in range(0, sample.bytes, MIB):
                seed = f"{SEED} {sample.name} {start}".encode()
                file.write(hashlib.shake_128(seed).digest(min(MIB, sample.bytes - start)))


def spoil(downloads: Path, ended: Mapping[Sample, Sequence[Finished]]) -> str:
    """Flip one bit of one finished file on a node's disk; what was done, for people."""
    for sample, outcomes in ended.items():
        if not sample.missing and outcomes and isinstance(outcomes[0], Completed):
            done = outcomes[0]
            with (downloads / done.node / done.path).open("r+b") as file:
                file.seek(sample.bytes // 2)
                byte = file.read(1)[0]
                file.seek(sample.bytes // 2)
                file.write(bytes([byte ^ 1]))
            return f"flipped one bit of {done.path} on {done.node}'s disk"
    return "found no finished file to spoil"


def trouble(
    sample: Sample, outcomes: Sequence[Finished], origin: Path, downloads: Path, tags: Mapping[str, Sequence[str]]
) -> str:
    """What is wrong with how a file ended, '' where all is as it should be. Reads both copies from the disk.

    `outcomes`: its `finished` events, at least one and rightly no more; `tags`: each node's.
    """
    ended, *more = outcomes
    if more:
        return f"ended {len(outcomes)} times: {', '.join(map(_how, outcomes))}"
    if sample.missing:
        if isinstance(ended, Failed) and ended.code == NOT_FOUND_CODE:
            return ""
        return f"should have failed with {NOT_FOUND_CODE}, but {_how(ended)}"
    if not isinstance(ended, Completed):
        return f"should have completed, but {_how(ended)}"
    if lacking := set(sample.tags) - set(tags.get(ended.node, ())):
        return f"ran on {ended.node}, which has no tag {', '.join(sorted(lacking))}"
    return _differs(sample, ended, origin / sample.name, downloads / ended.node / ended.path)


def _differs(sample: Sample, ended: Completed, source: Path, copy: Path) -> str:
    try:
        here = _digest(copy)
    except OSError as error:
        return f"{ended.node} says it has {ended.path}, but: {error.strerror}"
    served = _digest(source)
    if here != served:
        return f"the file on {ended.node}'s disk has {_brief(here)}, the origin serves {_brief(served)}"
    if ended.digest != served or ended.bytes != sample.bytes:
        return (
            f"the completed event says {ended.bytes} bytes with {_brief(ended.digest)}, "
            f"the origin serves {sample.bytes} bytes with {_brief(served)}"
        )
    return ""


def _how(ended: Finished) -> str:
    why = f": {reason}" if (reason := getattr(ended, "reason", "")) else ""
    return f"{ended.kind.removeprefix('finished.')}{why}"


def _digest(path: Path) -> str:
    with path.open("rb", buffering=0) as file:
        return f"sha-256={hashlib.file_digest(file, 'sha256').hexdigest()}"


def _brief(digest: str) -> str:
    return f"{digest[:24]}…"
