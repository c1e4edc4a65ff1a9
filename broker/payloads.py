"""Torrents and metalinks that are too large for a request: the object store bucket `payloads`.

Laid out as NATS lays out its object stores (ADR-20), so that `nats object put payloads FILE` serves as well. Read
through the stream's leader, and never more than was asked for: what a producer stored is not trusted.
"""

import base64
import hashlib
import re
from datetime import UTC, datetime
from uuid import uuid4

import msgspec
from msgspec import Struct

from broker import checked
from broker.connection import Connection
from broker.errors import BrokerError
from schemas import codec
from schemas import subjects as s
from schemas.payload import OBJECT

CHUNK_BYTES = 128 << 10
"""As the NATS tools cut objects."""
OBJECT_BYTES_MAX = 16 << 20
"""The torrent of a hundred thousand files, or of many terabytes."""
CHUNKS_MAX = 4096
"""Somebody else's chunks may be smaller: an object of so many is read in seconds."""
ROLLUP = {"Nats-Rollup": "sub"}
"""On an object's description: the one before it goes."""
_DIGEST = "SHA-256="
_HASH = re.compile(r"[0-9a-f]{64}(?=\.)")


class PayloadMissing(BrokerError):
    """There is no such object, or not all of it, or it is none that may be read."""


class _Meta(Struct):
    """What describes an object, in the words of NATS."""

    name: str
    bucket: str = s.PAYLOADS
    nuid: str = ""
    size: int = 0
    chunks: int = 0
    digest: str = ""
    mtime: str = ""
    deleted: bool = False
    options: dict[str, int] = {}


async def put(connection: Connection, name: str, content: bytes) -> None:
    """Store an object under `name`; one of that name before is replaced.

    Raises PayloadMissing for one that is too large, StoreFull, ApiRefused, Unanswered.
    """
    if len(content) > OBJECT_BYTES_MAX:
        raise PayloadMissing(f"{name}: {len(content)} bytes are more than the {OBJECT_BYTES_MAX} of a payload")
    nuid = uuid4().hex
    chunks = [content[at : at + CHUNK_BYTES] for at in range(0, len(content), CHUNK_BYTES)]
    for chunk in chunks:
        await connection.store(s.payload_chunks(nuid), chunk)
    meta = _Meta(
        name=name,
        nuid=nuid,
        size=len(content),
        chunks=len(chunks),
        digest=_digest(content),
        mtime=datetime.now(UTC).isoformat(),
        options={"max_chunk_size": CHUNK_BYTES},
    )
    await connection.store(s.payload_meta(name), codec.encode(meta), ROLLUP)


async def get(connection: Connection, name: str) -> bytes:
    """The content of an object. Raises PayloadMissing, ApiRefused, Unanswered."""
    found = await checked.get(connection, s.PAYLOADS_STREAM, {"last_by_subj": s.payload_meta(name)})
    if found is None:
        raise PayloadMissing(f"there is no object {name!r} in the bucket {s.PAYLOADS!r}: has it expired?")
    try:
        meta = codec.decode(found.data, _Meta)
    except msgspec.MsgspecError as error:
        raise PayloadMissing(f"what describes the object {name!r} can't be read: {error}") from error
    if meta.deleted or not meta.nuid:
        raise PayloadMissing(f"the object {name!r} in the bucket {s.PAYLOADS!r} was deleted")
    if meta.size > OBJECT_BYTES_MAX or meta.chunks > CHUNKS_MAX:
        raise PayloadMissing(f"the object {name!r} has {meta.size} bytes, a payload at most {OBJECT_BYTES_MAX}")
    content = await _read(connection, name, meta)
    if len(content) != meta.size or (meta.digest and _bare(_digest(content)) != _bare(meta.digest)):
        raise PayloadMissing(f"the object {name!r} in the bucket {s.PAYLOADS!r} is not whole; store it again")
    named = _HASH.match(name)
    if named and named[0] != hashlib.sha256(content).hexdigest():
        raise PayloadMissing(f"the object {name!r} is not what its name says: somebody stored another one there")
    return content


def name_of(content: bytes, ending: str) -> str:
    """The name of an object that is called by its content: whatever else is stored there is known to be wrong."""
    return hashlib.sha256(content).hexdigest() + ending


def is_fixed(given: str) -> bool:
    """Whether a request's torrent or metalink is what its sender saw: nobody can store another one in its place."""
    return not given.startswith(OBJECT) or _HASH.match(given.removeprefix(OBJECT)) is not None


async def _read(connection: Connection, name: str, meta: _Meta) -> bytes:
    """Its chunks, one behind the other: each is found behind the one before, so they are asked for in turn."""
    parts: list[bytes] = []
    size = after = 0
    for _ in range(meta.chunks):
        query: dict[str, str | int] = {"seq": after + 1, "next_by_subj": s.payload_chunks(meta.nuid)}
        found = await checked.get(connection, s.PAYLOADS_STREAM, query)
        if found is None:
            break
        after = found.sequence
        size += len(found.data)
        if size > OBJECT_BYTES_MAX:
            raise PayloadMissing(f"the object {name!r} is larger than it says")
        parts.append(found.data)
    return b"".join(parts)


def _digest(content: bytes) -> str:
    return _DIGEST + base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode()


def _bare(digest: str) -> str:
    return digest[len(_DIGEST) :].rstrip("=")
