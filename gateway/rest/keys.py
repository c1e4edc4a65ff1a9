"""`/keys`: who may call, as operators decide; and `/me`: who the caller is."""

from datetime import datetime
from http import HTTPStatus
from typing import Annotated

from litestar import Response, delete, get, post
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import Meta, Struct

from broker import apikeys
from gateway.access import ALONE, ANY_KEY
from gateway.problems import ProblemError
from gateway.rest.asking import Asked, gateway_of
from schemas.apikey import ApiKey, Scope
from schemas.errors import RequestInvalid
from schemas.ids import DEFAULT_OWNER, is_owner

Scopes = Annotated[tuple[Scope, ...], Meta(min_length=1, max_length=len(Scope))]
KeyNote = Annotated[str, Meta(max_length=apikeys.NOTE_CHARS_MAX)]


class NewKey(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose key it is to be, and what it may do."""

    owner: str = DEFAULT_OWNER
    scopes: Scopes = (Scope.READ, Scope.SUBMIT)
    note: KeyNote = ""
    """What it is for."""


class KeyView(Struct, frozen=True, kw_only=True):
    """What is known of a key."""

    id: str
    owner: str
    scopes: tuple[Scope, ...]
    created: datetime
    note: str
    revoked: datetime | None
    """Since when it opens nothing."""
    key: str | None = None
    """The key itself: only in the answer to what made it."""


class KeyList(Struct, frozen=True):
    keys: tuple[KeyView, ...]


class Me(Struct, frozen=True, kw_only=True):
    """The caller."""

    key: str
    """The key's id."""
    owner: str
    scopes: tuple[Scope, ...]


def view_of(key: ApiKey, secret: str | None = None) -> KeyView:
    return KeyView(
        id=key.id,
        owner=key.owner,
        scopes=key.scopes,
        created=key.created,
        note=key.note,
        revoked=key.revoked,
        key=secret,
    )


@get("/me", opt={"scope": ANY_KEY, ALONE: True}, tags=["keys"])
async def me(request: Asked) -> Me:
    """Whose key is shown, and what it may do."""
    caller = request.user
    return Me(key=caller.key, owner=caller.owner, scopes=caller.scopes)


@get("/keys", opt={"scope": Scope.ADMIN}, tags=["keys"])
async def known(request: Asked, revoked: FromQuery[bool] = False) -> KeyList:
    """Every key, the oldest first; those that open nothing any more with `revoked`."""
    found = await apikeys.read_all(gateway_of(request).client.connection)
    return KeyList(tuple(view_of(key) for key in found if revoked or key.revoked is None))


@post("/keys", opt={"scope": Scope.ADMIN}, tags=["keys"])
async def make(request: Asked, data: JSONBody[NewKey]) -> Response[KeyView]:
    """Make a key. The answer tells it, and nothing ever again."""
    if not is_owner(data.owner):
        raise RequestInvalid("owner", f"{data.owner!r} is not an owner: use a-z, 0-9, '-' and '_', and not 'admin'")
    made = await apikeys.create(gateway_of(request).client.connection, data.owner, data.scopes, data.note)
    # No cache on the way is to have it.
    return Response(view_of(made.key, made.secret), status_code=201, headers={"Cache-Control": "no-store"})


@delete("/keys/{key_id:str}", opt={"scope": Scope.ADMIN}, status_code=200, tags=["keys"])
async def revoke(request: Asked, key_id: FromPath[str]) -> KeyView:
    """Let a key open nothing any more, at any replica, within two seconds."""
    try:
        return view_of(await apikeys.revoke(gateway_of(request).client.connection, key_id))
    except apikeys.NoSuchKey:
        raise ProblemError(HTTPStatus.NOT_FOUND, f"there is no API key {key_id[:64]!r}") from None


ROUTES = (me, known, make, revoke)
