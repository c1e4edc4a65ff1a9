"""Whether a node's disks let it take tasks, which of those it has can't stay, which partials must go. Pure."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from msgspec import Struct

from schemas.errors import SettingInvalid
from schemas.settings import NodeSettings
from schemas.sizes import format_size

LOOK_EVERY_S = 2.0
"""With each heartbeat of the usual kind: what it tells is as new."""
SOON_S = 0.2
"""While a download of unknown size comes near the low mark: what comes meanwhile is far less than that."""
STRAY_AGE_S = 3600.0
"""Partial files of tasks that are not here, untouched for so long, are deleted: a task that comes back within the
hour goes on with what is there."""
JOURNAL_AGE_S = 30 * 86_400.0
"""Longer than the log keeps outcomes by default: what became of a task can't be found out any more."""


class Marks(NamedTuple):
    """Free bytes below which no task is taken, and from which tasks are taken again."""

    low: int
    high: int

    @classmethod
    def of(cls, settings: NodeSettings) -> "Marks":
        """Raises SettingInvalid where `node.disk` leaves no room above the low mark."""
        low, high, limit = settings.disk_low, settings.disk_high, settings.disk
        if limit:
            if limit <= low:
                raise SettingInvalid(
                    f"node.disk ({format_size(limit)}) leaves nothing above node.disk_low ({format_size(low)}), "
                    "so that no task would ever be taken: raise the one or lower the other"
                )
            high = min(high, (low + limit) // 2)  # else a small share would have to be nearly empty to open again
        return cls(low, max(low, high))


class Look(Struct, frozen=True, kw_only=True):
    """What one look at the disks found."""

    free_bytes: int
    capacity_bytes: int = 0
    is_allotted: bool = False
    """Less is free of what the download folder may take up than of the disk."""
    problem: str = ""
    """Why nothing can be written into the download folder."""
    is_spent: bool = False
    """… for want of room: blocks, file entries or a quota, whatever the free bytes are."""
    state_problem: str = ""
    """Why nothing can be written into the node's own state folder."""


class Room(Struct, frozen=True, kw_only=True):
    """What follows from the looks so far."""

    free_bytes: int = 0
    capacity_bytes: int = 0
    """Of the disk, or what of it the download folder may take up."""
    is_low: bool = False
    """Below the low mark, or since then not above the high one."""
    is_spent: bool = False
    is_writable: bool = False
    """What runs may go on."""
    trouble: str = "its disk was not looked at yet"
    """Why no task is taken, for people; empty where tasks are."""
    kind: str = ""
    """The trouble without figures: changes when there is something new to say."""

    @property
    def is_open(self) -> bool:
        return not self.trouble

    @property
    def wants_room(self) -> bool:
        """Whether deleting partial files may help, and can be done."""
        return self.is_spent or (self.is_low and self.is_writable)


def after(before: Room, look: Look, marks: Marks) -> Room:
    """Close below the low mark, open from the high one on; what can't be written is closed whatever is free."""
    is_low = look.free_bytes < (marks.high if before.is_low else marks.low)
    trouble = kind = look.problem or look.state_problem
    if is_low and (look.is_spent or not look.problem):
        kind = "what node.disk allows is used up" if look.is_allotted else "the disk is full"
        trouble = f"{kind}: {format_size(look.free_bytes)} free, takes tasks again at {format_size(marks.high)}"
    return Room(
        free_bytes=look.free_bytes,
        capacity_bytes=look.capacity_bytes,
        is_low=is_low,
        is_spent=look.is_spent,
        is_writable=not look.problem or look.is_spent,
        trouble=trouble,
        kind=kind,
    )


class Download(NamedTuple):
    """A download this node has and has not finished."""

    task: str
    has_begun: bool
    left: int
    """Bytes still to come, 0 while unknown."""
    has: int = 0
    """Of one that does not tell its size: bytes that came; else 0."""
    speed: int = 0
    """… and how many come a second."""


def leaving(room: Room, held: Sequence[Download], marks: Marks) -> list[str]:
    """Which tasks are to be given back, `held` being in the order in which they came here.

    Everything where nothing can be written; what has not begun where the node is closed. Of what runs, whatever has
    most to come until the rest fits on the disk. Of what waits, what would fill the disk beyond the low mark.
    """
    if not room.is_writable:
        return [one.task for one in held]
    running = sorted((one for one in held if one.has_begun), key=lambda one: one.left)
    waiting = [one for one in held if not one.has_begun]
    away: list[str] = []
    needed = sum(one.left for one in running)
    while running and needed > room.free_bytes:
        most = running.pop()
        needed -= most.left
        away.append(most.task)
    if not room.is_open:
        return away + [one.task for one in waiting]
    for one in waiting:
        if fits(room, one.left, needed, marks):
            needed += one.left
        else:
            away.append(one.task)
    return away


def outgrowing(room: Room, held: Sequence[Download], marks: Marks) -> list[str]:
    """Which downloads that do not tell their size have to end before they fill the disk.

    What the others still need and the low mark are not theirs. First the one that took most; all of them where half of
    the low mark is gone.
    """
    growing, reserve = _growing(room, held)
    if not growing or reserve >= marks.low:
        return []
    return [one.task for one in growing] if reserve < marks.low // 2 else [growing[-1].task]


def is_near(room: Room, held: Sequence[Download], marks: Marks) -> bool:
    """Whether that may come to pass before the disk is looked at twice more: it is to be looked at sooner."""
    growing, reserve = _growing(room, held)
    return bool(growing) and reserve - marks.low < 2 * LOOK_EVERY_S * sum(one.speed for one in growing)


def _growing(room: Room, held: Sequence[Download]) -> tuple[list[Download], int]:
    """What tells no size, the largest last, and the bytes that are free beside what the others need."""
    needed = sum(one.left for one in held if one.has_begun)
    return sorted((one for one in held if one.has), key=lambda one: one.has), room.free_bytes - needed


def fits(room: Room, size: int, others_left: int, marks: Marks) -> bool:
    """Whether a file of `size` bytes (0: unknown) may begin beside downloads with so much to come."""
    return room.is_open and (not size or size + others_left <= room.free_bytes - marks.low)


class Partial(NamedTuple):
    """What is staged of a task."""

    task: str
    bytes: int
    """On the disk."""
    touched: float
    """When anything of it changed last, Unix time."""
    is_journalled: bool
    """Its whole file got its place and may not be reported yet: nothing is won by deleting the rest."""


def strays(partials: Iterable[Partial], *, now: float, missing_bytes: int) -> list[Partial]:
    """Which of the partials that nobody owns go now: the old ones, then the oldest until `missing_bytes` are won."""
    gone = []
    for one in sorted(partials, key=lambda one: one.touched):
        age_s = now - one.touched
        if age_s > JOURNAL_AGE_S or (not one.is_journalled and (age_s > STRAY_AGE_S or missing_bytes > 0)):
            gone.append(one)
            missing_bytes -= one.bytes
    return gone


def missing_bytes(room: Room, marks: Marks) -> int:
    """What deleting should win now: up to the high mark where the disk is low; all it can where it is spent."""
    if room.is_spent:
        return 1 << 62
    return marks.high - room.free_bytes if room.wants_room else 0
