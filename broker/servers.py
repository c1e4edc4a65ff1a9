"""Where the nats-servers are: what may be written for them, checked before the client library sees it."""

from urllib.parse import urlsplit

from broker.errors import ServersInvalid
from schemas.redact import redact_servers

SCHEMES = frozenset({"nats", "tls"})
WEBSOCKET_SCHEMES = frozenset({"ws", "wss"})
HOW_TO = "write nats://host:port, several with commas between (--server, DOWNDRAFT_NATS_URL, nats.url)"


def split_servers(urls: str) -> list[str]:
    """The servers of a comma-separated list; `host:port` and `host` alone are some too. Raises ServersInvalid."""
    servers = [server for part in urls.split(",") if (server := part.strip())]
    if not servers:
        raise ServersInvalid(f"no nats-server is named: {HOW_TO}")
    over_websocket = [_check(server) in WEBSOCKET_SCHEMES for server in servers]
    if any(over_websocket) and not all(over_websocket):
        raise ServersInvalid("some servers are named by ws:// or wss:// and some are not: use the same for all")
    return servers


def _check(server: str) -> str:
    """The scheme of one server's address. Raises ServersInvalid."""
    scheme, _, rest = server.partition("://") if "://" in server else ("nats", "", server)
    try:
        parts = urlsplit(f"//{rest}")
        usable = bool(parts.hostname) and parts.port != 0 and not any(map(str.isspace, rest))
        usable = usable and (scheme in WEBSOCKET_SCHEMES or parts.path in ("", "/"))
    except ValueError:
        usable = False
    if not usable or scheme not in SCHEMES | WEBSOCKET_SCHEMES:
        encoding = ", what is special in a password percent-encoded" if "@" in server else ""
        raise ServersInvalid(f"{redact_servers(server)!r} is no address of a nats-server: {HOW_TO}{encoding}")
    return scheme
