"""Questions to the origins of one request, asked as aria2 would ask."""

import time
from base64 import b64encode
from collections.abc import Iterable
from typing import NamedTuple

import aiohttp
import anyio

from node.addresses import Reach, Unresolved, check_address
from node.failures import Verdict
from node.payloads import Fetched, fetch_payload
from node.probe import PROBE_TIMEOUT_S, Probed, probe, probe_by_get
from schemas.redact import origin_of
from schemas.request import Request

FETCH_ANY_WITHIN_S = 90.0
"""Of several addresses that say nothing not each is waited for in full."""
ADDRESSES_MAX = 16
"""Mirrors of one file that are asked, all at once: aria2 takes bytes from no more at a time."""


class Wait(NamedTuple):
    """An origin asks to be left alone."""

    seconds: float
    origin: str
    """`host:port` of the request's address."""
    status: int = 0
    """Of its answer, where that is known."""


class Asker:
    """Asks for one node."""

    def __init__(self, http: aiohttp.ClientSession, reach: Reach) -> None:
        self._http = http
        self._reach = reach

    async def ask(self, request: Request, within_s: float = PROBE_TIMEOUT_S) -> dict[str, Probed]:
        """What the first addresses say of the file, by address; those that are not HTTP are not asked."""
        found: dict[str, Probed] = {}

        async def ask_one(uri: str) -> None:
            headers = headers_of(request)
            found[uri] = await probe(self._http, uri, headers, self._reach, time.time(), within_s=within_s)

        uris = _http_of(request)
        if len(uris) == 1:
            await ask_one(uris[0])
            return found
        async with anyio.create_task_group() as tasks:
            for uri in uris:
                tasks.start_soon(ask_one, uri)
        return found

    async def wait(self, request: Request) -> Wait | None:
        """How long an origin that refused asks to be left alone; it is asked by GET, as aria2 asked."""
        for uri in _http_of(request):
            told = await probe_by_get(self._http, uri, headers_of(request), self._reach, time.time())
            if told.retry_after_s is not None and not told.is_file:
                return Wait(told.retry_after_s, origin_of(uri), told.status or 0)
        return None

    async def fetch(self, request: Request, bytes_max: int) -> Fetched:
        """What lies at the first http address of the request that has it, or why the first one has not."""
        told: Verdict | None = None
        with anyio.move_on_after(FETCH_ANY_WITHIN_S):
            for uri in request.uris:
                headers = headers_of(request)
                fetched = await fetch_payload(self._http, uri, headers, self._reach, bytes_max=bytes_max)
                if fetched.verdict is None:
                    return fetched
                told = told or fetched.verdict
        assert told is not None, "the first address alone takes less than that"
        return Fetched(verdict=told)

    async def refusals(self, uris: Iterable[str]) -> dict[str, str]:
        """Why this node does not go to these addresses, all looked up at once; those to which it does are left out."""
        told: dict[str, str | None] = dict.fromkeys(uris)

        async def judge(uri: str) -> None:
            told[uri] = await self.refusal(uri)

        async with anyio.create_task_group() as tasks:
            for uri in told:
                tasks.start_soon(judge, uri)
        return {uri: refusal for uri, refusal in told.items() if refusal}

    async def refusal(self, uri: str) -> str | None:
        """Why this node does not go to an address, of which nothing else is to be known."""
        try:
            return await check_address(uri, self._reach)
        except Unresolved:
            return None  # aria2 will say so in its own words, and it may resolve by then


def _http_of(request: Request) -> list[str]:
    return [uri for uri in request.uris if uri.lower().startswith(("http:", "https:"))][:ADDRESSES_MAX]


def headers_of(request: Request) -> dict[str, str]:
    """What aria2 would send: an origin may answer others otherwise."""
    headers = dict(request.headers)
    given = {name.lower() for name in headers}
    options = {name: str(value) for name, value in request.options.items()}
    for name, header in (("user-agent", "User-Agent"), ("referer", "Referer")):
        if name in options and name not in given:
            headers[header] = options[name]
    if "http-user" in options and "authorization" not in given:
        pair = f"{options['http-user']}:{options.get('http-passwd', '')}"
        headers["Authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
    return headers
