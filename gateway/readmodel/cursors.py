"""Where a page ended, as those who ask for the next are told it. Pure."""

import base64
import binascii
from enum import StrEnum

import msgspec
from msgspec import Struct

from schemas.errors import DowndraftError


class CursorInvalid(DowndraftError):
    """What was given as `after` is no end of a page of this listing."""


class Sort(StrEnum):
    """What a listing goes by; `-` is downwards."""

    NEWEST = "-time"
    """When it was submitted, or once it has ended: finished; the latest first."""
    OLDEST = "time"
    NAME = "name"
    NAME_DOWN = "-name"
    SIZE = "size"
    SIZE_DOWN = "-size"
    PRIORITY = "priority"
    PRIORITY_DOWN = "-priority"
    QUEUE = "queue"
    """As they are in line: live tasks alone, whatever their state, the highest priority first, then by their order."""

    @property
    def column(self) -> str:
        bare = self.value.lstrip("-")
        return {"time": "key", "queue": "line"}.get(bare, bare)

    @property
    def is_down(self) -> bool:
        return self.value.startswith("-")


class Cursor(Struct, frozen=True, array_like=True):
    """The last task of a page, or how far was looked where few match."""

    sort: Sort
    seen_to: int
    """The log's last outcome when the first page was made. What ends later stays where it stood in this listing."""
    value: int | str
    task: int
    """Among equals of one value."""


def written(cursor: Cursor) -> str:
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(cursor)).rstrip(b"=").decode()


def _fits(number: int) -> bool:
    """As the database counts."""
    return -(1 << 63) <= number < 1 << 63


def read(after: str, sort: Sort) -> Cursor:
    """Raises CursorInvalid."""
    try:
        packed = base64.b64decode(after + "=" * (-len(after) % 4), altchars=b"-_", validate=True)
        cursor = msgspec.msgpack.decode(packed, type=Cursor)
    except (binascii.Error, ValueError, msgspec.MsgspecError) as error:
        raise CursorInvalid("`after` is not what a page told: begin with the first page") from error
    numbers = [one for one in (cursor.seen_to, cursor.task, cursor.value) if isinstance(one, int)]
    is_text = isinstance(cursor.value, str)
    if cursor.sort is not sort or is_text != (sort.column in ("name", "line")) or not all(map(_fits, numbers)):
        raise CursorInvalid(f"`after` is of a listing by {cursor.sort.value!r}: go on with the same order")
    return cursor
