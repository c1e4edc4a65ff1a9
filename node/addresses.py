"""Where a node may go: addresses, looked up and checked before anything is sent there.

What an address resolves to now it need not resolve to later, and aria2 follows redirects unasked: this check
keeps honest mistakes and simple attacks out. A hostile origin is kept in by the network the node runs in.
"""

import ipaddress
import socket
from collections.abc import Iterable
from typing import TypedDict

import aiohttp
import anyio
from msgspec import Struct

from node.upstream import Upstream
from schemas.errors import DowndraftError, SettingInvalid
from schemas.misread import why_misread
from schemas.redact import origin_of

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

RESOLVE_TIMEOUT_S = 5.0
RESOLVED_FOR_S = 2.0
"""How long an answer is used again: a burst from one origin asks once."""
RESOLVED_MAX = 1024

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_SUGGESTED = tuple(map(ipaddress.ip_network, ("127.0.0.0/8", "169.254.0.0/16", "fe80::/10")))
"""What to allow whole where one of its addresses is refused; elsewhere the address alone."""


_resolved: dict[str, tuple[float, list[Address]]] = {}
"""Addresses by host, each with the moment it was found."""


class ThroughProxy(TypedDict, total=False):
    """Arguments of an aiohttp request."""

    proxy: str
    proxy_auth: aiohttp.BasicAuth | None


class Unresolved(DowndraftError):
    """A host's name leads to no address now."""


class Reach(Struct, frozen=True):
    """Where a node may go, and how."""

    allow_nets: tuple[Network, ...] = ()
    """Networks that are fine although they are loopback or link-local."""
    upstream: Upstream | None = None

    def through(self, host: str | None) -> ThroughProxy:
        """What aiohttp is to be told of the way to a host."""
        upstream = self.upstream
        if upstream is None or not upstream.serves(host or ""):
            return {}
        auth = aiohttp.BasicAuth(upstream.user, upstream.password) if upstream.user else None
        return {"proxy": upstream.address, "proxy_auth": auth}


def reach_of(allow_nets: Iterable[str], upstream: Upstream | None = None) -> Reach:
    """With the setting node.allow_nets. Raises SettingInvalid for what is no network."""
    try:
        return Reach(tuple(ipaddress.ip_network(text, strict=False) for text in allow_nets), upstream)
    except ValueError as error:
        raise SettingInvalid(f"node.allow_nets: {error}; write networks such as 127.0.0.0/8") from error


def host_and_port(uri: str) -> tuple[str, int]:
    """Where an address leads, without the brackets of an IPv6 literal."""
    host, _, port = origin_of(uri).rpartition(":")
    return host.strip("[]"), int(port)


async def check_address(uri: str, reach: Reach) -> str | None:
    """None where the node may go to `uri`, else a sentence why not. Raises Unresolved, ValueError."""
    if problem := why_misread(uri):
        return f"the address {problem}"
    return await check_addresses(*host_and_port(uri), reach)


async def check_addresses(host: str, port: int, reach: Reach) -> str | None:
    """None where the node may connect to every address of `host`, else a sentence why not. Raises Unresolved.

    Names that a proxy looks up are not looked up here: only what is an address itself is checked.
    """
    is_proxied = reach.upstream is not None and reach.upstream.serves(host)
    for address in _written(host) if is_proxied else await _addresses(host, port):
        kind = _kind(address)
        if kind is not None and not any(address in net for net in reach.allow_nets):
            subject = str(address) if _is_literal(host) else f"{host} leads to {address}: this"
            net = next((one for one in _SUGGESTED if address in one), ipaddress.ip_network(address))
            return (
                f"{subject} is {kind} address and this node does not download from there; "
                f"start it with --allow-net {net} if that is meant"
            )
    return None


def _written(host: str) -> list[Address]:
    """The address that a host is itself, in any way of writing one; none for a name."""
    if f".{host.lower()}".rstrip(".").endswith(".localhost"):
        return [ipaddress.IPv4Address("127.0.0.1")]
    try:
        return [_unwrapped(ipaddress.ip_address(host))]
    except ValueError:
        pass
    try:
        return [ipaddress.IPv4Address(socket.inet_aton(host))]  # `127.1`, `0x7f000001`
    except (OSError, UnicodeError):
        return []


async def _addresses(host: str, port: int) -> list[Address]:
    """All addresses, each as the one it really leads to, as of just now. Raises Unresolved."""
    known = _resolved.get(host)
    now = anyio.current_time()
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
