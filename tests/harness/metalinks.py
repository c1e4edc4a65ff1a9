"""Metalinks as their publishers write them."""

import base64
import hashlib
from collections.abc import Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape, quoteattr


class Entry(NamedTuple):
    """One file of a metalink."""

    name: str
    uris: Sequence[str]
    """Best first."""
    body: bytes | None = None
    """Its size and digest are told."""


def sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def meta4(*entries: Entry) -> bytes:
    """Metalink 4, RFC 5854."""
    files = ""
    for name, uris, body in entries:
        files += f"<file name={quoteattr(name)}>"
        if body is not None:
            files += f'<size>{len(body)}</size><hash type="sha-256">{sha256(body)}</hash>'
        for number, uri in reversed(list(enumerate(uris, start=1))):
            files += f'<url priority="{number}">{escape(uri)}</url>'
        files += "</file>"
    return f'<?xml version="1.0"?><metalink xmlns="urn:ietf:params:xml:ns:metalink">{files}</metalink>'.encode()


def metalink3(*entries: Entry) -> bytes:
    """Version 3."""
    files = ""
    for name, uris, body in entries:
        files += f"<file name={quoteattr(name)}>"
        if body is not None:
            digest = f'<hash type="sha256">{sha256(body)}</hash>'
            files += f"<size>{len(body)}</size><verification>{digest}</verification>"
        urls = "".join(
            f'<url type="http" preference="{100 - number}">{escape(uri)}</url>' for number, uri in enumerate(uris)
        )
        files += f"<resources>{urls}</resources></file>"
    return f'<metalink version="3.0" xmlns="http://www.metalinker.org/"><files>{files}</files></metalink>'.encode()


def inline(content: bytes) -> str:
    """As a request carries it."""
    return base64.b64encode(content).decode()
