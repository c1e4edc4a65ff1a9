"""The digest of a file, and whether it has the one asked for."""

import hashlib
import os
from pathlib import Path

BLOCK_BYTES = 1 << 20
EMPTY_DIGEST = f"sha-256={hashlib.sha256().hexdigest()}"
_HASHES = {"sha-1": "sha1", "sha-224": "sha224", "sha-256": "sha256", "sha-384": "sha384", "sha-512": "sha512"}


def digest_of(path: Path, checksum: str | None, *, sha256: bool = True) -> tuple[str, bool]:
    """(`sha-256=<hex>`, whether the file has `checksum`) in one pass; True where no checksum is asked for.

    `checksum` is `<type>=<hex>` with a type of schemas.request.DIGEST_HEX. Without `sha256` the first is empty unless
    the checksum is one, and where nothing is to be computed the file is not read.
    """
    kind, _, wanted = (checksum or "").partition("=")
    ours = hashlib.sha256() if sha256 or kind == "sha-256" else None
    theirs = hashlib.new(_HASHES.get(kind, kind), usedforsecurity=False) if checksum else None
    if kind == "sha-256":
        theirs = ours
    hashes = {id(one): one for one in (ours, theirs) if one is not None}.values()
    if not hashes:
        return "", True
    with path.open("rb", buffering=0) as opened:
        block_bytes = min(BLOCK_BYTES, os.fstat(opened.fileno()).st_size + 1)
        while block := opened.read(block_bytes):
            for one in hashes:
                one.update(block)
    matches = theirs is None or theirs.hexdigest() == wanted.lower()
    return f"sha-256={ours.hexdigest()}" if ours is not None else "", matches
