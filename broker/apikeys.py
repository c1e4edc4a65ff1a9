"""API keys of the gateway, as operators make and revoke them: values of the bucket, which every gateway follows."""

import secrets
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec
import structlog
from msgspec.structs import replace

from broker import keys
from broker.connection import Connection
from schemas import codec
from schemas import subjects as s
from schemas.apikey import ID_BYTES, SECRET_BYTES, ApiKey, Scope, digest_of, is_key_id, make_secret
from schemas.errors import DowndraftError
from schemas.ids import is_owner

log = structlog.get_logger()

NOTE_CHARS_MAX = 200
ANY = s.api_key_key("*")


class KeyInvalid(DowndraftError):
    """A key can't be made like that."""

    exit_code = 2


class NoSuchKey(DowndraftError):
    """There is no key of that id."""


class Made(NamedTuple):
    """A new key, and the only copy of what its user shows."""

    key: ApiKey
    secret: str


async def create(connection: Connection, owner: str, scopes: tuple[Scope, ...], note: str = "") -> Made:
    """Make a key and store what is to be known of it. Raises KeyInvalid, StoreFull, ApiRefused, Unanswered."""
    if not is_owner(owner):
        raise KeyInvalid(f"{owner!r} is not an owner: use a-z, 0-9, '-' and '_', and not 'admin'")
    if not scopes:
        raise KeyInvalid(f"a key needs a scope, at least: {', '.join(Scope)}")
    if len(note) > NOTE_CHARS_MAX:
        raise KeyInvalid(f"a note has {NOTE_CHARS_MAX} characters at most, not {len(note)}")
    while True:
        secret = make_secret(secrets.token_bytes(ID_BYTES + SECRET_BYTES))
        key = ApiKey(
            id=secret.id,
            owner=owner,
            scopes=tuple(scope for scope in Scope if scope in scopes),
            digest=digest_of(secret),
            created=datetime.now(UTC),
            note=note,
        )
        if await keys.write(connection, s.api_key_key(key.id), codec.encode(key), expected=0) is not None:
            return Made(key, secret.text)


async def read_all(connection: Connection) -> list[ApiKey]:
    """Every key there is or was, the oldest first. Raises ApiRefused, Unanswered."""
    found: list[ApiKey] = []
    for name, value in (await keys.read_all(connection, ANY)).items():
        try:
            found.append(codec.decode(value.body, ApiKey))
        except msgspec.MsgspecError as error:
            log.warning("an API key can't be read: it opens nothing", key=name, problem=str(error))
    return sorted(found, key=lambda key: (key.created, key.id))


async def revoke(connection: Connection, key_id: str) -> ApiKey:
    """Let a key open nothing any more. Safe to repeat. Raises NoSuchKey, StoreFull, ApiRefused, Unanswered."""
    name = s.api_key_key(key_id)
    while True:
        # What is no id must not become part of a subject: `*` would be read as whichever key was written last.
        stands = await keys.read(connection, name) if is_key_id(key_id) else None
        if stands is None:
            raise NoSuchKey(f"there is no API key {key_id!r}: `downdraft key ls` lists them")
        key = codec.decode(stands.body, ApiKey)
        if key.revoked is not None:
            return key
        gone = replace(key, revoked=datetime.now(UTC))
        if await keys.write(connection, name, codec.encode(gone), expected=stands.revision) is not None:
            return gone
