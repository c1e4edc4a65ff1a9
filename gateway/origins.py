"""Whose page asks: browsers say it, and add what they know of a user to whatever any page asks for."""

from typing import Any
from urllib.parse import urlsplit

from litestar.connection import ASGIConnection

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing; their answers a page of another origin can't read."""


def is_of_ours(connection: ASGIConnection[Any, Any, Any, Any]) -> bool:
    """Whether no page of an origin that we do not know asks."""
    origin = connection.headers.get("origin")
    if origin is None or urlsplit(origin).netloc == connection.headers.get("host"):
        return True
    allowed: tuple[str, ...] = connection.app.state.gateway.settings.cors_origins
    return origin in allowed
