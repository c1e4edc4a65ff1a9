"""Placeholders in `dir` and `out` of a request, as in `{owner}/{tag:category}/{date}`. Pure.

What stands for a placeholder never adds a folder: each part of the expanded path is a safe name.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import PurePosixPath
from string import Formatter
from typing import NamedTuple
from urllib.parse import urlsplit

from msgspec import Struct

from schemas.names import portable, storable
from schemas.request import Request

PLAIN = ("owner", "date", "year", "month", "day", "host", "task", "name", "ext")
OF_REQUEST = ("tag", "label")
"""With the name of one: `{tag:category}` is `web` where the request has the tag `category=web`."""
KNOWN = ", ".join(f"{{{name}}}" for name in (*PLAIN, "tag:NAME", "label:NAME"))
OF_FILE = frozenset({"name", "ext"})
"""Known only once the origin was asked."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/-]{0,63}")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FORMATTER = Formatter()


class TemplateInvalid(ValueError):
    """A template that can't be expanded. The message says what to mend."""


class Placeholder(NamedTuple):
    field: str
    of: str = ""
    """The tag or label meant."""

    def __str__(self) -> str:
        return f"{{{self.field}:{self.of}}}" if self.of else f"{{{self.field}}}"


class About(Struct, frozen=True):
    """What placeholders stand for."""

    request: Request
    task: str
    owner: str
    submitted: datetime | None
    """When the inbox stored the request; rows of older versions lack it."""
    name: str
    """What the file is called where the request names it not."""


def pieces(template: str) -> list[str | Placeholder]:
    """Text and placeholders in turn. Raises TemplateInvalid."""
    if "{" not in template and "}" not in template:
        return [template]
    try:
        return list(_pieces(template))
    except TemplateInvalid:
        raise
    except ValueError as error:
        raise TemplateInvalid("a brace stands alone; write {{ or }} for a brace itself") from error


def _pieces(template: str) -> Iterator[str | Placeholder]:
    for text, field, of, conversion in _FORMATTER.parse(template):
        if text:
            yield text
        if field is None:
            continue
        whole = Placeholder(field, of or "")
        is_plain = field in PLAIN and not of
        is_of_request = field in OF_REQUEST and _NAME.fullmatch(of or "") is not None
        if conversion is not None or not (is_plain or is_of_request):
            raise TemplateInvalid(f"{str(whole)[:80]!r} is no placeholder; there are {KNOWN}; write {{{{ for a brace")
        yield whole


def check(template: str, request: Request) -> str:
    """The template with a letter for each placeholder, once all of them have a value. Raises TemplateInvalid."""
    found = pieces(template)
    for one in found:
        if isinstance(one, Placeholder) and one.field not in OF_FILE:
            _of_request(one, request)
    return "".join("x" if isinstance(one, Placeholder) else one for one in found)


def asks_name(template: str) -> bool:
    """Whether what the origin calls the file has a part in it. Raises TemplateInvalid."""
    return any(isinstance(one, Placeholder) and one.field in OF_FILE for one in pieces(template))


def expand(template: str, about: About, *, on_windows: bool) -> tuple[str, ...]:
    """The parts of the path, each a safe name. Raises TemplateInvalid."""
    parts: list[tuple[str, bool]] = [("", False)]
    for one in pieces(template):
        if isinstance(one, Placeholder):
            parts[-1] = (parts[-1][0] + _value(one, about), True)
            continue
        first, *others = one.split("/")
        parts[-1] = (parts[-1][0] + first, parts[-1][1])
        parts += [(other, False) for other in others]
    return tuple(
        (portable(text) or "_") if is_chosen else storable(text, on_windows=on_windows)
        for text, is_chosen in parts
        if is_chosen or text not in ("", ".")
    )


def _value(one: Placeholder, about: About) -> str:
    moment = (about.submitted or _EPOCH).astimezone(UTC)
    match one.field:
        case "owner" | "task":
            return str(getattr(about, one.field))
        case "date":
            return moment.date().isoformat()
        case "year":
            return f"{moment.year:04}"
        case "month" | "day":
            return f"{getattr(moment, one.field):02}"
        case "name":
            return PurePosixPath(about.name).stem
        case "ext":
            return PurePosixPath(about.name).suffix[1:]
    return _of_request(one, about.request)


def _of_request(one: Placeholder, request: Request) -> str:
    """What the request itself says. Raises TemplateInvalid where it does not."""
    match one.field:
        case "tag":
            for tag in request.tags:
                category, found, value = tag.partition("=")
                if found and category == one.of:
                    return value
            raise TemplateInvalid(f"{one} needs a tag {one.of}=… among `tags`")
        case "label":
            if one.of in request.labels:
                return request.labels[one.of]
            raise TemplateInvalid(f"{one} needs a label {one.of!r} among `labels`")
        case "host":
            if host := (urlsplit(request.uris[0]).hostname if request.uris else None):
                return host
            raise TemplateInvalid("{host} needs an address with a host")
    return ""
