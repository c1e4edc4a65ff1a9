"""Addresses that aria2 reads otherwise than whoever checks them, and so are never handed to it. Pure."""

import re
from urllib.parse import urlsplit

TYPED_OUT = ("ftp", "sftp")
"""Schemes whose addresses aria2 decodes before it asks for them."""
_ENDS_A_LINE = re.compile(r"%(0a|0d|00)", re.IGNORECASE)


def why_misread(uri: str) -> str:
    """What of an address would mislead, as the end of a sentence; empty where nothing. Raises ValueError for none."""
    parts = urlsplit(uri)
    if parts.netloc.endswith(":"):
        # aria2 takes what follows for a password, even behind a `?`, and goes to the host behind the next `@`.
        return "has a colon behind its host, but no port"
    if parts.scheme in TYPED_OUT and _ENDS_A_LINE.search(uri):
        # aria2 decodes them and sends what follows as a command of its own.
        return f"has an encoded line end, which {parts.scheme} can't ask for"
    return ""
