"""What may be shown of an address or a request outside the table: never a password, token or cookie."""

import re
from functools import lru_cache
from typing import Any
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from schemas import codec
from schemas.options import SECRET
from schemas.payload import OBJECT, is_magnet
from schemas.request import Request

MASK = "***"
ORIGINS_CACHED = 10_000
PORT_MAX = 65_535
_PORTS = {"http": 80, "https": 443, "ftp": 21, "sftp": 22}
_SECRET_NAME = re.compile(
    r"auth|cred|jwt|key|pass|pwd|secret|session|sig|token|^x-amz-|^x-goog-|^se$|^sp$|^sv$", re.IGNORECASE
)
"""Query parameters that carry a secret: signed links keep theirs in the query."""
_ADDRESSES_OF_MAGNET = frozenset({"tr", "ws", "as", "xs"})
_PAIR = re.compile(r"(?P<name>[^&;=]+)=(?P<value>[^&;]*)")
_PLAIN = re.compile(r"(https?|s?ftp)://([A-Za-z0-9.-]+)(?::([0-9]{1,5}))?(?:/[^?#@\x00-\x20]*)?")
"""Most addresses: nothing in them can be secret, and to take them apart with care takes ten times as long."""


def redact_uri(uri: str) -> str:
    """`uri` without user and password, and with the values of query parameters masked that look secret."""
    if _PLAIN.fullmatch(uri):
        return uri
    parts = urlsplit(uri)
    mask = _masked_of_magnet if is_magnet(uri) else _masked
    query, fragment = (_PAIR.sub(mask, text) for text in (parts.query, parts.fragment))
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, query, fragment))


def redact_servers(urls: str) -> str:
    """Comma-separated NATS servers without users and passwords; `host:port` alone is one too."""
    return ",".join(_redact_server(part.strip()) for part in urls.split(","))


def _redact_server(url: str) -> str:
    scheme, mark, rest = url.partition("://") if "://" in url else ("", "", url)
    bare = f"//{rest.rpartition('@')[2]}"
    try:
        _ = urlsplit(bare).port  # raises where what seems a port is no number: it may be half a password
        return scheme + mark + redact_uri(bare).removeprefix("//")
    except ValueError:
        return f"{scheme}{mark}{MASK}"


def _masked(pair: re.Match[str]) -> str:
    """A `name=value` with its value masked where the name, however it is encoded, looks secret."""
    return f"{pair['name']}={MASK}" if _SECRET_NAME.search(unquote(pair["name"])) else pair[0]


def _masked_of_magnet(pair: re.Match[str]) -> str:
    """A magnet link's trackers and web seeds are addresses themselves, with secrets of their own."""
    if unquote(pair["name"]).partition(".")[0] not in _ADDRESSES_OF_MAGNET:
        return _masked(pair)
    address = unquote(pair["value"])
    hidden = redact_uri(address)
    return pair[0] if hidden == address else f"{pair['name']}={quote(hidden, safe='')}"


PUBLIC_BYTES_MAX = 256 * 1024
"""A larger request is not repeated in events: a message must stay far below what the broker takes."""


def public_request(request: Request) -> Request | None:
    """The request if anyone may see all of it and it is not huge, else None.

    A torrent or metalink inside it may name its trackers and mirrors by addresses that are somebody's secret.
    """
    hidden = (
        request.headers
        or any(given is not None and not given.startswith(OBJECT) for given in (request.torrent, request.metalink))
        or any(redact_uri(uri) != uri for uri in request.uris)
        or any(name in SECRET for name in request.options)
    )
    return None if hidden or len(codec.encode(request)) > PUBLIC_BYTES_MAX else request


URIS_BYTES_MAX = 16 * 1024
"""Of the addresses that stand in for a withheld request: enough to find a task by."""


def told_of(request: Request | None) -> dict[str, Any]:
    """What an outcome tells of its request: the whole of it, or `uris` and `tags` where it must be withheld."""
    if request is None:
        return {}
    if (public := public_request(request)) is not None:
        return {"request": public}
    uris: list[str] = []
    left = URIS_BYTES_MAX
    for uri in map(redact_uri, request.uris):
        left -= len(uri.encode())
        if left < 0:
            break
        uris.append(uri)
    return {"uris": tuple(uris), "tags": request.tags}


def origin_of(uri: str) -> str:
    """The `host:port` that serves the bytes, lower case, with the scheme's own port where none is named."""
    if plain := _PLAIN.fullmatch(uri):
        return _plain_origin(*plain.groups())
    parts = urlsplit(uri)
    port = parts.port or _PORTS.get(parts.scheme, 0)
    host = (parts.hostname or "").lower()
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@lru_cache(ORIGINS_CACHED)
def _plain_origin(scheme: str, host: str, port: str | None) -> str:
    number = int(port) if port else 0
    if number > PORT_MAX:
        raise ValueError(f"port {port} is out of range")
    return f"{host.lower()}:{number or _PORTS[scheme]}"
