"""No placement over a limit when leaders change: what one may still have in flight is made to lose, or is counted."""

from collections.abc import Collection, Iterable

import anyio
import structlog
from msgspec.structs import replace

from broker.errors import BrokerError, StoreFull, Unanswered
from coordinator.term import Term
from schemas.lifecycle import State
from schemas.placing import Entry

log = structlog.get_logger()

RETRY_S = 0.5


async def take_record(term: Term) -> None:
    """Before the table is read: from now on no earlier leader can begin a placement that counts against a limit.

    Without room in the store the term goes on all the same, but places nothing that is limited. Raises Deposed,
    Unanswered.
    """
    try:
        await term.handover.take_over()
    except StoreFull as error:
        log.error("no room for the record of placements: origins with a limit wait", problem=str(error))


async def settle_inherited(term: Term) -> BrokerError | None:
    """After the table was read: what an earlier leader was placing has landed and is counted, or can't land any more.

    What went wrong, if something did; nothing limited may be placed before it returns None.
    """
    return await settle(term, tuple(term.handover.inherited))


async def settle(term: Term, entries: Collection[Entry]) -> BrokerError | None:
    """Find out what became of placements, or see to it that nothing will. The first trouble; those are not settled."""
    troubles: list[BrokerError] = []

    async def one(entry: Entry) -> None:
        try:
            await _touch(term, entry)
        except (StoreFull, Unanswered) as error:
            troubles.append(error)
            return
        except BrokerError as error:
            # Refused, and so is any other write of that row; or unreadable, and so nobody's to place.
            log.warning("a row could not be touched", task=entry.task, problem=str(error))
        term.handover.settled((entry,))

    async with anyio.create_task_group() as tasks:
        for entry in entries:
            tasks.start_soon(one, entry)
    return troubles[0] if troubles else None


async def settle_patiently(term: Term, entries: Iterable[Entry]) -> None:
    """`settle` until it is done: meanwhile they stay reserved, for each may land yet."""
    left = set(entries)
    while left and term.holds():
        if await settle(term, left) is None:
            return
        await anyio.sleep(RETRY_S)
        left &= term.handover.unsettled


async def _touch(term: Term, entry: Entry) -> None:
    """Write the same row once more where it still stands queued: a placement that is under way loses to that.

    If the touch loses, the placement has landed, and the book has it now. Raises BrokerError.
    """
    async with term.only(entry.task):
        top = term.book.top(entry.task)
        if top is None or top.sequence != entry.sequence or top.row.state is not State.QUEUED:
            return
        waited_s = max(0.0, term.connection.clock.now() - top.stored_at)
        await term.cas(replace(top.row, delay_s=max(0.0, top.row.delay_s - waited_s)), entry.sequence)
