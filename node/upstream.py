"""The proxy through which a node downloads, and which hosts it reaches without one. Pure."""

import ipaddress
from collections.abc import Sequence
from urllib.parse import unquote, urlsplit

from msgspec import Struct

from schemas.errors import SettingInvalid

PORT = 8080
"""Where none is named, as aria2 has it."""
_EXAMPLE = "write it as http://host:port, or http://user:password@host:port"


class Upstream(Struct, frozen=True, kw_only=True):
    """A proxy; its `repr` shows no password."""

    address: str
    """`http://host:port`."""
    user: str = ""
    password: str = ""
    no_proxy: tuple[str, ...] = ()
    """Hosts, `.domains` and networks, lower case."""

    def __repr__(self) -> str:
        return f"<Upstream {self.address}, {len(self.no_proxy)} exceptions>"

    def serves(self, host: str) -> bool:
        """Whether a host is reached through it; decided as aria2 decides by its option no-proxy."""
        host = host.lower()
        return not any(_covers(entry, host) for entry in self.no_proxy)

    def options(self) -> dict[str, str]:
        """As options of aria2; the password among them."""
        options = {"all-proxy": self.address}
        if self.user:
            options |= {"all-proxy-user": self.user, "all-proxy-passwd": self.password}
        return options | ({"no-proxy": ",".join(self.no_proxy)} if self.no_proxy else {})


def upstream_of(proxy: str, no_proxy: Sequence[str]) -> Upstream | None:
    """The settings node.upstream_proxy and node.no_proxy; None where there is none. Raises SettingInvalid."""
    exceptions = tuple(entry.strip().lower() for entry in no_proxy if entry.strip())
    for entry in exceptions:
        if "/" in entry:
            try:
                ipaddress.ip_network(entry, strict=False)
            except ValueError as error:
                raise SettingInvalid(f"node.no_proxy: {error}; write hosts, .domains or networks") from error
        if any(ch in entry for ch in ", \r\n\0*"):
            raise SettingInvalid(f"node.no_proxy: {entry!r} is no host; for a domain and all below write .example.org")
    if not proxy:
        return None
    try:
        parts = urlsplit(proxy)
        host, port = parts.hostname, parts.port or PORT
    except ValueError as error:
        raise SettingInvalid(f"node.upstream_proxy: not an address; {_EXAMPLE}") from error
    # What is wrong is not quoted: it may hold the password.
    if parts.scheme != "http" or not host or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise SettingInvalid(f"node.upstream_proxy: not the address of an HTTP proxy; {_EXAMPLE}")
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if any(ch in user + password for ch in "\r\n\0") or ":" in user:
        raise SettingInvalid("node.upstream_proxy: user and password can't have line ends, nor the user a colon")
    address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    return Upstream(address=address, user=user, password=password, no_proxy=exceptions)


def _covers(entry: str, host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host.endswith(entry) if entry.startswith(".") else host == entry
    if "/" not in entry:
        return host == entry
    return address in ipaddress.ip_network(entry, strict=False)
