"""What is queued, as metrics tell it."""

from datetime import UTC, datetime

from msgspec import Struct

from gateway.readmodel.changes import TIE_BITS
from gateway.readmodel.store import Store
from schemas.lifecycle import State

_QUEUED = "SELECT priority, count(*), min(key) FROM tasks WHERE sequence IS NOT NULL AND state = ? GROUP BY priority"
MICROS = 1_000_000


class Waiting(Struct, frozen=True):
    """The queued tasks of one priority."""

    count: int
    oldest: datetime
    """When the one that waits longest was submitted."""


def queued(store: Store) -> dict[int, Waiting]:
    """By priority; none where nothing is queued."""
    return {
        priority: Waiting(count, datetime.fromtimestamp((oldest >> TIE_BITS) / MICROS, UTC))
        for priority, count, oldest in store.database.execute(_QUEUED, (str(State.QUEUED),))
    }
