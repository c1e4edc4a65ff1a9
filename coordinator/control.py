"""Control verbs, answered by the leading coordinator: who asks, what for, and trouble put into words."""

from collections.abc import Awaitable, Callable
from functools import partial

import anyio
import msgspec
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus
from msgspec.structs import replace

from broker.errors import BrokerError
from broker.service import Handler, service
from coordinator import policies, views
from coordinator.counting import Stats
from coordinator.explaining import explain
from coordinator.limiting import limit
from coordinator.listing import Listing, Reaches
from coordinator.ordering import Ordering
from coordinator.prioritising import Prioritising
from coordinator.steering import Steering
from coordinator.story import story
from coordinator.term import Term
from schemas import __version__, codec
from schemas import subjects as s
from schemas.control import (
    Cancel,
    ErrorReply,
    ExplainQuery,
    ListQuery,
    NodesReply,
    Prioritise,
    SetLimits,
    ShowQuery,
    ShowReply,
    Steer,
    SteerReply,
)
from schemas.ids import ADMIN_CALLER, TASK_ID
from schemas.oddity import Oddity

ANSWER_WITHIN_S = 8.0
"""Below a caller's usual patience: a late answer would be sent to nobody."""

Verb = Callable[[str, bytes], Awaitable[msgspec.Struct]]
"""Takes the caller and the request's body."""


async def answer(term: Term, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
    """Serve `downloads.control.<caller>.<verb>` for the length of the term; started once it listens."""
    endpoints: dict[str, Handler] = {s.control("*", verb): _guarded(term, work) for verb, work in _verbs(term).items()}
    async with service(
        term.connection,
        name="downdraft-control",
        version=__version__,
        description="Steer and inspect the tasks of this cluster",
        endpoints=endpoints,
        group=term.tag,
    ):
        task_status.started()
        await anyio.sleep_forever()


def _verbs(term: Term) -> dict[str, Verb]:
    listing = Listing(term)
    steering = Steering(term, listing)
    prioritising = Prioritising(term, listing, steering)
    stats = Stats(term, listing.holdings)

    async def steer(caller: str, body: bytes, *, how: Callable[[Steer, Reaches], Awaitable[SteerReply]]) -> SteerReply:
        return await how(codec.decode(body, Steer), partial(may, caller))

    async def cancel(caller: str, body: bytes) -> msgspec.Struct:
        return await steering.cancel(codec.decode(body, Cancel), partial(may, caller))

    async def prioritise(caller: str, body: bytes) -> msgspec.Struct:
        return await prioritising.prioritise(codec.decode(body, Prioritise), partial(may, caller))

    async def slow(caller: str, body: bytes) -> msgspec.Struct:
        return await limit(steering, codec.decode(body, SetLimits), partial(may, caller))

    async def page(caller: str, body: bytes) -> msgspec.Struct:
        return await listing.page(codec.decode(body, ListQuery), partial(may, caller))

    async def why(caller: str, body: bytes) -> msgspec.Struct:
        asked = codec.decode(body, ExplainQuery)
        return await explain(term, listing, term.desk.explain, asked, partial(may, caller))

    async def nodes(caller: str, _: bytes) -> msgspec.Struct:
        return NodesReply(views.nodes(term, with_tasks=caller == ADMIN_CALLER), views.unheard(term))

    async def count(caller: str, _: bytes) -> msgspec.Struct:
        reply = await stats.reply()
        # Others' origins are theirs.
        return reply if caller == ADMIN_CALLER else replace(reply, cooling={})

    async def policy(caller: str, _: bytes) -> msgspec.Struct:
        return await policies.show(term, caller)

    return {
        **Ordering(term).verbs(),
        "cancel": cancel,
        "pause": partial(steer, how=steering.pause),
        "resume": partial(steer, how=steering.resume),
        "retry": partial(steer, how=steering.retry),
        "clear": partial(steer, how=steering.clear),
        "prioritise": prioritise,
        "limit": slow,
        "list": page,
        "show": partial(_show, term, listing),
        "explain": why,
        "nodes": nodes,
        "stats": count,
        "policy": policy,
        "policy-set": partial(policies.change, term),
    }


def _guarded(term: Term, work: Verb) -> Handler:
    """Decode errors and broker trouble become an answer that says so."""

    async def handle(subject: str, body: bytes) -> bytes | None:
        caller = subject.split(".")[2]
        if not term.holds():
            return None  # it slept past its lease: what was asked meanwhile is answered by whoever leads now
        try:
            with anyio.fail_after(ANSWER_WITHIN_S):
                return codec.encode(await work(caller, body or b"{}"))
        except msgspec.MsgspecError as error:
            term.oddities[Oddity.CONTROL_UNREADABLE] += 1
            where, what = codec.explain(error)
            return codec.encode(ErrorReply(f"{where}: {what}" if where else what))
        except TimeoutError:
            return codec.encode(ErrorReply("not done in time; it may still happen: look, then ask again"))
        except BrokerError as error:
            return codec.encode(ErrorReply(f"the broker is in trouble: {error}"))

    return handle


def may(caller: str, owner: str) -> bool:
    """Whether a caller reaches an owner's tasks."""
    return caller in (ADMIN_CALLER, owner)


async def _show(term: Term, listing: Listing, caller: str, body: bytes) -> msgspec.Struct:
    task = codec.decode(body, ShowQuery).id
    if not TASK_ID.match(task):
        return ErrorReply(f"{task!r} is not a task id: 16 hex digits are")
    found = await story(term, listing, task)
    if found.view is None or not may(caller, found.view.owner):
        return ShowReply(None)
    return ShowReply(found.view, tuple(found.events))
