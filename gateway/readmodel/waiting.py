"""What is queued, as metrics tell it."""

from datetime import UTC, datetime

from msgspec import Struct

from gateway.readmodel.changes import PRIORITY_MAX, TIE_BITS
from gateway.readmodel.index import HIGHEST, LOWEST
from gateway.readmodel.store import Store
from gateway.readmodel.terms import queued_term

MICROS = 1_000_000


class Waiting(Struct, frozen=True):
    """The queued tasks of one priority."""

    count: int
    oldest: datetime
    """When the one that waits longest was submitted."""


def queued(store: Store) -> dict[int, Waiting]:
    """By priority; none where nothing is queued."""
    found: dict[int, Waiting] = {}
    for priority in range(-PRIORITY_MAX, PRIORITY_MAX + 1):
        members = store.index.ids(queued_term(priority))
        if members:
            key, _ = next(store.index.walk(members, is_down=False, low=LOWEST, high=HIGHEST))
            found[priority] = Waiting(len(members), datetime.fromtimestamp((key >> TIE_BITS) / MICROS, UTC))
    return found
