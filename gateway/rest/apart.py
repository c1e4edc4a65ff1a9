"""Torrents and metalinks that a request is too small for: they go by the object store."""

import base64
import binascii

import msgspec

from broker import payloads
from broker.connection import Connection
from schemas import codec
from schemas.errors import RequestInvalid
from schemas.payload import INLINE_BYTES_MAX, OBJECT

INLINE_CHARS_MAX = INLINE_BYTES_MAX * 4 // 3
"""Base64 of fewer characters is no more than INLINE_BYTES_MAX."""
ENDINGS = {"torrent": ".torrent", "metalink": ".meta4"}


async def put_apart(connection: Connection, body: bytes) -> bytes:
    """The request, in which large ones are named by the objects that hold them now.

    One that can't be read stays as it is: the check of the whole request says why. Raises RequestInvalid for what is
    larger than an object may be, BrokerError where it could not be stored.
    """
    if len(body) <= INLINE_CHARS_MAX:
        return body
    try:
        said = codec.decode(body, dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return body
    for field, ending in ENDINGS.items():
        if (content := _large(said.get(field))) is None:
            continue
        name = payloads.name_of(content, ending)
        try:
            await payloads.put(connection, name, content)
        except payloads.PayloadMissing as error:
            raise RequestInvalid(field, str(error)) from error
        said[field] = msgspec.Raw(codec.encode(OBJECT + name))
    return codec.encode(said)


def _large(given: msgspec.Raw | None) -> bytes | None:
    """What base64 holds; None for what is none, or has room in a request."""
    if given is None or len(bytes(given)) <= INLINE_CHARS_MAX:
        return None
    try:
        content = base64.b64decode(codec.decode(bytes(given), str), validate=True)
    except (msgspec.MsgspecError, UnicodeDecodeError, binascii.Error, ValueError):
        return None
    return content if len(content) > INLINE_BYTES_MAX else None
