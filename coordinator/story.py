"""One task with all that happened to it, whatever happens to it meanwhile."""

from collections.abc import Sequence

from msgspec import Struct

from broker.eventlog import history
from coordinator.listing import Listing
from coordinator.term import Term
from schemas.event import AnyEvent, Finished
from schemas.task import StoredRow
from schemas.view import TaskView, ended


class Story(Struct, frozen=True):
    """What is known of a task."""

    view: TaskView | None
    """None: there is no such task, or not any more."""
    row: StoredRow | None
    """Its true row, of a live one."""
    events: Sequence[AnyEvent]
    """The oldest first."""


async def story(term: Term, listing: Listing, task: str) -> Story:
    """Look a task up in the table and in the log. Raises BrokerError."""
    # The table first: a row goes only after its outcome is stored, so a task without a row has its outcome in the log.
    before = await _row(term, task)
    events = [stored.event for stored in await history(term.connection, task)]
    for event in events:
        if isinstance(event, Finished):
            return Story(ended(event), None, events)
    row = term.book.top(task) or before
    return Story(listing.view(row) if row is not None else None, row, events)


async def _row(term: Term, task: str) -> StoredRow | None:
    return term.book.top(task) or await term.refresh(task)
