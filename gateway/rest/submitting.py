"""`POST /tasks`: one request, or a batch of them, into the inbox."""

from collections import Counter
from http import HTTPStatus
from typing import Annotated

import anyio.lowlevel
import msgspec
from litestar import Response, post
from litestar.di import Provide
from litestar.openapi import ResponseSpec
from litestar.params import HeaderParameter, QueryParameter, RawBody
from msgspec import Struct
from msgspec.structs import replace

from broker.cluster import Client, NotSubmitted, Prepared
from broker.errors import BrokerError, Unanswered
from gateway.fresh import Fresh
from gateway.problems import ProblemError
from gateway.rest.apart import put_apart
from gateway.rest.asking import Asked, gateway_of
from gateway.rest.storing import store_all
from schemas import codec
from schemas.apikey import Scope
from schemas.checking import decode_request
from schemas.errors import RequestInvalid
from schemas.ids import is_owner
from schemas.repeats import repeatable_id
from schemas.request import Request

BATCH_MAX = 10_000
BODY_BYTES_MAX = 32 << 20
"""Ten thousand tasks of three kilobytes."""
COMMAS_MAX = 2_000_000
"""Each may stand between two values that take 80 bytes as they are read; in real requests it is one in 25 bytes."""
KEY_CHARS_MAX = 200
"""Of an Idempotency-Key: an id of 256 begins with it."""
CHECKED_AT_ONCE = 200
"""Requests of a batch that are checked before others may run: some 10 ms."""


class Submitted(Struct, frozen=True, kw_only=True):
    """A request that is stored, and will become a task."""

    task: str
    owner: str
    id: str
    """The producer's own id, or the one that was given: a repeat under it is the same task."""
    name: str


class ItemResult(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one request of a batch: `task`, `owner`, `id` and `name` where it is stored, else why not."""

    index: int
    ok: bool
    task: str = ""
    owner: str = ""
    id: str = ""
    name: str = ""
    error: str = ""
    field: str = ""


class BatchResult(Struct, frozen=True, kw_only=True):
    accepted: int
    refused: int
    results: tuple[ItemResult, ...]
    """One for each request, in their order."""


def _documented(data: Request | list[Request]) -> None:
    """The body of `submit`, for its description alone: each request of a batch is judged by itself."""


@post(
    "/tasks",
    opt={"scope": Scope.SUBMIT},
    dependencies={"documented": Provide(_documented, sync_to_thread=False)},
    tags=["tasks"],
    request_max_body_size=BODY_BYTES_MAX,
    responses={207: ResponseSpec(BatchResult, description="Some of a list were not accepted.")},
)
async def submit(
    request: Asked,
    body: RawBody,
    owner: Annotated[str | None, QueryParameter(description="For whom: keys of the scope admin alone may say.")] = None,
    idempotency_key: Annotated[
        str | None,
        HeaderParameter(
            name="Idempotency-Key",
            description="A repeat of the same requests under the same key finds the same tasks.",
        ),
    ] = None,
) -> Response[Submitted | BatchResult]:
    """Submit a request, or a list of up to 10,000.

    One: 201 with its task. A list: 201 where all were accepted, 207 where some were not; each has its own result.
    """
    client = _client_for(request, owner)
    ids = _Ids(idempotency_key)
    if body.count(b",") > COMMAS_MAX:
        raise ProblemError(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"more than {COMMAS_MAX:,} values: submit fewer at once"
        )
    if body.lstrip()[:1] != b"[":
        prepared = _prepare(client, ids, await put_apart(client.connection, body))
        await _store(client, prepared)
        gateway_of(request).fresh.stored(prepared)
        return Response(_told(prepared), status_code=201, headers={"Location": f"/api/v1/tasks/{prepared.task}"})
    try:
        items = codec.decode(body, list[msgspec.Raw])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RequestInvalid("", f"not JSON ({error})") from error
    if len(items) > BATCH_MAX:
        raise ProblemError(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"{len(items):,} requests are more than the {BATCH_MAX:,} of a batch"
        )
    results = await _submit_all(client, gateway_of(request).fresh, ids, items)
    refused = sum(not result.ok for result in results)
    answer = BatchResult(accepted=len(results) - refused, refused=refused, results=tuple(results))
    return Response(answer, status_code=HTTPStatus.MULTI_STATUS if refused else HTTPStatus.CREATED)


def _client_for(request: Asked, owner: str | None) -> Client:
    """Raises ProblemError where somebody submits for another, RequestInvalid for what is no owner."""
    own = request.user.owner
    who = own if owner is None else owner
    if who != own and not request.user.is_admin:
        raise ProblemError(
            HTTPStatus.FORBIDDEN, f"this key submits for {own!r} alone: leave `owner` out", field="owner"
        )
    if not is_owner(who):
        raise RequestInvalid("owner", f"{who!r} is not an owner: use a-z, 0-9, '-' and '_', and not 'admin'")
    return gateway_of(request).client.on_behalf_of(who)


class _Ids:
    """Gives ids to requests that have none: the same to the same under the same key, whatever stands around them."""

    def __init__(self, key: str | None) -> None:
        if key is not None and not (key.isprintable() and 0 < len(key) <= KEY_CHARS_MAX):
            raise RequestInvalid("Idempotency-Key", f"must be 1 to {KEY_CHARS_MAX} printable characters")
        self._key = key
        self._given: Counter[str] = Counter()

    def give(self, request: Request) -> Request:
        if self._key is None or request.id is not None:
            return request
        given = repeatable_id(self._key, request)
        self._given[given] += 1
        again = self._given[given]  # two alike in one batch are two tasks, as they would be without a key
        return replace(request, id=given if again == 1 else f"{given}-{again}")


def _prepare(client: Client, ids: _Ids, body: bytes) -> Prepared:
    """Raises RequestInvalid."""
    request = ids.give(decode_request(body))
    try:
        return client.prepare(request, is_checked=True)
    except NotSubmitted as error:  # too large for the inbox: to ask again would not help
        raise RequestInvalid("", str(error)) from error


async def _store(client: Client, prepared: Prepared) -> None:
    """Raises NotSubmitted, ProblemError."""
    try:
        await client.store(prepared)
    except NotSubmitted as error:
        if not isinstance(error.__cause__, Unanswered):
            raise
        said = f'the broker did not say whether it has the request; again with "id": "{prepared.request.id}" is safe'
        raise ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, said, headers={"Retry-After": "2"}) from error


async def _submit_all(client: Client, fresh: Fresh, ids: _Ids, items: list[msgspec.Raw]) -> list[ItemResult]:
    results: dict[int, ItemResult] = {}
    prepared: dict[int, Prepared] = {}
    for index, item in enumerate(items):
        if index % CHECKED_AT_ONCE == CHECKED_AT_ONCE - 1:
            await anyio.lowlevel.checkpoint()
        try:
            prepared[index] = _prepare(client, ids, await put_apart(client.connection, bytes(item)))
        except RequestInvalid as error:
            results[index] = ItemResult(index=index, ok=False, error=str(error), field=error.where)
        except BrokerError as error:  # its torrent could not be stored
            results[index] = ItemResult(index=index, ok=False, error=str(error))
    problems = await store_all(client.connection, prepared)
    for index, one in prepared.items():
        if index not in problems:
            fresh.stored(one)
        told = _told(one)
        results[index] = ItemResult(
            index=index,
            ok=index not in problems,
            task=told.task,
            owner=told.owner,
            id=told.id,
            name=told.name,
            error=problems.get(index, ""),
        )
    return [results[index] for index in range(len(items))]


def _told(prepared: Prepared) -> Submitted:
    request = prepared.request
    return Submitted(task=prepared.task, owner=prepared.owner, id=request.id or "", name=request.title)


ROUTES = [submit]
