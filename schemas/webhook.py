"""Webhooks: where events are to be sent, how far that has come, and how what is sent is signed (Standard Webhooks)."""

import base64
import binascii
import hashlib
import hmac
import ipaddress
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated
from urllib.parse import urlsplit

from msgspec import Meta, Struct

from schemas.errors import RequestInvalid, SettingInvalid
from schemas.filter import Values

URL_CHARS_MAX = 2048
NOTE_CHARS_MAX = 200
SECRET_PREFIX = "whsec_"  # noqa: S105 - the beginning of all of them is none
SECRET_BYTES_MIN, SECRET_BYTES_MAX = 24, 64
"""As Standard Webhooks has it."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")

WebhookUrl = Annotated[str, Meta(min_length=1, max_length=URL_CHARS_MAX)]
WebhookNote = Annotated[str, Meta(max_length=NOTE_CHARS_MAX)]


class Webhook(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """`webhooks.<id>` in the bucket."""

    id: str
    owner: str
    """Whose events are sent."""
    url: str
    secret: str
    """`whsec_<base64>`: what is sent is signed with it, so it has to be kept as it is."""
    after: int
    """Events after this sequence are sent: the log's end when it was made."""
    created: datetime
    types: tuple[str, ...] = ()
    """Event types, `finished` for all outcomes; none: every type."""
    tags: Values = ()
    labels: Values = ()
    everyone: bool = False
    """The events of all owners: an operator made it."""
    note: str = ""
    disabled: str = ""
    """Why nothing is sent; empty while it is in use."""


class WebhookState(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """`webhookstates.<id>` in the bucket: what whoever sends next must know."""

    position: int
    """All events up to this sequence were taken, passed over, or are not meant."""
    delivered: int = 0
    passed_over: int = 0
    """Given up, after many tries."""
    last_delivered: datetime | None = None
    failing_since: datetime | None = None
    problem: str = ""
    """Why the last try failed; empty after one that did not."""


def make_webhook_secret(random: bytes) -> str:
    return SECRET_PREFIX + base64.b64encode(random).decode()


def check_secret(secret: str) -> str:
    """Raises RequestInvalid."""
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error:
        key = b""
    if not secret.startswith(SECRET_PREFIX) or not SECRET_BYTES_MIN <= len(key) <= SECRET_BYTES_MAX:
        limits = f"{SECRET_BYTES_MIN} to {SECRET_BYTES_MAX}"
        raise RequestInvalid("secret", f"must be {SECRET_PREFIX} and the base64 of {limits} random bytes")
    return secret


def signature(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """The header `webhook-signature`."""
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX))
    digest = hmac.digest(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256)
    return f"v1,{base64.b64encode(digest).decode()}"


def networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """The setting gateway.webhook_nets. Raises SettingInvalid."""
    try:
        return tuple(ipaddress.ip_network(text, strict=False) for text in texts)
    except ValueError as error:
        raise SettingInvalid(f"gateway.webhook_nets: {error}; write networks such as 10.0.0.0/8") from error


def why_not_sent_to(address: str, allowed: tuple[Network, ...]) -> str | None:
    """None for an address of the public Internet and those allowed, else a sentence why not."""
    found = _unwrapped(ipaddress.ip_address(address.partition("%")[0]))
    if (found.is_global and not found.is_multicast) or any(found in net for net in allowed):
        return None
    return f"{address} is no public address: gateway.webhook_nets names the networks that are meant all the same"


def _unwrapped(address: Address) -> Address:
    """The IPv4 address inside an IPv6 one that only carries it (mapped, 6to4, NAT64)."""
    if isinstance(address, ipaddress.IPv6Address):
        if address in _NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
        return address.ipv4_mapped or address.sixtofour or address
    return address


def check_url(url: str, allowed: tuple[Network, ...]) -> str:
    """An address to send to; what its name leads to is seen when it is. Raises RequestInvalid."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise RequestInvalid("url", f"is no address: {error}") from error
    if parts.scheme not in ("http", "https") or not host:
        raise RequestInvalid("url", "must be an address such as https://host/path")
    if parts.username is not None or parts.password is not None:
        raise RequestInvalid("url", "must name no user and no password: what is sent is signed instead")
    if not url.isascii() or not url.isprintable() or " " in url:
        raise RequestInvalid("url", "must be ASCII without spaces, encoded where need be")
    try:
        refused = why_not_sent_to(host, allowed)
    except ValueError:  # a name
        return url
    if refused:
        raise RequestInvalid("url", refused)
    return url
