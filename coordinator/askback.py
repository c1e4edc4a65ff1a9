"""An origin that wants to be left alone is not asked by what waits at nodes already: that is asked back at once."""

from collections.abc import AsyncIterator, Iterator
from typing import NoReturn

import anyio
import structlog

from broker.errors import BrokerError
from coordinator import moves
from coordinator.feed import unhurried
from coordinator.term import Term
from coordinator.views import Holdings
from coordinator.wants import origins_of
from schemas.task import ORIGIN_COOLS, StoredRow

log = structlog.get_logger()

AT_ONCE_MAX = 256
"""Writes in one go; what is left follows with the next."""
NOT_BEGUN = frozenset({"waiting", "probing"})
"""Phases of a heartbeat in which a task has not asked its origin for the file."""


async def ask_back(term: Term) -> NoReturn:
    """Ask back, for the length of the term, what origins that cool down have not begun to serve.

    Heartbeats are some seconds old: the nodes themselves go on with what has begun meanwhile.
    """
    while True:
        await term.cooled.wait()
        term.cooled = anyio.Event()
        while origins := term.recalls.origins(anyio.current_time()):
            asked = 0
            async for batch in _batches(term, origins):
                asked += await ask(term, batch, ORIGIN_COOLS)
            if asked:
                log.info("tasks are asked back, their origin wants to be left alone", tasks=asked)
            with anyio.move_on_after(term.settings.heartbeat_interval_s):
                await term.cooled.wait()
                term.cooled = anyio.Event()


async def _batches(term: Term, origins: frozenset[str]) -> AsyncIterator[list[StoredRow]]:
    """Rows of these origins that stand at nodes and have not begun there, as far as is known."""
    found: dict[str, StoredRow] = {}
    async for task in unhurried(_candidates(term)):
        top = term.book.top(task)
        if top is None or top.row.request is None or task in term.locks or moves.asked_back(top.row) is None:
            continue
        if not origins.isdisjoint(origins_of(top.row.request)):
            found[task] = top
        if len(found) >= AT_ONCE_MAX:
            yield list(found.values())
            found.clear()
    if found:
        yield list(found.values())


def _candidates(term: Term) -> Iterator[str]:
    """Tasks that may not have begun: nodes say so, or have said nothing of them yet."""
    holdings = Holdings(term.fleet)
    for seen in term.fleet:
        yield from (held.task for held in seen.heartbeat.held if held.phase in NOT_BEGUN)
    for task in term.recalls.lately(anyio.current_time()):
        if (top := term.book.top(task)) is not None and holdings.of(top) is None:
            yield task


async def ask(term: Term, tops: list[StoredRow], code: str) -> int:
    """Ask these back for a reason of `moves.ASKED_BACK`: how many were. One that changed meanwhile comes up again."""
    changes = [
        (change, top.sequence)
        for top in tops
        if top.row.task not in term.locks and (change := moves.asked_back(top.row, code)) is not None
    ]
    with term.locks.all_of(change.task for change, _ in changes):
        fates = await term.cas_all(changes)
    if troubles := [fate for fate in fates if isinstance(fate, BrokerError)]:
        log.warning("some tasks could not be asked back", count=len(troubles), problem=str(troubles[0]))
    return sum(isinstance(fate, StoredRow) for fate in fates)
