"""aria2's input file, read as a stream: addresses of a file on one line, its options indented below (aria2c(1)).

Pure: bytes go in at `feed`, entries come out. What is wrong comes out too, in its place and with its line number.
"""

import codecs
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from schemas import codec
from schemas.checking import decode_request
from schemas.errors import DowndraftError, RequestInvalid
from schemas.options import ALLOWED
from schemas.request import REQUEST_BYTES_MAX, Request
from tools.moments import parse_date

LINE_BYTES_MAX = REQUEST_BYTES_MAX
"""A longer line could not become a request."""
HEAD_BYTES = 256
"""What is kept of a line that is too long: whether it is indented, and a comment."""
OPTIONS_MAX = 1000
"""Options of one entry: what is kept until the entry is whole is bounded."""
GID_HINT = "Downdraft gives the id; `id=…` is for your own"

TEXTS = {"out": "out", "dir": "dir", "checksum": "checksum", "size": "size", "id": "id", "name": "name"}
CHOICES = {"if-exists": "if_exists"}
FLAGS = {"pause": "paused"}
MOMENTS = {"not-before": "not_before", "deadline": "deadline"}
NUMBERS = {"priority": "priority", "max-attempts": "max_attempts"}
TAGS = {"tag": "tags", "avoid-tag": "avoid_tags", "prefer-tag": "prefer_tags"}
RESOURCES = {"disk": "disk", "bandwidth": "bandwidth"}
REPEATED = (*TAGS, "label", "header")
NAMES = (*TEXTS, *CHOICES, *FLAGS, *NUMBERS, *MOMENTS, *RESOURCES, *REPEATED)
"""What may stand before `=` besides the aria2 options of `schemas.options`."""


class Option(NamedTuple):
    line: int
    name: str
    value: str


class Entry(NamedTuple):
    """One file to download, as written."""

    line: int
    """Where its addresses stand; lines count from 1."""
    uris: tuple[str, ...]
    options: tuple[Option, ...]


class BadLine(NamedTuple):
    """Why an entry, or a line that belongs to none, can't be used."""

    line: int
    reason: str


class LineInvalid(DowndraftError):
    """An entry that can't become a request. `line` is the option's, or that of the addresses."""

    exit_code = 2

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"line {line}: {reason}")
        self.bad = BadLine(line, reason)


class Reader:
    """Turns the bytes of an input file, in pieces of any size, into entries."""

    def __init__(self) -> None:
        self._rest = b""
        self._cut = b""
        """How a line begins of which too much has come already; the rest of it is thrown away."""
        self._line = 0
        self._uris: tuple[str, ...] = ()
        self._began = 0
        self._options: list[Option] = []
        self._bad: BadLine | None = None

    def __repr__(self) -> str:
        return f"<Reader at line {self._line}>"

    def feed(self, piece: bytes) -> list[Entry | BadLine]:
        """What became whole with this piece."""
        *lines, self._rest = (self._rest + piece).split(b"\n")
        found: list[Entry | BadLine] = []
        for line in lines:
            found += self._take(line)
        if len(self._rest) > LINE_BYTES_MAX:
            self._cut = self._cut or self._rest[:HEAD_BYTES]
            self._rest = b""
        return found

    def end(self) -> list[Entry | BadLine]:
        """What was still open at the end of the file."""
        found = self._take(self._rest) if self._rest or self._cut else []
        self._rest = b""
        return found + self._close()

    def _take(self, raw: bytes) -> list[Entry | BadLine]:
        self._line += 1
        head, cut, self._cut = self._cut or raw[:HEAD_BYTES], bool(self._cut), b""
        if head.removeprefix(codecs.BOM_UTF8).lstrip(b" \t").startswith(b"#"):
            return []
        reason, text = "", ""
        if cut or len(raw) > LINE_BYTES_MAX:
            reason = f"longer than {LINE_BYTES_MAX} bytes"
        else:
            try:
                text = raw.removesuffix(b"\r").decode("utf-8-sig" if self._line == 1 else "utf-8")
            except UnicodeDecodeError:
                reason = "not UTF-8"
        if not reason and not text.strip():
            return []
        if head[:1] in (b" ", b"\t"):
            return self._option(text, reason)
        done = self._close()
        self._uris = tuple(uri for part in text.split("\t") if (uri := part.strip()))
        self._began = self._line
        self._bad = BadLine(self._line, reason) if reason else None
        return done

    def _option(self, text: str, reason: str) -> list[Entry | BadLine]:
        name, equals, value = text.partition("=")
        if not self._began:
            reason = "an option without an address above it; addresses begin at the start of a line"
        elif not reason and not (equals and name.strip()):
            reason = "an option is written as name=value"
        elif not reason and len(self._options) >= OPTIONS_MAX:
            reason = f"more than {OPTIONS_MAX} options for one file"
        if not reason:
            self._options.append(Option(self._line, name.strip(), value.strip()))
            return []
        bad = BadLine(self._line, reason)
        if not self._began:
            return [bad]
        self._bad = self._bad or bad  # the whole entry is refused, once, for its first fault
        return []

    def _close(self) -> list[Entry | BadLine]:
        if not self._began:
            return []
        done: Entry | BadLine = self._bad or Entry(self._began, self._uris, tuple(self._options))
        self._uris, self._began, self._options, self._bad = (), 0, [], None
        return [done]


def to_request(entry: Entry, defaults: Mapping[str, Any]) -> Request:
    """The request an entry asks for, checked as the coordinator checks it. Raises LineInvalid.

    `defaults`: fields of a request for every entry. The entry's own win; tags, labels, headers and options add up.
    """
    fields: dict[str, Any] = {**defaults, "uris": entry.uris}
    for field in ("labels", "headers", "options", "resources"):
        fields[field] = dict(defaults.get(field, {}))
    for field in TAGS.values():
        fields[field] = list(defaults.get(field, ()))
    lines: dict[str, int] = {}
    for option in entry.options:
        lines[_put(fields, option)] = option.line
    try:
        return decode_request(codec.encode(fields))
    except RequestInvalid as error:
        root = re.split(r"[.\[]", error.where)[0]
        line = lines.get(error.where) or lines.get(root) or entry.line
        raise LineInvalid(line, str(error)) from error


def _put(fields: dict[str, Any], option: Option) -> str:
    """Set what one option says; the name of the field it went to. Raises LineInvalid."""
    line, name, value = option
    if field := (TEXTS | CHOICES).get(name):
        fields[field] = value
        return field
    if name in FLAGS:
        if value not in ("true", "false"):
            raise LineInvalid(line, f"{name} must be true or false, not {value[:40]!r}")
        fields[FLAGS[name]] = value == "true"
        return FLAGS[name]
    if name in MOMENTS:
        try:
            fields[MOMENTS[name]] = parse_date(value)
        except ValueError as error:
            told = f"{name} must be a date such as 2031-05-01T22:00:00Z (local time without a zone)"
            raise LineInvalid(line, f"{told}, not {value[:40]!r}") from error
        return MOMENTS[name]
    if name in NUMBERS:
        try:
            fields[NUMBERS[name]] = int(value)
        except ValueError as error:
            raise LineInvalid(line, f"{name} must be a whole number, not {value[:40]!r}") from error
        return NUMBERS[name]
    if name in RESOURCES:
        fields["resources"][RESOURCES[name]] = value
        return f"resources.{RESOURCES[name]}"
    if name in REPEATED:
        return _add(fields, option)
    if name in ALLOWED:
        fields["options"][name] = value
        return f"options.{name}"
    hint = GID_HINT if name == "gid" else f"allowed are {', '.join((*NAMES, *ALLOWED))}"
    raise LineInvalid(line, f"{name[:40]!r} is not an option of an input file; {hint}")


def _add(fields: dict[str, Any], option: Option) -> str:
    line, name, value = option
    if name in TAGS:
        tags = fields[TAGS[name]]
        tags += [value] if value not in tags else []
        return TAGS[name]
    separator, field = ("=", "labels") if name == "label" else (":", "headers")
    key, found, text = (part.strip() for part in value.partition(separator))
    if not found or not key:
        raise LineInvalid(line, f"write {name}=name{separator}value")
    if name == "header":  # the same header in other letters would be sent twice
        for same in [each for each in fields[field] if each.lower() == key.lower()]:
            del fields[field][same]
    fields[field][key] = text
    return field
