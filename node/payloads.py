"""Gets what says where files are, a metalink or a torrent: small, from wherever it lies, into memory."""

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

import aiohttp
import anyio
from yarl import URL

from broker.errors import BrokerError
from broker.payloads import PayloadMissing
from node.addresses import Reach, Unresolved
from node.failures import Verdict, answered
from node.probe import (
    REDIRECTS_MAX,
    check,
    retry_after_s,
    same_origin,
    target_of,
    without_credentials,
)
from schemas.payload import OBJECT, inline_bytes
from schemas.redact import redact_uri
from schemas.task import FailureClass

FETCH_WITHIN_S = 60.0
"""All redirects included; 4 MiB at 70 KB/s."""
BLOCK_BYTES = 64 << 10
_OK = 200
_HTTP = frozenset({"http", "https"})


FetchObject = Callable[[str], Awaitable[bytes]]
"""Gets an object of the store by its name. Raises PayloadMissing, BrokerError."""


class Fetched(NamedTuple):
    """One of both: the content, or why there is none."""

    content: bytes = b""
    verdict: Verdict | None = None


async def fetch_payload(
    session: aiohttp.ClientSession,
    uri: str,
    headers: Mapping[str, str],
    reach: Reach,
    *,
    bytes_max: int,
    within_s: float = FETCH_WITHIN_S,
) -> Fetched:
    """Get what an http address leads to, at most `bytes_max` bytes. Never raises for its sake.

    The addresses of each host on the way are checked before it is asked; credentials stay with their origin.
    """
    with anyio.move_on_after(within_s):
        try:
            return await _follow(session, URL(uri, encoded=True), headers, reach, bytes_max)
        except (Unresolved, aiohttp.ClientError, OSError, ValueError) as error:
            # In full it names the address, with whatever key is in it.
            why = error.message if isinstance(error, aiohttp.ClientResponseError) else error
            said = f"{redact_uri(uri)} can't be fetched: {why}"
            return Fetched(verdict=Verdict(FailureClass.TRANSIENT, "payload", said[:300]))
    said = f"{redact_uri(uri)} did not come within {within_s:g} s"
    return Fetched(verdict=Verdict(FailureClass.TRANSIENT, "payload", said))


async def given_payload(where: str, given: str, fetch_object: FetchObject) -> bytes | Verdict:
    """What a request carries in its field `where`: itself, or the name of an object."""
    if not given.startswith(OBJECT):
        return inline_bytes(where, given)
    try:
        return await fetch_object(given.removeprefix(OBJECT))
    except PayloadMissing as error:
        return Verdict(FailureClass.PERMANENT, "object-missing", str(error))
    except BrokerError as error:
        return Verdict(FailureClass.TRANSIENT, "object-unread", f"the object store can't be read: {error}")


async def _follow(
    session: aiohttp.ClientSession, url: URL, headers: Mapping[str, str], reach: Reach, bytes_max: int
) -> Fetched:
    headers = {"Accept-Encoding": "identity", **headers}
    for _ in range(REDIRECTS_MAX + 1):
        if url.scheme not in _HTTP:
            return _permanent(f"{redact_uri(str(url))} is not http or https, where a redirect led")
        if refused := await check(url, reach):
            said = f"{redact_uri(str(url))}: {refused}"
            return Fetched(verdict=Verdict(FailureClass.PERMANENT, "address-refused", said))
        async with session.get(url, headers=headers, allow_redirects=False, **reach.through(url.host)) as answer:
            target = target_of(url, answer)
            if target is None:
                return await _read(answer, bytes_max)
        if not same_origin(url, target):
            headers = without_credentials(headers)
        url = target
    return _permanent(f"more than {REDIRECTS_MAX} redirects, the last to {redact_uri(str(url))}")


async def _read(answer: aiohttp.ClientResponse, bytes_max: int) -> Fetched:
    if answer.status != _OK:
        wait_s = retry_after_s(answer.headers.get("Retry-After", ""), time.time())
        return Fetched(verdict=answered(answer.status)._replace(retry_after_s=wait_s))
    content = b""
    async for block in answer.content.iter_chunked(BLOCK_BYTES):
        content += block
        if len(content) > bytes_max:
            return _permanent(f"{redact_uri(str(answer.url))} has more than the {bytes_max} bytes that are read of it")
    return Fetched(content)


def _permanent(said: str) -> Fetched:
    return Fetched(verdict=Verdict(FailureClass.PERMANENT, "payload", said))
