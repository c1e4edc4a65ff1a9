"""`/webhooks`: where events are to be sent."""

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated

import msgspec
from litestar import Response, delete, get, patch, post
from litestar.datastructures import State
from litestar.params import FromPath, JSONBody
from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import replace

from broker import keys
from broker.standing import Found
from gateway.callers import Caller
from gateway.eventfilter import known_kinds
from gateway.problems import ProblemError
from gateway.rest.asking import Asked
from gateway.service import Gateway
from gateway.webhooks.book import state_of, take_away
from schemas import codec
from schemas import subjects as s
from schemas.apikey import Scope
from schemas.errors import RequestInvalid
from schemas.event import KINDS
from schemas.filter import Values
from schemas.ids import is_owner
from schemas.webhook import (
    SECRET_BYTES_MIN,
    Webhook,
    WebhookNote,
    WebhookUrl,
    check_secret,
    check_url,
    make_webhook_secret,
    networks,
)

WEBHOOKS_OF_OWNER_MAX = 20
WEBHOOKS_MAX = 200
"""Each has connections of its own, and events that wait."""
WEBHOOK_BYTES_MAX = 16 << 10
"""As it is stored: all of them together must leave room in the bucket, where the lease and the policy are."""
ID_BYTES = 6
TRIES = 3
"""Changes at the same time that one is tried over."""

Types = Annotated[tuple[str, ...], Meta(max_length=len(KINDS) + 1)]


class NewWebhook(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where to send events, and which."""

    url: WebhookUrl
    types: Types = ("finished",)
    """Event types, `finished` for all outcomes; none: every type."""
    tags: Values = ()
    """Only of tasks that ask for all of these."""
    labels: Values = ()
    """Each `name=value`, or `name`: only of tasks that have all of these."""
    owner: str = ""
    """Whose events; empty: the key's owner. Another one takes the scope `admin`."""
    everyone: bool = False
    """The events of all owners; takes the scope `admin`."""
    secret: str = ""
    """`whsec_` and the base64 of 24 to 64 random bytes, to sign with; empty: one is made."""
    note: WebhookNote = ""


class WebhookChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change of a webhook; what is left out stays as it is."""

    url: WebhookUrl | UnsetType = UNSET
    types: Types | UnsetType = UNSET
    tags: Values | UnsetType = UNSET
    labels: Values | UnsetType = UNSET
    note: WebhookNote | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET
    """Go on with what has not been sent yet, or stop."""
    new_secret: bool = False
    """Sign with another one from now on; the answer tells it."""


class WebhookView(Struct, frozen=True, kw_only=True):
    """A webhook, and how it does."""

    id: str
    url: str
    owner: str
    everyone: bool
    types: tuple[str, ...]
    tags: tuple[str, ...]
    labels: tuple[str, ...]
    note: str
    created: datetime
    enabled: bool
    why_disabled: str
    position: int
    """All events up to this sequence are done with."""
    delivered: int
    passed_over: int
    """Given up, after many tries."""
    last_delivered: datetime | None
    failing_since: datetime | None
    problem: str
    """Why the last try failed; empty after one that did not."""
    secret: str | None = None
    """Only in the answer to what made it."""


class WebhookList(Struct, frozen=True):
    webhooks: tuple[WebhookView, ...]


def view_of(webhook: Webhook, state: Found | None, *, secret: bool = False) -> WebhookView:
    now = state_of(webhook, state)
    return WebhookView(
        id=webhook.id,
        url=webhook.url,
        owner=webhook.owner,
        everyone=webhook.everyone,
        types=webhook.types,
        tags=webhook.tags,
        labels=webhook.labels,
        note=webhook.note,
        created=webhook.created,
        enabled=not webhook.disabled,
        why_disabled=webhook.disabled,
        position=now.position,
        delivered=now.delivered,
        passed_over=now.passed_over,
        last_delivered=now.last_delivered,
        failing_since=now.failing_since,
        problem=now.problem,
        secret=webhook.secret if secret else None,
    )


@post("/webhooks", opt={"scope": Scope.SUBMIT}, status_code=201, tags=["webhooks"])
async def make(request: Asked, state: State, data: JSONBody[NewWebhook]) -> WebhookView:
    """Have events sent from now on. The answer tells the secret that they are signed with; nothing else ever does."""
    gateway: Gateway = state.gateway
    owner = _owner_for(request.user, data)
    _check_types(data.types)
    check_url(data.url, networks(gateway.settings.webhook_nets))
    secret = check_secret(data.secret) if data.secret else make_webhook_secret(secrets.token_bytes(SECRET_BYTES_MIN))
    with gateway.hub.used():
        await gateway.hub.until_ready()
        end = gateway.hub.position
    webhook = Webhook(
        id=secrets.token_hex(ID_BYTES),
        owner=owner,
        url=data.url,
        secret=secret,
        after=end,
        created=datetime.now(UTC),
        types=data.types,
        tags=data.tags,
        labels=data.labels,
        everyone=data.everyone,
        note=data.note,
    )
    body = _encoded(webhook)
    async with gateway.webhooks.making:
        _check_room(gateway.webhooks.webhooks, owner)
        await keys.write(gateway.client.connection, s.webhook_key(webhook.id), body, expected=0)
        await gateway.webhooks.until_seen(webhook.id)
    return view_of(webhook, None, secret=True)


@get("/webhooks", opt={"scope": Scope.READ}, tags=["webhooks"])
async def webhooks(request: Asked, state: State) -> WebhookList:
    """Those that send the caller's events."""
    connection = state.gateway.client.connection
    found = await keys.read_all(connection, s.WEBHOOKS_KEYS)
    states = await keys.read_all(connection, s.webhook_state_key("*"))
    seen = [one for body in found.values() if (one := _readable(body)) is not None]
    return WebhookList(
        tuple(
            view_of(one, states.get(s.webhook_state_key(one.id)))
            for one in sorted(seen, key=lambda one: (one.created, one.id))
            if _sees(request.user, one)
        )
    )


@get("/webhooks/{webhook_id:str}", opt={"scope": Scope.READ}, tags=["webhooks"])
async def webhook(request: Asked, state: State, webhook_id: FromPath[str]) -> WebhookView:
    """One webhook, and how it does."""
    gateway: Gateway = state.gateway
    one, _ = await _found(gateway, request.user, webhook_id)
    return view_of(one, await keys.read(gateway.client.connection, s.webhook_state_key(one.id)))


@patch("/webhooks/{webhook_id:str}", opt={"scope": Scope.SUBMIT}, tags=["webhooks"])
async def change(request: Asked, state: State, webhook_id: FromPath[str], data: JSONBody[WebhookChange]) -> WebhookView:
    """Change where to send, and what; stop, or go on without a gap."""
    gateway: Gateway = state.gateway
    if data.url is not UNSET:
        check_url(data.url, networks(gateway.settings.webhook_nets))
    if data.types is not UNSET:
        _check_types(data.types)
    changes = {name: getattr(data, name) for name in ("url", "types", "tags", "labels", "note")}
    changes = {name: value for name, value in changes.items() if value is not UNSET}
    if data.enabled is not UNSET:
        changes["disabled"] = "" if data.enabled else "it was stopped"
    if data.new_secret:
        changes["secret"] = make_webhook_secret(secrets.token_bytes(SECRET_BYTES_MIN))
    connection = gateway.client.connection
    for _ in range(TRIES):
        one, revision = await _found(gateway, request.user, webhook_id)
        changed = replace(one, **changes)
        if await keys.write(connection, s.webhook_key(one.id), _encoded(changed), expected=revision) is not None:
            state_now = await keys.read(connection, s.webhook_state_key(one.id))
            return view_of(changed, state_now, secret=data.new_secret)
    raise ProblemError(HTTPStatus.CONFLICT, "somebody else changes it at the same time: look at it, then try again")


@delete("/webhooks/{webhook_id:str}", opt={"scope": Scope.SUBMIT}, status_code=204, tags=["webhooks"])
async def remove(request: Asked, state: State, webhook_id: FromPath[str]) -> Response[None]:
    """Send nothing there any more."""
    gateway: Gateway = state.gateway
    one, _ = await _found(gateway, request.user, webhook_id)
    await take_away(gateway.client.connection, one.id)
    return Response(None, status_code=204)


def _owner_for(caller: Caller, data: NewWebhook) -> str:
    """Raises ProblemError, RequestInvalid."""
    owner = data.owner or caller.owner
    if not caller.is_admin and (owner != caller.owner or data.everyone):
        said = "this key sends its own owner's events only: another's, or everyone's, take the scope 'admin'"
        raise ProblemError(HTTPStatus.FORBIDDEN, said, field="everyone" if data.everyone else "owner")
    if not is_owner(owner):
        raise RequestInvalid("owner", f"{owner!r} is not an owner: use a-z, 0-9, '-' and '_', and not 'admin'")
    return owner


def _check_types(types: tuple[str, ...]) -> None:
    """Raises RequestInvalid."""
    try:
        known_kinds(types)
    except ValueError as error:
        raise RequestInvalid("types", str(error)) from error


def _check_room(there: Mapping[str, Webhook], owner: str) -> None:
    """Raises ProblemError."""
    if sum(one.owner == owner for one in there.values()) >= WEBHOOKS_OF_OWNER_MAX:
        said = f"{owner!r} has {WEBHOOKS_OF_OWNER_MAX} webhooks, which is the most: delete one"
        raise ProblemError(HTTPStatus.CONFLICT, said)
    if len(there) >= WEBHOOKS_MAX:
        raise ProblemError(HTTPStatus.CONFLICT, f"there are {WEBHOOKS_MAX} webhooks, which is the most: delete one")


def _encoded(webhook: Webhook) -> bytes:
    """Raises RequestInvalid."""
    body = codec.encode(webhook)
    if len(body) > WEBHOOK_BYTES_MAX:
        raise RequestInvalid("labels", f"address, tags and labels have {len(body):,} bytes of {WEBHOOK_BYTES_MAX:,}")
    return body


def _sees(caller: Caller, webhook: Webhook) -> bool:
    """What an operator has sent for everyone may go to where owners are not to know of."""
    return caller.is_admin or (caller.sees(webhook.owner) and not webhook.everyone)


def _readable(found: Found) -> Webhook | None:
    """None for one of another version's making, which is left alone."""
    try:
        return codec.decode(found.body, Webhook)
    except msgspec.MsgspecError:
        return None


async def _found(gateway: Gateway, caller: Caller, webhook_id: str) -> tuple[Webhook, int]:
    """A webhook and its revision. Raises ProblemError."""
    is_id = len(webhook_id) == 2 * ID_BYTES and set(webhook_id) <= set("0123456789abcdef")
    found = await keys.read(gateway.client.connection, s.webhook_key(webhook_id)) if is_id else None
    if found is not None:
        one = _readable(found)
        if one is None:
            raise ProblemError(HTTPStatus.CONFLICT, f"webhook {webhook_id} is of a kind that this version can't read")
        if _sees(caller, one):
            return one, found.revision
    raise ProblemError(HTTPStatus.NOT_FOUND, f"there is no webhook {webhook_id[:64]!r}")


ROUTES = (make, webhooks, webhook, change, remove)
