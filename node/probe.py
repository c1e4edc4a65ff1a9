"""A look at an address before aria2 gets it: may this node go there, and how large is the file?

What an address resolves to now it need not resolve to later, and aria2 follows redirects unasked: this check
keeps honest mistakes and simple attacks out. A hostile origin is kept in by the network the node runs in.
"""

import ipaddress
import re
import socket
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime

import aiohttp
import anyio
from msgspec import Struct
from yarl import URL

from schemas.errors import DowndraftError, SettingInvalid
from schemas.redact import origin_of

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

PROBE_TIMEOUT_S = 2.0
"""For all redirects together: knowing the size early is worth no more."""
PROBES_MAX = 16
"""Connections at once."""
RESOLVE_TIMEOUT_S = 5.0
RESOLVED_FOR_S = 2.0
"""How long an answer is used again: a burst from one origin asks once."""
RESOLVED_MAX = 1024
REDIRECTS_MAX = 5
RETRY_AFTER_MAX_S = 86_400.0
"""An origin does not park a task for longer than a day."""

_HTTP = frozenset({"http", "https"})
_PORTS = {"http": 80, "https": 443, "ftp": 21, "sftp": 22}
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_CREDENTIALS = frozenset({"authorization", "cookie", "proxy-authorization"})
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_SUGGESTED = tuple(map(ipaddress.ip_network, ("127.0.0.0/8", "169.254.0.0/16", "fe80::/10")))
"""What to allow whole where one of its addresses is refused; elsewhere the address alone."""


_resolved: dict[str, tuple[float, list[Address]]] = {}
"""Addresses by host, each with the moment it was found."""


class Unresolved(DowndraftError):
    """A host's name leads to no address now."""


class Probed(Struct, frozen=True, kw_only=True):
    """What a HEAD told; everything is unknown where the origin did not answer it."""

    size: int | None = None
    """Bytes."""
    status: int | None = None
    """Of the last answer. Only a hint: some origins answer HEAD otherwise than GET."""
    retry_after_s: float | None = None
    final_uri: str = ""
    """Where redirects led."""
    refused: str = ""
    """Why this node does not go there, for people."""


def parse_nets(texts: Iterable[str]) -> tuple[Network, ...]:
    """The setting node.allow_nets. Raises SettingInvalid for what is no network."""
    try:
        return tuple(ipaddress.ip_network(text, strict=False) for text in texts)
    except ValueError as error:
        raise SettingInvalid(f"node.allow_nets: {error}; write networks such as 127.0.0.0/8") from error


def new_session() -> aiohttp.ClientSession:
    """A session for `probe`: no proxy of the environment, and no cookie from one task's origin in another's."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=PROBES_MAX),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None),  # `probe` has its own, over all redirects
        trust_env=False,
    )


async def probe(
    session: aiohttp.ClientSession,
    uri: str,
    headers: Mapping[str, str],
    allow_nets: Sequence[Network],
    now: float,
) -> Probed:
    """Check where `uri` leads and ask for the file's size; `now` is Unix time. Never raises for an origin's sake.

    Takes at most RESOLVE_TIMEOUT_S and PROBE_TIMEOUT_S.
    """
    try:
        host, port = host_and_port(uri)
        if refused := await check_addresses(host, port, allow_nets):
            return Probed(refused=refused, final_uri=uri)
        url = URL(uri, encoded=True)
        if url.host != host and (refused := await _check(url, allow_nets)):
            return Probed(refused=refused, final_uri=uri)  # two readings of one address: neither may lead astray
    except (Unresolved, ValueError):
        return Probed()  # aria2 will find out too, and report it
    if url.scheme not in _HTTP:
        return Probed()
    with anyio.move_on_after(PROBE_TIMEOUT_S):
        return await _follow(session, url, headers, allow_nets, now)
    return Probed()


def host_and_port(uri: str) -> tuple[str, int]:
    """Where an address leads, without the brackets of an IPv6 literal."""
    host, _, port = origin_of(uri).rpartition(":")
    return host.strip("[]"), int(port)


async def check_addresses(host: str, port: int, allow_nets: Sequence[Network]) -> str | None:
    """None where the node may connect to every address of `host`, else a sentence why not. Raises Unresolved."""
    for address in await _addresses(host, port):
        kind = _kind(address)
        if kind is not None and not any(address in net for net in allow_nets):
            subject = str(address) if _is_literal(host) else f"{host} leads to {address}: this"
            net = next((one for one in _SUGGESTED if address in one), ipaddress.ip_network(address))
            return (
                f"{subject} is {kind} address and this node does not download from there; "
                f"start it with --allow-net {net} if that is meant"
            )
    return None


async def _follow(
    session: aiohttp.ClientSession,
    url: URL,
    headers: Mapping[str, str],
    allow_nets: Sequence[Network],
    now: float,
) -> Probed:
    asked = {"Accept-Encoding": "identity", **headers}
    for _ in range(REDIRECTS_MAX + 1):
        try:
            async with session.head(url, headers=asked, allow_redirects=False) as answer:
                target = _target(url, answer)
                if target is None:
                    return _read(answer, now)
                asked = asked if _same_origin(url, target) else _without_credentials(asked)
                url = target
            if refused := await _check(url, allow_nets):
                return Probed(refused=refused, final_uri=str(url))
        except (Unresolved, aiohttp.ClientError, OSError, ValueError):
            return Probed()
        if url.scheme not in _HTTP:
            break
    return Probed()


async def _check(url: URL, allow_nets: Sequence[Network]) -> str | None:
    if not url.host:
        raise ValueError("an address without a host")
    return await check_addresses(url.host, url.port or _PORTS.get(url.scheme, 0), allow_nets)


def _target(url: URL, answer: aiohttp.ClientResponse) -> URL | None:
    """Where a redirect leads; None for any other answer. Raises ValueError where it leads nowhere."""
    location = answer.headers.get("Location")
    if answer.status not in _REDIRECTS or location is None:
        return None
    return url.join(URL(location, encoded=True))


def _read(answer: aiohttp.ClientResponse, now: float) -> Probed:
    plain = answer.status == 200 and answer.headers.get("Content-Encoding", "identity") == "identity"
    return Probed(
        size=answer.content_length if plain else None,
        status=answer.status,
        retry_after_s=retry_after_s(answer.headers.get("Retry-After", ""), now),
        final_uri=str(answer.url),
    )


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


def _same_origin(one: URL, other: URL) -> bool:
    return (one.scheme, one.host, one.port) == (other.scheme, other.host, other.port)


def _without_credentials(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in _CREDENTIALS}


async def _addresses(host: str, port: int) -> list[Address]:
    """All addresses, each as the one it really leads to, as of just now. Raises Unresolved."""
    known = _resolved.get(host)
    now = time.monotonic()
    if known is not None and now - known[0] < RESOLVED_FOR_S:
        return known[1]
    if len(_resolved) >= RESOLVED_MAX:
        _resolved.clear()
    try:
        addresses = [_unwrapped(ipaddress.ip_address(host))]
    except ValueError:
        addresses = await _resolve(host, port)
    _resolved[host] = now, addresses
    return addresses


async def _resolve(host: str, port: int) -> list[Address]:
    """Ask the resolver, which needs a thread. Raises Unresolved."""
    try:
        with anyio.fail_after(RESOLVE_TIMEOUT_S):
            found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Unresolved(f"{host} can't be resolved: {error}") from error
    return [_unwrapped(ipaddress.ip_address(sockaddr[0])) for *_, sockaddr in found]


def _unwrapped(address: Address) -> Address:
    """The IPv4 address inside an IPv6 one that only carries it (mapped, 6to4, NAT64)."""
    if isinstance(address, ipaddress.IPv6Address):
        if address in _NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
        return address.ipv4_mapped or address.sixtofour or address
    return address


def _kind(address: Address) -> str | None:
    """What makes an address no origin; private networks are fine: mirrors live there."""
    if address.is_unspecified:
        return "the unspecified"
    if address.is_loopback:
        return "a loopback"
    if address.is_link_local:
        return "a link-local"
    if address.is_multicast:
        return "a multicast"
    return "a reserved" if address.is_reserved else None


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
