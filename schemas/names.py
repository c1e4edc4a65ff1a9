"""File names that are safe to store. Pure.

What others choose (an origin, an address, a label) becomes a name that every platform takes and no shell stumbles over;
what a request says in so many words is kept as it is wherever the platform takes it.
"""

import re
import unicodedata
from pathlib import PurePosixPath

NAME_BYTES_MAX = 255
"""What file systems take for one name."""
EXTENSION_BYTES_MAX = 32
"""What is longer is no extension, and is not kept when a name is cut."""
KEPT_PREFIX = ".downdraft"
"""Names that begin so are the node's own, in whatever letters: some file systems take capitals for small ones."""

_NEVER = re.compile(r"[\x00-\x1f\x7f/\\\ud800-\udfff]")
"""Control characters, separators, and what can't be encoded."""
_UNWANTED = re.compile(r'[\x00-\x1f\x7f-\x9f/\\<>:"|?*\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]')
"""Besides those what Windows does not take, and what turns the direction of writing: `exe.txt` shown of `txt.exe`."""
_DEVICE = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³]) *(\.|$)", re.IGNORECASE)
"""Windows opens a device under these names, whatever the extension."""


def portable(chosen: str) -> str:
    """A name that every platform takes, from what others chose; empty where nothing of it is left.

    It does not begin with `.`, `-` or `~`: such names are hidden, or taken for options or homes.
    """
    name = _UNWANTED.sub("_", unicodedata.normalize("NFC", chosen)).strip().rstrip(". ")
    if name[:1] in (".", "-", "~"):
        name = "_" + name.lstrip(".-~")
    if _DEVICE.match(name):
        name = f"_{name}"
    return "" if not name.strip("_ ") else shortened(name)


def storable(part: str, *, on_windows: bool) -> str:
    """A part of a path as a request wrote it, changed only where it can't be stored so. Never empty, `.` or `..`."""
    name = _NEVER.sub("_", unicodedata.normalize("NFC", part))
    if on_windows:
        name = _UNWANTED.sub("_", name).rstrip(". ")
        name = f"_{name}" if _DEVICE.match(name) else name
    if name in ("", ".", "..") or name.casefold().startswith(KEPT_PREFIX):
        name = f"_{name.strip('.')}"
    return shortened(name)


def shortened(name: str, room: int = NAME_BYTES_MAX, tail: str = "") -> str:
    """The name in at most `room` bytes of UTF-8, with its extension; `tail` goes before that, as in `name.1.ext`."""
    extension = PurePosixPath(name).suffix
    if len(extension.encode(errors="replace")) > EXTENSION_BYTES_MAX:
        extension = ""
    stem = name.removesuffix(extension)
    left = room - len(f"{tail}{extension}".encode())
    encoded = stem.encode()
    if len(encoded) > left:
        stem = encoded[:left].decode(errors="ignore").rstrip(". ")
    return f"{stem}{tail}{extension}"
