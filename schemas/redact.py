"""What may be shown of an address or a request outside the table: never a password, token or cookie."""

from urllib.parse import urlsplit, urlunsplit


def redact_uri(uri: str) -> str:
    """`uri` without user, password and query values: signed links carry their secret in the query."""
    parts = urlsplit(uri)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "…" if parts.query else "", ""))


def origin_of(uri: str) -> str:
    """The `host:port` that serves the bytes, lower case, with the scheme's own port where none is named."""
    parts = urlsplit(uri)
    port = parts.port or {"http": 80, "https": 443, "ftp": 21, "sftp": 22}.get(parts.scheme, 0)
    host = (parts.hostname or "").lower()
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
