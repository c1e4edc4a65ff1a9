"""`GET /events`: what happens, as it happens, and from any place in the log on."""

from http import HTTPStatus
from typing import Annotated, Any

from litestar import Request, get
from litestar.datastructures import State
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import HeaderParameter, QueryParameter
from msgspec import Struct

from gateway.access import ALONE, still_valid
from gateway.callers import Caller
from gateway.counting import Counting
from gateway.eventfilter import EventFilter, known_kinds
from gateway.logreader import reading_log
from gateway.pouring import Poured, Write
from gateway.problems import ProblemError
from gateway.service import Gateway
from gateway.sse import HEADERS, MEDIA_TYPE, EventStream
from schemas.apikey import Scope
from schemas.ids import TASK_ID

STREAMS_MAX = 1000
"""Of all keys together: each costs some 50 KB."""
STREAMS_OF_KEY_MAX = 256
VALUES_MAX = 100
"""Of each condition."""
SEQUENCE_MAX = 1 << 53
"""Beyond what any log reaches, and what JSON can tell."""
SEQUENCE_DIGITS_MAX = 20

Several = list[str] | None


class ServerSent(Struct, frozen=True):
    """One event of the stream, by the names of its fields."""

    event: str
    """Its type."""
    data: str
    """The event itself, a JSON document."""
    id: str
    """Its place in the log, or that of the one before: what to resume after."""
    retry: int = 0
    """Milliseconds after which to come back where the stream breaks off; told once."""


def _several(name: str, what: str) -> Any:
    return QueryParameter(name=name, description=f"{what}; may be given several times", max_items=VALUES_MAX)


def filter_asked(
    caller: Caller, tasks: Several, kinds: Several, owners: Several, tags: Several, labels: Several
) -> EventFilter:
    """What somebody asks for, of what they may see. Raises ProblemError."""
    if bad := [task for task in tasks or () if not TASK_ID.match(task)]:
        raise ProblemError(400, f"{bad[0][:64]!r} is not a task id: 16 hex digits are", field="task")
    try:
        asked_kinds = known_kinds(tuple(kinds or ()))
    except ValueError as error:
        raise ProblemError(400, str(error), field="type") from error
    seen = frozenset(owners) if owners else None
    if not caller.is_admin:
        seen = frozenset((caller.owner,)) if seen is None or caller.owner in seen else frozenset()
    return EventFilter(
        tasks=frozenset(tasks or ()),
        kinds=asked_kinds,
        owners=seen,
        tags=frozenset(tags or ()),
        labels=tuple(labels or ()),
    )


def start_asked(last_event_id: str | None, after: int | None) -> int | None:
    """Where to begin; None: now. A client that reconnects repeats `after` and knows better by then.

    Raises ProblemError.
    """
    if not last_event_id:
        return after
    # Python refuses to read a number of some thousand digits.
    is_number = last_event_id.isascii() and last_event_id.isdigit() and len(last_event_id) <= SEQUENCE_DIGITS_MAX
    if not is_number or int(last_event_id) > SEQUENCE_MAX:
        raise ProblemError(400, "Last-Event-ID must be the id of an event: a number", field="Last-Event-ID")
    return int(last_event_id)


@get(
    "/events",
    opt={"scope": Scope.READ, ALONE: True},
    media_type=MEDIA_TYPE,
    responses={200: ResponseSpec(ServerSent, description="One after another, without end.", media_type=MEDIA_TYPE)},
    tags=["events"],
)
async def events(
    request: Request[Caller, Any, Any],
    state: State,
    tasks: Annotated[Several, _several("task", "a task's id")] = None,
    kinds: Annotated[Several, _several("type", "a type; `finished` for all outcomes")] = None,
    owners: Annotated[Several, _several("owner", "an owner")] = None,
    tags: Annotated[Several, _several("tag", "a tag that the task asks for")] = None,
    labels: Annotated[Several, _several("label", "a label: `name=value`, or `name`")] = None,
    progress: Annotated[bool, QueryParameter(description="Tell also how far transfers are")] = False,
    after: Annotated[
        int | None, QueryParameter(ge=0, le=SEQUENCE_MAX, description="Begin after this event; 0: with the oldest")
    ] = None,
    last_event_id: Annotated[
        str | None, HeaderParameter(name="Last-Event-ID", description="Go on after this event, without a gap")
    ] = None,
) -> Poured:
    """Server-Sent Events: the type is the event's name, the JSON document its data, its place in the log its id."""
    gateway: Gateway = state.gateway
    wanted = filter_asked(request.user, tasks, kinds, owners, tags, labels)
    start = start_asked(last_event_id, after)
    key = request.user.key
    streams: Counting = gateway.streams
    if streams.of(key) >= STREAMS_OF_KEY_MAX:
        raise ProblemError(
            HTTPStatus.TOO_MANY_REQUESTS,
            f"this key has {STREAMS_OF_KEY_MAX} event streams open, which is the most: close one",
            headers={"Retry-After": "10"},
        )
    if streams.total >= STREAMS_MAX:
        raise ProblemError(
            HTTPStatus.SERVICE_UNAVAILABLE, "too many event streams are open here", headers={"Retry-After": "10"}
        )

    check = still_valid(gateway, request)

    async def pour(write: Write) -> bool:
        with streams.one(key):
            async with reading_log(
                gateway.hub, gateway.client.connection, start, tasks=wanted.tasks, kinds=wanted.read_kinds
            ) as reader:
                stream = EventStream(write, gateway.hub, reader, wanted, gateway.traits, check)
                return await stream.run(progress=progress)

    return Poured(pour, media_type=MEDIA_TYPE, headers=HEADERS)


ROUTES = (events,)
