"""aria2's options as a request of the cluster, and back. Pure."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from msgspec.structs import replace

from gateway.aria2rpc.defaults import FOLDER, NOBODY, OF_DOWNLOADS
from gateway.aria2rpc.errors import RpcError, bad_option
from gateway.aria2rpc.gids import LABEL, chosen_gid
from gateway.aria2rpc.optionkinds import KNOWN, LINES, is_taken, within
from gateway.aria2rpc.paths import folder_of, literal, name_of, shown
from schemas.checking import meaningless
from schemas.errors import RequestInvalid
from schemas.options import ALLOWED, SECRET, Value, check_options
from schemas.payload import Kind
from schemas.request import IfExists, Request
from schemas.sizes import parse_size

SIZES = frozenset(
    (
        *("bt-request-peer-speed-limit", "lowest-speed-limit", "max-download-limit", "max-upload-limit"),
        *("min-split-size", "piece-length", "max-overall-download-limit", "max-overall-upload-limit"),
    )
)
"""Answered as numbers of bytes, however they were given."""
FIELDS = frozenset({"dir", "out", "checksum", "gid"})
"""Said by fields of a request."""
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_|~-]{1,128}")


def asked_of(request: Request, options: Mapping[str, Any]) -> Request:
    """A request with what a client's options say. Raises RpcError for what aria2 refuses, or a cluster can't honour.

    As in aria2, names that it does not know and values that are no text are passed over. What means nothing for this
    download is left out: many clients send their whole form.
    """
    texts = {name: value for name, value in options.items() if isinstance(value, str)}
    checked = taken(texts)
    request = replace(request, kind=_kind(request, texts))
    strange = meaningless(request.payload)
    if request.payload is not Kind.FILE and lines_of(options.get("index-out")):
        raise bad_option("index-out")
    folder = folder_of(texts.get("dir", ""))
    gid = chosen_gid(texts.get("gid", ""))
    return replace(
        request,
        options={name: value for name, value in checked.items() if name not in strange},
        headers=_headers(options.get("header")),
        out=literal(name_of(texts.get("out", ""), folder)),
        dir=literal(folder),
        checksum=_checksum(texts.get("checksum", "")) if request.payload is Kind.FILE else None,
        if_exists=_if_exists(texts),
        paused=_is_true("pause", texts),
        labels={LABEL: gid} if gid else {},
    )


def taken(texts: Mapping[str, str]) -> dict[str, str]:
    """Of a client's options those that a request may set, as it may set them. Raises RpcError, which names the first
    that can't be."""
    for name, value in texts.items():
        if name in KNOWN and name not in ALLOWED and name not in FIELDS | LINES and not is_taken(name, value):
            raise bad_option(name)
    chosen = {
        name: within(name, value)
        for name, value in texts.items()
        if name in ALLOWED and value not in ("", NOBODY.get(name))
    }
    try:
        return check_options(chosen)
    except RequestInvalid as error:
        raise bad_option(error.where.removeprefix("options.")) from error


def refusal_of(error: RequestInvalid) -> RpcError:
    """A request that can't be accepted, as aria2 would put it: by the option that the field came from."""
    field, _, name = error.where.partition(".")
    if field == "options":
        return bad_option(name)
    option = {"headers": "header"}.get(field, field)
    return bad_option(option) if option in FIELDS | LINES else RpcError(str(error))


def options_of(request: Request | None) -> dict[str, str]:
    """What getOption answers: aria2's defaults, and above them what the request says; nothing that is secret."""
    told = dict(OF_DOWNLOADS)
    if request is None:
        return told
    told |= {name: normal(name, value) for name, value in request.options.items() if name not in SECRET}
    if request.dir:
        told["dir"] = f"{FOLDER}/{shown(request.dir)}"
    if request.out:
        told["out"] = shown(request.out)
    if request.checksum:
        told["checksum"] = request.checksum
    told["allow-overwrite"] = str(request.if_exists is IfExists.OVERWRITE).lower()
    told["auto-file-renaming"] = str(request.if_exists is not IfExists.FAIL).lower()
    return told


def normal(name: str, value: Value) -> str:
    """`900K` as `921600`, True as `true`."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(parse_size(str(value))) if name in SIZES else str(value)


def news(texts: Mapping[str, str], told: Mapping[str, str]) -> dict[str, str]:
    """Of options that a client sends back what is another than it was told: forms are posted back whole."""
    return {name: value for name, value in texts.items() if not _is_same(name, value, told.get(name))}


def _is_same(name: str, value: str, told: str | None) -> bool:
    if told is None:
        return value == ""
    if name == "dir":
        return folder_of(value) == folder_of(told)
    try:
        return normal(name, value) == told
    except ValueError:
        return False


def lines_of(given: object) -> list[str]:
    """What may come as a list or as lines."""
    found: Iterable[Any] = given if isinstance(given, list) else [given]
    lines = [line.strip() for one in found if isinstance(one, str) for line in one.splitlines()]
    return [line for line in lines if line]


def _headers(given: object) -> dict[str, str]:
    """What is no header is passed over: aria2 takes it, and no server would. One that comes twice is one of both."""
    headers: dict[str, str] = {}
    for line in lines_of(given):
        name, colon, value = line.partition(":")
        if not colon or not _HEADER_NAME.fullmatch(name.strip()) or "\0" in value:
            continue
        name, value = name.strip(), value.strip()
        same = next((known for known in headers if known.lower() == name.lower()), name)
        joint = "; " if same.lower() == "cookie" else ", "
        headers[same] = f"{headers[same]}{joint}{value}" if same in headers else value
    return headers


def _checksum(given: str) -> str | None:
    kind, equals, digest = given.partition("=")
    return f"{kind.lower()}{equals}{digest}" if given else None


def _if_exists(texts: Mapping[str, str]) -> IfExists:
    if _is_true("allow-overwrite", texts):
        return IfExists.OVERWRITE
    return IfExists.FAIL if texts.get("auto-file-renaming") == "false" else IfExists.RENAME


def _kind(request: Request, texts: Mapping[str, str]) -> Kind:
    """`follow-torrent=false` means the torrent file itself."""
    payload = request.payload
    is_fetched = request.torrent is None and request.metalink is None
    return Kind.FILE if is_fetched and texts.get(f"follow-{payload}") == "false" else request.kind


def _is_true(name: str, texts: Mapping[str, str]) -> bool:
    return texts.get(name) == "true"
