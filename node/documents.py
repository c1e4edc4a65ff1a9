"""Fetches what leads to a download, a torrent or metalink, by HTTP: bounded, and through the guards of a probe."""

import time
from collections.abc import Mapping, Sequence

import aiohttp
import anyio
from yarl import URL

from node.addresses import Network, Unresolved
from node.failures import HTTP_ASKS_TO_WAIT, Verdict, answered
from node.probe import REDIRECTS_MAX, check_url, redirect_target, retry_after_s, same_origin, without_credentials
from schemas.redact import redact_uri
from schemas.task import FailureClass

FETCH_WITHIN_S = 30.0
"""For all redirects and the whole of it: half of what a stalled download gets."""
HTTP = frozenset({"http", "https"})
OK = 200


async def fetch(
    session: aiohttp.ClientSession,
    uri: str,
    headers: Mapping[str, str],
    allow_nets: Sequence[Network],
    *,
    bytes_max: int,
    within_s: float = FETCH_WITHIN_S,
) -> bytes | Verdict:
    """What lies at an address, or why it can't be had. Every redirect is checked before it is followed."""
    with anyio.move_on_after(within_s):
        try:
            return await _follow(session, URL(uri, encoded=True), headers, allow_nets, bytes_max)
        except Unresolved as error:
            return Verdict(FailureClass.TRANSIENT, "unresolved", str(error))
        except (aiohttp.ClientError, OSError, ValueError) as error:
            said = f"{redact_uri(uri)} could not be fetched: {str(error) or type(error).__name__}"
            return Verdict(FailureClass.TRANSIENT, "not-fetched", said)
    said = f"{redact_uri(uri)} did not come within {within_s:g} s"
    return Verdict(FailureClass.TRANSIENT, "not-fetched", said)


async def _follow(
    session: aiohttp.ClientSession, url: URL, headers: Mapping[str, str], allow_nets: Sequence[Network], bytes_max: int
) -> bytes | Verdict:
    for _ in range(REDIRECTS_MAX + 1):
        if url.scheme not in HTTP:
            break
        if refused := await check_url(url, allow_nets):
            return Verdict(FailureClass.PERMANENT, "address-refused", f"{redact_uri(str(url))}: {refused}")
        async with session.get(url, headers=headers, allow_redirects=False) as answer:
            target = redirect_target(url, answer)
            if target is None:
                return await _read(answer, bytes_max)
            headers = headers if same_origin(url, target) else without_credentials(headers)
            url = target
    return Verdict(FailureClass.PERMANENT, "redirects", "its redirects lead on and on, or to what is not HTTP")


async def _read(answer: aiohttp.ClientResponse, bytes_max: int) -> bytes | Verdict:
    if answer.status != OK:
        verdict = answered(answer.status)
        if answer.status in HTTP_ASKS_TO_WAIT:
            wait = retry_after_s(answer.headers.get("Retry-After", ""), time.time())
            return verdict._replace(retry_after_s=wait)
        return verdict
    content = b""
    async for part in answer.content.iter_chunked(1 << 16):
        content += part
        if len(content) > bytes_max:
            return Verdict(FailureClass.PERMANENT, "too-large", f"what lies there has more than {bytes_max} bytes")
    return content
