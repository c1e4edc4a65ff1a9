"""API keys of the gateway: what is stored of them, and what one looks like. The key itself is stored nowhere."""

import base64
import hashlib
import hmac
import re
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from msgspec import Struct

PREFIX = "dd"
ID_BYTES, SECRET_BYTES = 4, 24
_ID = re.compile(rf"[0-9a-f]{{{2 * ID_BYTES}}}\Z")
_KEY = re.compile(rf"{PREFIX}_([0-9a-f]{{{2 * ID_BYTES}}})_([A-Za-z0-9_-]{{32}})")


class Scope(StrEnum):
    """What a key may do: `admin` everything, for every owner."""

    READ = "read"
    SUBMIT = "submit"
    ADMIN = "admin"


class ApiKey(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`keys.<id>` in the bucket."""

    id: str
    owner: str
    scopes: tuple[Scope, ...]
    digest: str
    """SHA-256 of the whole key, hex. A key has 192 random bits: nothing slower than that is needed."""
    created: datetime
    note: str = ""
    """What it is for, for people."""
    revoked: datetime | None = None
    """Since when it opens nothing. It is kept, so that nobody stores it again."""


class Secret(NamedTuple):
    """A key as its user has it."""

    id: str
    text: str


def make_secret(random: bytes) -> Secret:
    """A key of ID_BYTES + SECRET_BYTES random bytes."""
    key_id = random[:ID_BYTES].hex()
    secret = base64.urlsafe_b64encode(random[ID_BYTES : ID_BYTES + SECRET_BYTES]).decode()
    return Secret(key_id, f"{PREFIX}_{key_id}_{secret}")


def is_key_id(text: str) -> bool:
    """Whether it looks like a key's id."""
    return _ID.match(text) is not None


def read_secret(text: str) -> Secret | None:
    """A key somebody shows; None for what is none."""
    found = _KEY.fullmatch(text.strip())
    return Secret(found[1], text.strip()) if found else None


def digest_of(secret: Secret) -> str:
    return hashlib.sha256(secret.text.encode()).hexdigest()


def is_of(key: ApiKey, secret: Secret) -> bool:
    """Whether this is the key that is stored."""
    return hmac.compare_digest(key.digest, digest_of(secret))
