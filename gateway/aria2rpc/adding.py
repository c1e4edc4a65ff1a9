"""The methods that submit: addresses, torrents, metalinks."""

import base64
import binascii
import hashlib
from typing import Any
from xml.etree.ElementTree import Element

import bencode2
import structlog
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import ParseError, fromstring
from msgspec.structs import replace

from broker import payloads
from broker.cluster import NotSubmitted
from broker.errors import BrokerError
from gateway.aria2rpc.desk import Desk
from gateway.aria2rpc.errors import RpcError
from gateway.aria2rpc.gids import HASH_LABEL, LABEL, taken_gid
from gateway.aria2rpc.options import asked_of, refusal_of
from gateway.aria2rpc.params import Params
from schemas.control import Prioritise
from schemas.errors import RequestInvalid
from schemas.names import portable
from schemas.payload import INLINE_BYTES_MAX, OBJECT
from schemas.request import Request

log = structlog.get_logger()

NAME_CHARS_MAX = 256
"""What a request takes as its name."""


async def add_uri(desk: Desk, params: Params) -> Any:
    """Addresses of one file. The GID is the task's id."""
    uris, options, position = params.texts(0), params.table_if_any(1), params.place_if_any(2)
    if not uris:
        raise RpcError("URI is not provided.")
    usable = tuple(uri for uri in uris if ":" in uri)
    if not usable:
        raise RpcError("No URI to download.")
    return await _submit(desk, asked_of(Request(uris=usable), options), position)


async def add_torrent(desk: Desk, params: Params) -> Any:
    """base64 of a torrent, and its web seeds."""
    given, seeds = params.text(0), params.texts_if_any(1)
    options, position = params.table_if_any(2), params.place_if_any(3)
    content = _decoded(given)
    name, found = _read_torrent(content)
    request = asked_of(Request(torrent=OBJECT, uris=tuple(seed for seed in seeds if ":" in seed)), options)
    request = replace(request, name=name, labels=request.labels | {HASH_LABEL: found})
    return await _submit(desk, replace(request, torrent=await _referred(desk, content, ".torrent")), position)


async def add_metalink(desk: Desk, params: Params) -> Any:
    """base64 of a metalink: one task, whatever number of files it names."""
    given, options, position = params.text(0), params.table_if_any(1), params.place_if_any(2)
    content = _decoded(given)
    try:
        root = fromstring(content)
    except (ParseError, DefusedXmlException, ValueError) as error:
        raise RpcError("Could not parse Metalink XML document.") from error
    if _name(root) != "metalink" or "file" not in map(_name, root.iter()):
        return []
    request = asked_of(Request(metalink=OBJECT), options)
    return [await _submit(desk, replace(request, metalink=await _referred(desk, content, ".meta4")), position)]


async def _submit(desk: Desk, request: Request, position: int | None) -> str:
    """Store a request, move its task as asked, and wait until the lists have it."""
    chosen = request.labels.get(LABEL, "")
    if chosen and await desk.find(chosen) is not None:
        raise taken_gid()
    client = desk.gateway.client
    try:
        prepared = client.prepare(request, desk.caller.owner)
        await client.store(prepared)
    except RequestInvalid as error:
        raise refusal_of(error) from error
    except NotSubmitted as error:
        raise RpcError(str(error)) from error
    task = prepared.task
    desk.gateway.fresh.stored(prepared)
    await desk.settled(task, lambda now: now is not None)
    if position is not None:
        try:
            await desk.steer("prioritise", [task], Prioritise(position=position))
        except RpcError as error:  # it is submitted: a client that heard of a failure would submit it again
            log.warning("a new task stays where it is in line", task=task, problem=str(error))
    return chosen or task


def _read_torrent(content: bytes) -> tuple[str | None, str]:
    """Its name and its info hash. Raises RpcError."""
    try:
        found = bencode2.bdecode(content)
    except bencode2.BencodeDecodeError as error:
        raise RpcError("Bencode decoding failed") from error
    if not isinstance(found, dict):
        raise RpcError("torrent file does not contain a root dictionary.")
    info = found.get(b"info")
    if not isinstance(info, dict):
        raise RpcError("Missing info in torrent metainfo.")
    if b"pieces" not in info:
        raise RpcError("Missing pieces in torrent metainfo.")
    name = info.get(b"name")
    told = portable(name.decode(errors="replace"))[:NAME_CHARS_MAX] if isinstance(name, bytes) else ""
    return told or None, hashlib.sha1(bencode2.bencode(info), usedforsecurity=False).hexdigest()


def _name(element: Element) -> str:
    """Without its namespace."""
    return str(element.tag).rpartition("}")[2]


def _decoded(given: str) -> bytes:
    """base64 as aria2 reads it: what is none comes out as nothing."""
    try:
        return base64.b64decode(given, validate=True)
    except (binascii.Error, ValueError):
        return b""


async def _referred(desk: Desk, content: bytes, ending: str) -> str:
    """What a request says of it: the content itself, or the object that holds it."""
    if len(content) <= INLINE_BYTES_MAX:
        return base64.b64encode(content).decode()
    name = payloads.name_of(content, ending)
    try:
        await payloads.put(desk.gateway.client.connection, name, content)
    except BrokerError as error:
        raise RpcError(f"it could not be put into the object store: {error}") from error
    return OBJECT + name
