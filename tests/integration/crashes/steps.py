"""The steps of a leader that are broken off: what stood before, the step, its writes in order, and how the task ends.

`writes` is what an undisturbed run sends: a test holds it to that, and each entry is a place to die.
"""

from collections.abc import Awaitable, Callable
from datetime import timedelta

from msgspec import Struct
from msgspec.structs import replace

from coordinator import claim, feed, follow, moves, place, watch
from coordinator.lead import take_over
from coordinator.listing import Listing
from coordinator.snapshot import Placement
from coordinator.steering import Steering
from coordinator.term import Term
from schemas import subjects as s
from schemas.control import Cancel, Steer
from schemas.ids import rejected_task_id, task_id
from schemas.lifecycle import Desired, Outcome
from schemas.task import FailureClass, StoredRow
from tests.harness.leader import hear
from tests.integration.crashes.stage import Stage, take_one

Work = Callable[[Stage], Awaitable[None]]
Act = Callable[[Term, Stage], Awaitable[None]]


class Step(Struct, frozen=True):
    name: str
    before: Work
    act: Act
    writes: tuple[str, ...]
    outcome: str = "completed"
    attempt: int = 1
    """Of the outcome."""
    tells: str = ""
    """The node that must learn that its task is gone."""
    undone: str = ""
    """The outcome where it died before anything of a wish was stored: nobody was told that it is granted."""
    afterwards: Act | None = None
    """What is asked of the next leader, for the task to end."""


async def request(stage: Stage) -> None:
    await stage.producer.submit(id=stage.source)


async def bad_request(stage: Stage) -> None:
    body = f'{{"id": "{stage.source}"}}'.encode()
    stage.task = rejected_task_id("default", f"id:{stage.source}", body)
    await stage.producer.publish(body)


async def take_requests(term: Term, stage: Stage) -> None:
    await take_one(term, s.REQUESTS_STREAM, await claim.open_consumer(term), claim.claim)


async def queued(stage: Stage) -> None:
    await stage.queued()


async def put_at_one(term: Term, stage: Stage) -> None:
    top = _top(term, stage)
    hear(term, "node-1")
    async with term.only(stage.task):
        await place._place_held(term, [Placement(stage.task, top.sequence, "node-1", "i", "tested")])


async def take_facts(term: Term, stage: Stage) -> None:
    await take_one(term, s.EVENTS_STREAM, await follow.open_consumer(term), follow.act_on)


async def attempt_failed(stage: Stage) -> None:
    await stage.fails(stage.one, (await stage.placed(stage.one)).row)


async def failed_for_good(stage: Stage) -> None:
    await stage.fails(stage.one, (await stage.placed(stage.one)).row, FailureClass.PERMANENT)


async def released(stage: Stage) -> None:
    await stage.gives_back(stage.one, (await stage.placed(stage.one)).row)


async def asked_to_move_and_released(stage: Stage) -> None:
    top = await stage.wish(await stage.placed(stage.one), Desired.RELEASE)
    await stage.gives_back(stage.one, top.row)


async def cancelled_and_released(stage: Stage) -> None:
    top = await stage.wish(await stage.placed(stage.one), Desired.CANCEL)
    await stage.gives_back(stage.one, top.row)


async def completed(stage: Stage) -> None:
    await stage.one.complete((await stage.placed(stage.one)).row)


async def completed_in_the_middle_of_its_placement(stage: Stage) -> None:
    """Both rows of the move stand."""
    top = await stage.queued()
    stored = await stage.sound.cas(moves.placed(top.row, "node-1", "i"), top.sequence)
    assert stored is not None
    await stage.one.complete(await stage.one.gets(stage.task))


async def completed_elsewhere(stage: Stage) -> None:
    """Attempt 1 of a node taken for lost is whole, while attempt 2 runs on another."""
    first = await stage.placed(stage.one)
    lost = moves.given_back(first.row, "lost")
    again = await stage.sound.move(lost.row, first.sequence)
    assert again is not None
    assert await stage.sound.move(moves.placed(again.row, "node-2", "i"), again.sequence) is not None
    await stage.two.gets(stage.task, attempt=2)
    stage.two.rows.clear()  # it downloads for a while yet
    await stage.one.complete(first.row)
    stage.one.rows.clear()


async def lost(stage: Stage) -> None:
    await stage.placed(stage.one)
    stage.one.rows.clear()  # what it holds it tells in its heartbeats; it does not end
    stage.one.beating = False


async def rescue(term: Term, stage: Stage) -> None:
    async with term.only(stage.task):
        await watch._rescue(term, _top(term, stage))


async def at_one(stage: Stage) -> None:
    await stage.placed(stage.one)


async def queued_and_overdue(stage: Stage) -> None:
    await stage.queued(deadline=stage.sound.now() - timedelta(seconds=1))


async def running_and_overdue(stage: Stage) -> None:
    await stage.placed(stage.one, deadline=stage.sound.now() - timedelta(seconds=1))


async def overdue(term: Term, stage: Stage) -> None:
    async with term.only(stage.task):
        await watch._overdue(term, _top(term, stage))


def asks(verb: str) -> Act:
    async def ask(term: Term, stage: Stage) -> None:
        asked = Cancel(ids=(stage.task,)) if verb == "cancel" else Steer(ids=(stage.task,))
        await getattr(Steering(term, Listing(term)), verb)(asked, lambda owner: True)

    return ask


async def retry_of_ended(term: Term, stage: Stage) -> None:
    ended = stage.task
    stage.task = task_id("default", f"retry:{ended}")
    stage.source = f"retry of {ended}"
    await Steering(term, Listing(term)).retry(Steer(ids=(ended,)), lambda owner: True)


async def has_failed(stage: Stage) -> None:
    top = await stage.queued()
    await stage.sound.apply(top, moves.ended(top.row, Outcome.FAILED, "as told"))


async def waits_for_its_next_try(stage: Stage) -> None:
    top = await stage.queued()
    assert await stage.sound.cas(replace(top.row, delay_s=3600.0), top.sequence) is not None


async def ending(stage: Stage) -> None:
    top = await stage.queued()
    assert await stage.sound.cas(moves.ended(top.row, Outcome.FAILED, "as told").row, top.sequence) is not None


async def half_moved_with_a_fact_unread(stage: Stage) -> None:
    """The rows of half a placement, and the failure of what was placed."""
    top = await stage.queued()
    stored = await stage.sound.cas(moves.placed(top.row, "node-1", "i"), top.sequence)
    assert stored is not None
    await stage.fails(stage.one, await stage.one.gets(stage.task))


async def takes_over(term: Term, stage: Stage) -> None:
    await take_over(term)


async def audits(term: Term, stage: Stage) -> None:
    await feed.audit(term)
    await term.tidy(stage.task)


def _top(term: Term, stage: Stage) -> StoredRow:
    top = term.book.top(stage.task)
    assert top is not None
    return top


OPENS_CLAIM = ("delete-consumer-claim", "create-consumer-claim")
OPENS_FACTS = ("create-consumer-facts", "delete-consumer-facts")
REQUEUES = ("row-queued", "delete-row", "hint", "event-retrying")
CANCELS = ("row-queued", "event-finished-cancelled", "delete-row")
READS = ("marker", "create-consumer-read", "delete-consumer-read")

STEPS = (
    Step("claim", request, take_requests, (*OPENS_CLAIM, "row-queued", "event-queued", "ack")),
    Step(
        "reject",
        bad_request,
        take_requests,
        (*OPENS_CLAIM, "row-queued", "event-finished-rejected", "delete-row", "ack"),
        outcome="rejected",
    ),
    Step("place", queued, put_at_one, ("row-node-1", "event-assigned", "delete-row")),
    Step("requeue-after-failure", attempt_failed, take_facts, (*OPENS_FACTS, *REQUEUES, "ack"), attempt=2),
    Step(
        "fail",
        failed_for_good,
        take_facts,
        (*OPENS_FACTS, "row-node-1", "event-finished-failed", "delete-row", "ack"),
        outcome="failed",
    ),
    Step("requeue-released", released, take_facts, (*OPENS_FACTS, *REQUEUES, "ack"), attempt=2),
    Step("requeue-moved", asked_to_move_and_released, take_facts, (*OPENS_FACTS, *REQUEUES, "ack"), attempt=2),
    Step(
        "cancel-on-release",
        cancelled_and_released,
        take_facts,
        (*OPENS_FACTS, "row-node-1", "event-finished-cancelled", "delete-row", "ack"),
        outcome="cancelled",
    ),
    Step("clean-up", completed, take_facts, (*OPENS_FACTS, "delete-row", "ack")),
    Step(
        "clean-up-of-two-rows",
        completed_in_the_middle_of_its_placement,
        take_facts,
        (*OPENS_FACTS, "delete-row", "delete-row", "ack"),
    ),
    Step(
        "clean-up-elsewhere",
        completed_elsewhere,
        take_facts,
        (*OPENS_FACTS, "delete-row", "hint", "ack"),
        tells="node-2",
    ),
    Step("rescue", lost, rescue, REQUEUES, attempt=2, tells="node-1"),
    Step(
        "overdue-queued", queued_and_overdue, overdue, ("row-queued", "event-finished-failed", "delete-row"), "failed"
    ),
    Step("overdue-running", running_and_overdue, overdue, ("row-node-1",), "failed"),
    Step("cancel-queued", queued, asks("cancel"), CANCELS, "cancelled", undone="completed"),
    Step("cancel-running", at_one, asks("cancel"), ("row-node-1",), "cancelled", undone="completed"),
    Step("clear", queued, asks("clear"), CANCELS, "cancelled", undone="completed"),
    Step("pause", queued, asks("pause"), ("row-queued", "event-paused"), afterwards=asks("resume")),
    Step("retry-now", waits_for_its_next_try, asks("retry"), ("row-queued",), afterwards=asks("retry")),
    Step("retry-of-ended", has_failed, retry_of_ended, ("row-queued", "event-queued"), undone="none"),
    Step(
        "take-over-of-an-ending",
        ending,
        takes_over,
        ("record", *OPENS_CLAIM, *READS, *OPENS_FACTS, "event-finished-failed", "delete-row"),
        outcome="failed",
    ),
    Step(
        "take-over-of-half-a-move",
        half_moved_with_a_fact_unread,
        takes_over,
        ("record", *OPENS_CLAIM, *READS, *OPENS_FACTS, *REQUEUES, "ack"),
        attempt=2,
    ),
    Step("audit", half_moved_with_a_fact_unread, audits, (*READS, "delete-row"), attempt=2),
)
