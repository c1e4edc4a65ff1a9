"""aria2's options as a request of the cluster, and back. Pure."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from gateway.aria2rpc.defaults import FOLDER, OF_DOWNLOADS, OF_THE_WHOLE
from gateway.aria2rpc.errors import RpcError, bad_option
from schemas.errors import RequestInvalid
from schemas.options import ALLOWED, SECRET, Value, check_options
from schemas.payload import Kind
from schemas.refusedoptions import REASONS
from schemas.request import IfExists, Request
from schemas.sizes import parse_size

SIZES = frozenset(
    (
        *("bt-request-peer-speed-limit", "lowest-speed-limit", "max-download-limit", "max-upload-limit"),
        *("min-split-size", "piece-length", "max-overall-download-limit", "max-overall-upload-limit"),
    )
)
"""Answered as numbers of bytes, however they were given."""
FIELDS = frozenset({"dir", "out", "header", "checksum", "pause", "follow-torrent", "follow-metalink"})
"""Said by fields of a request, or by what is done with it."""
CHOICES: Mapping[str, frozenset[str]] = {
    "allow-overwrite": frozenset({"true", "false"}),
    "auto-file-renaming": frozenset({"true", "false"}),
    "continue": frozenset({"true", "false"}),
    "check-integrity": frozenset({"true", "false"}),
    "file-allocation": frozenset({"none", "prealloc", "trunc", "falloc"}),
    "remote-time": frozenset({"true", "false"}),
    "rpc-save-upload-metadata": frozenset({"true", "false"}),
    "http-accept-gzip": frozenset({"true", "false"}),
    "parameterized-uri": frozenset({"false"}),
    "bt-save-metadata": frozenset({"true", "false"}),
    "force-save": frozenset({"true", "false"}),
    "save-not-found": frozenset({"true", "false"}),
}
"""Options that change how a machine goes about it rather than what comes of it: taken, and left to the node."""
_DRIVE = re.compile(r"[A-Za-z]:")


class Asked(Struct, frozen=True):
    """What came with an add call."""

    request: Request
    is_paused: bool = False


def asked_of(request: Request, options: Mapping[str, Any]) -> Asked:
    """A request with what a client's options say. Raises RpcError for what a cluster can't honour.

    As in aria2, names that it does not know and values that are no text are passed over.
    """
    given = {name: value for name, value in options.items() if isinstance(value, str | list)}
    texts = {name: value for name, value in given.items() if isinstance(value, str)}
    for name, value in texts.items():
        if name not in FIELDS and name not in ALLOWED:
            _refuse_unless_idle(name, value)
    chosen: dict[str, Value] = {name: value for name, value in texts.items() if name in ALLOWED and value != ""}
    request = replace(
        request,
        options=dict(checked_options(chosen)),
        headers=_headers(given.get("header", [])),
        out=texts.get("out") or None,
        dir=folder_of(texts["dir"]) if texts.get("dir") else None,
        checksum=texts.get("checksum") or None,
        if_exists=_if_exists(texts),
        kind=_kind(request, texts),
    )
    return Asked(request, is_paused=_is_true("pause", texts))


def checked_options(chosen: Mapping[str, Value]) -> dict[str, str]:
    """Raises RpcError, which names the first that can't be."""
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
    return bad_option(option) if option in FIELDS else RpcError(str(error))


def folder_of(path: str) -> str | None:
    """The sub-folder that a client's `dir` means: below FOLDER, or below its root where it names another place."""
    plain = _DRIVE.sub("", path, count=1) if _DRIVE.match(path) else path
    plain = plain.replace("\\", "/").removeprefix("~")
    if plain == FOLDER or plain.startswith(f"{FOLDER}/"):
        plain = plain[len(FOLDER) :]
    parts = [part for part in plain.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise bad_option("dir")
    return "/".join(parts) or None


def options_of(request: Request | None) -> dict[str, str]:
    """What getOption answers: aria2's defaults, and above them what the request says; nothing that is secret."""
    told = dict(OF_DOWNLOADS)
    if request is None:
        return told
    told |= {name: normal(name, value) for name, value in request.options.items() if name not in SECRET}
    if request.dir:
        told["dir"] = f"{FOLDER}/{request.dir}"
    if request.out:
        told["out"] = request.out
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


def is_known(name: str) -> bool:
    """Whether aria2 knows such an option for a download: what it does not know it passes over."""
    return name in ALLOWED or name in FIELDS or ((name in REASONS or name in OF_DOWNLOADS) and name not in OF_THE_WHOLE)


def _refuse_unless_idle(name: str, value: str) -> None:
    """Options that can't be honoured may be said all the same where they say nothing: many clients send them all."""
    if not is_known(name) or value in ("", OF_DOWNLOADS.get(name)) or value in CHOICES.get(name, ()):
        return
    raise bad_option(name)


def _headers(given: str | list[Any]) -> dict[str, str]:
    lines: Iterable[Any] = given.split("\n") if isinstance(given, str) else given
    headers: dict[str, str] = {}
    for line in lines:
        if not isinstance(line, str) or not line.strip():
            continue
        name, colon, value = line.partition(":")
        if not colon or not name.strip():
            raise bad_option("header")
        headers[name.strip()] = value.strip()
    return headers


def _if_exists(texts: Mapping[str, str]) -> IfExists:
    if _is_true("allow-overwrite", texts):
        return IfExists.OVERWRITE
    return IfExists.FAIL if texts.get("auto-file-renaming") == "false" else IfExists.RENAME


def _kind(request: Request, texts: Mapping[str, str]) -> Kind:
    """`follow-torrent=false` means the torrent file itself."""
    payload = request.payload
    return Kind.FILE if payload is not Kind.FILE and texts.get(f"follow-{payload}") == "false" else request.kind


def _is_true(name: str, texts: Mapping[str, str]) -> bool:
    value = texts.get(name, "false")
    if value not in ("true", "false", ""):
        raise bad_option(name)
    return value == "true"
