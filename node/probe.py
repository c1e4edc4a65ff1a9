"""A look at a file where it lies: may this node go there, how large is it, which version is it?"""

import re
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime

import aiohttp
import anyio
from msgspec import Struct
from yarl import URL

from node.addresses import Reach, Unresolved, check_address, check_addresses, host_and_port
from node.naming import disposed_name

PROBE_TIMEOUT_S = 2.0
"""For all redirects of one request together: knowing the size early is worth no more."""
PROBES_MAX = 256
"""Connections at once …"""
PROBES_OF_ONE_MAX = 16
"""… of these to one origin: those that do not answer keep nobody from asking the others."""
REDIRECTS_MAX = 5
RETRY_AFTER_MAX_S = 86_400.0
"""An origin does not park a task for longer than a day."""
VALIDATOR_CHARS_MAX = 512
"""Of an ETag or a date: they are kept beside each partial."""

_HTTP = frozenset({"http", "https"})
_PORTS = {"http": 80, "https": 443, "ftp": 21, "sftp": 22}
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_CREDENTIALS = frozenset({"authorization", "cookie", "proxy-authorization"})
_ONE_BYTE = {"Range": "bytes=0-0"}
_OK, _PARTIAL = 200, 206
_TOTAL = re.compile(r"bytes (?:[0-9]{1,19}-[0-9]{1,19}|\*)/([0-9]{1,19})")
"""The size of the whole file in a Content-Range (RFC 9110, 14.4)."""


class Probed(Struct, frozen=True, kw_only=True):
    """What an origin told of a file; everything is unknown where it did not answer."""

    size: int | None = None
    """Bytes."""
    status: int | None = None
    """Of the last answer."""
    etag: str = ""
    """As it was sent, `W/` included."""
    last_modified: str = ""
    retry_after_s: float | None = None
    name: str = ""
    """What the origin calls the file (Content-Disposition), made safe to store."""
    final_uri: str = ""
    """Where redirects led."""
    refused: str = ""
    """Why this node does not go there, for people."""

    @property
    def is_file(self) -> bool:
        """Whether the origin would send it."""
        return self.status in (_OK, _PARTIAL)


def new_session() -> aiohttp.ClientSession:
    """A session for `probe`: no proxy of the environment, and no cookie from one task's origin in another's."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=PROBES_MAX, limit_per_host=PROBES_OF_ONE_MAX),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None),  # `probe` has its own, over all redirects
        trust_env=False,
    )


async def probe(
    session: aiohttp.ClientSession,
    uri: str,
    headers: Mapping[str, str],
    reach: Reach,
    now: float,
    *,
    within_s: float = PROBE_TIMEOUT_S,
) -> Probed:
    """Check where `uri` leads and what the origin says of the file; `now` is Unix time. Never raises for its sake.

    Asks by HEAD and, where that is refused, unanswered or says nothing, as aria2 will: by GET, but for one byte.
    Takes at most RESOLVE_TIMEOUT_S and twice `within_s`.
    """
    url = await _allowed(uri, reach)
    if isinstance(url, Probed):
        return url
    asking = _Asking(session, headers, reach, now)
    told = None
    with anyio.move_on_after(within_s):
        told = await asking.follow("HEAD", url)
    if told is not None and (told.refused or (told.is_file and told.size != 0)):
        return told
    # An empty file is rare, an origin that says so by mistake is not.
    return await _asked(asking, url, within_s) or told or Probed()


async def probe_by_get(
    session: aiohttp.ClientSession,
    uri: str,
    headers: Mapping[str, str],
    reach: Reach,
    now: float,
    *,
    within_s: float = PROBE_TIMEOUT_S,
) -> Probed:
    """`probe` by GET alone: what it answers to HEAD an origin need not answer to GET."""
    url = await _allowed(uri, reach)
    if isinstance(url, Probed):
        return url
    return await _asked(_Asking(session, headers, reach, now), url, within_s) or Probed()


async def _allowed(uri: str, reach: Reach) -> URL | Probed:
    """The address if it may be asked by HTTP, else all there is to say of it."""
    try:
        if refused := await check_address(uri, reach):
            return Probed(refused=refused, final_uri=uri)
        url = URL(uri, encoded=True)
        if url.host != host_and_port(uri)[0] and (refused := await check(url, reach)):
            return Probed(refused=refused, final_uri=uri)  # two readings of one address: neither may lead astray
    except (Unresolved, ValueError):
        return Probed()  # aria2 will find out too, and report it
    return url if url.scheme in _HTTP else Probed()


async def _asked(asking: "_Asking", url: URL, within_s: float) -> Probed | None:
    """What a GET for one byte says; None where that is nothing."""
    with anyio.move_on_after(within_s):
        told = await asking.follow("GET", url)
        return None if told == Probed() else told
    return None


class _Asking:
    """One question to an origin, wherever it redirects."""

    def __init__(self, session: aiohttp.ClientSession, headers: Mapping[str, str], reach: Reach, now: float) -> None:
        self._session = session
        self._headers = {"Accept-Encoding": "identity", **headers}
        self._reach = reach
        self._now = now

    async def follow(self, method: str, url: URL) -> Probed:
        """What the last of all redirects answers; nothing where none does."""
        asked = self._headers if method == "HEAD" else self._headers | _ONE_BYTE
        for _ in range(REDIRECTS_MAX + 1):
            try:
                async with self._session.request(
                    method, url, headers=asked, allow_redirects=False, **self._reach.through(url.host)
                ) as answer:
                    target = target_of(url, answer)
                    if target is None:
                        return _read(answer, self._now)
                    asked = asked if same_origin(url, target) else without_credentials(asked)
                    url = target
                if refused := await check(url, self._reach):
                    return Probed(refused=refused, final_uri=str(url))
            except (Unresolved, aiohttp.ClientError, OSError, ValueError):
                return Probed()
            if url.scheme not in _HTTP:
                break
        return Probed()


async def check(url: URL, reach: Reach) -> str | None:
    """Why the node may not go there; None where it may. Raises Unresolved, ValueError."""
    if not url.host:
        raise ValueError("an address without a host")
    return await check_addresses(url.host, url.port or _PORTS.get(url.scheme, 0), reach)


def target_of(url: URL, answer: aiohttp.ClientResponse) -> URL | None:
    """Where a redirect leads; None for any other answer. Raises ValueError where it leads nowhere."""
    location = answer.headers.get("Location")
    if answer.status not in _REDIRECTS or location is None:
        return None
    return url.join(URL(location, encoded=True))


def _read(answer: aiohttp.ClientResponse, now: float) -> Probed:
    headers = answer.headers
    return Probed(
        size=_size(answer),
        status=answer.status,
        etag=_text(headers.get("ETag", "")),
        last_modified=_text(headers.get("Last-Modified", "")),
        name=disposed_name(headers.get("Content-Disposition", "")),
        retry_after_s=retry_after_s(headers.get("Retry-After", ""), now),
        final_uri=str(answer.url),
    )


def _text(header: str) -> str:
    """A header that can be written down: any byte may stand in one, and those beyond ASCII come as surrogates."""
    return header.encode(errors="surrogateescape").decode("latin-1")[:VALIDATOR_CHARS_MAX]


def _size(answer: aiohttp.ClientResponse) -> int | None:
    """Of the whole file, as far as the answer tells."""
    if answer.headers.get("Content-Encoding", "identity") != "identity":
        return None
    if answer.status == _OK:
        return answer.content_length
    told = _TOTAL.fullmatch(answer.headers.get("Content-Range", ""))
    return int(told[1]) if told else None


def retry_after_s(text: str, now: float) -> float | None:
    """A Retry-After header (RFC 9110, 10.2.3: seconds, or a date) as seconds from `now`; None for any other."""
    if re.fullmatch(r"[0-9]{1,12}", text):
        return min(float(text), RETRY_AFTER_MAX_S)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    # A date without a zone is meant as GMT.
    due = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return min(max(0.0, due - now), RETRY_AFTER_MAX_S)


def same_origin(one: URL, other: URL) -> bool:
    """Whether what is secret for the one may be told the other."""
    return (one.scheme, one.host, one.port) == (other.scheme, other.host, other.port)


def without_credentials(headers: Mapping[str, str]) -> dict[str, str]:
    """What another origin may be told."""
    return {name: value for name, value in headers.items() if name.lower() not in _CREDENTIALS}
