"""One event to one address: signed, never redirected, never to where nobody meant it to go."""

import errno
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from msgspec import Struct

from gateway.hub import Kept
from gateway.webhooks.trouble import ANSWER_WITHIN_S, why_failed, why_refused
from schemas import __version__
from schemas.webhook import Network, Webhook, signature, why_not_sent_to

RETRY_AFTER_MAX_S = 300.0
AWAY = frozenset(
    (
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    )
)
"""Statuses that say nothing of the event: whoever should take it is not there, or has too much to do."""


class Answered(Struct, frozen=True, kw_only=True):
    """What became of one try."""

    problem: str = ""
    """Why it failed; empty where it was taken."""
    is_away: bool = False
    """Nobody was there to take any event."""
    is_unwanted: bool = False
    """410: nothing more is to be sent there."""
    retry_after_s: float = 0.0


class _Guarded(AbstractResolver):
    """Looks names up and refuses those that lead inside: what is checked is what is connected to."""

    def __init__(self, allowed: tuple[Network, ...]) -> None:
        self._allowed = allowed
        self._resolver = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        for one in found:
            if refused := why_not_sent_to(one["host"], self._allowed):
                raise PermissionError(errno.EACCES, f"{host} leads to {refused}")
        return found

    async def close(self) -> None:
        await self._resolver.close()


class Poster:
    """Sends events; make it with `posting`."""

    def __init__(self, session: aiohttp.ClientSession, allowed: tuple[Network, ...]) -> None:
        self._session = session
        self._allowed = allowed

    async def post(self, webhook: Webhook, kept: Kept) -> Answered:
        """Try once."""
        if refused := _refused(webhook.url, self._allowed):
            return Answered(problem=refused, is_away=True)
        message_id, moment = f"{kept.event.task}-{kept.sequence}", int(time.time())
        headers = {
            "Content-Type": "application/json",
            "webhook-id": message_id,
            "webhook-timestamp": str(moment),
            "webhook-signature": signature(webhook.secret, message_id, moment, kept.json),
        }
        try:
            async with self._session.post(
                webhook.url, data=kept.json, headers=headers, allow_redirects=False
            ) as answer:
                return _judged(answer.status, answer.headers.get("Retry-After", ""))
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Answered(problem=why_failed(error, webhook.url), is_away=True)


def _refused(url: str, allowed: tuple[Network, ...]) -> str | None:
    """An address that is written out is not looked up, and what was allowed once need not be any more."""
    try:
        return why_not_sent_to(urlsplit(url).hostname or "", allowed)
    except ValueError:
        return None


def _judged(status: int, retry_after: str) -> Answered:
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return Answered()
    if status == HTTPStatus.GONE:
        return Answered(problem=why_refused(status), is_unwanted=True)
    wait_s = min(float(retry_after), RETRY_AFTER_MAX_S) if retry_after.isascii() and retry_after.isdigit() else 0.0
    return Answered(problem=why_refused(status), is_away=status in AWAY, retry_after_s=wait_s)


@asynccontextmanager
async def posting(allowed: tuple[Network, ...]) -> AsyncIterator[Poster]:
    """Connections are kept for the length of the block."""
    async with aiohttp.ClientSession(
        # Each webhook has its few lanes; a limit over all would let one owner's slow receivers keep the others waiting.
        connector=aiohttp.TCPConnector(resolver=_Guarded(allowed), limit=0),
        timeout=aiohttp.ClientTimeout(total=ANSWER_WITHIN_S),
        headers={"User-Agent": f"downdraft/{__version__}"},
        cookie_jar=aiohttp.DummyCookieJar(),
    ) as session:
        yield Poster(session, allowed)
