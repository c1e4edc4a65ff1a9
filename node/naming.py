"""What a task's file is called, and in which folder it lies. Pure."""

import os
import re
import warnings
from pathlib import PurePosixPath

from aiohttp.multipart import BadContentDispositionHeader, BadContentDispositionParam
from aiohttp.multipart import content_disposition_filename as filename_of
from aiohttp.multipart import parse_content_disposition as parsed

from schemas import templates
from schemas.names import portable
from schemas.request import Request, file_name
from schemas.task import TaskRow

ON_WINDOWS = os.name == "nt"
DISPOSITION_CHARS_MAX = 8192
"""Of a Content-Disposition that is read at all; a name has 255 bytes."""


def asks_name(request: Request) -> bool:
    """Whether the origin must be asked what it calls the file."""
    return request.out is None or any(map(templates.asks_name, filter(None, (request.out, request.dir))))


def final_path(row: TaskRow, told: str = "") -> PurePosixPath:
    """Where the file is to lie below the download folder; `told`: what its origin calls it, made safe.

    Raises TemplateInvalid, for rows of other versions.
    """
    assert row.request is not None, "a rejected request is never placed"
    name = told or untold_name(row.request)
    out = _expanded(row.request.out, row, name) if row.request.out else PurePosixPath(name)
    return folder_of(row, name) / out


def untold_name(request: Request) -> str:
    """What a file or folder is called of which nobody tells a name: what the request carries has no address."""
    return file_name(request.uris[0]) if request.uris else portable(request.name or "") or str(request.payload)


def folder_of(row: TaskRow, name: str) -> PurePosixPath:
    """The folder that the request asks for, below the download folder; `name`: what stands for `{name}` and `{ext}`.

    Raises TemplateInvalid, for rows of other versions.
    """
    assert row.request is not None, "a rejected request is never placed"
    return _expanded(row.request.dir or "", row, name)


def _expanded(template: str, row: TaskRow, name: str) -> PurePosixPath:
    assert row.request is not None
    about = templates.About(row.request, row.task, row.owner, row.submitted, name)
    return PurePosixPath(*templates.expand(template, about, on_windows=ON_WINDOWS))


def disposed_name(header: str) -> str:
    """The file name of a Content-Disposition (RFC 6266), made safe to store; empty where there is none.

    `filename*` goes before `filename`; of a path the last part counts.
    """
    if not header or len(header) > DISPOSITION_CHARS_MAX:
        return ""
    with warnings.catch_warnings():
        for kind in (BadContentDispositionHeader, BadContentDispositionParam):
            warnings.simplefilter("ignore", kind)
        try:
            found = filename_of(parsed(_readable(header))[1])
        except (ValueError, LookupError):
            found = None
    return portable(re.split(r"[/\\]", found.rstrip("/\\"))[-1]) if found else ""


def _readable(header: str) -> str:
    """Bytes beyond ASCII are UTF-8 from some origins, and Latin-1 by the old rules from others."""
    raw = header.encode("utf-8", "surrogateescape")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")
