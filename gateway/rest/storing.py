"""Storing a batch of requests, and telling of each what became of it."""

from collections.abc import Mapping

import anyio

from broker.cluster import Prepared
from broker.connection import Connection
from broker.errors import BrokerError, Unanswered
from broker.publisher import publishing

STORE_WITHIN_S = 20.0
"""A batch takes two seconds; whoever waits for an answer by HTTP has little more patience."""
FULL_FOR_S = 2.0
"""A full inbox is waited for so long: a leader claims a thousand requests a second."""
FULL = "the inbox is full: submit it again, under the same id, when the cluster has caught up"
UNSURE = "the broker did not say whether it has the request; submitting it again under the same id is safe"


async def store_all(connection: Connection, prepared: Mapping[int, Prepared]) -> dict[int, str]:
    """Put requests into the inbox, at most so long. Why it was not, or may not have been, stored, of each such one."""
    problems: dict[int, str] = {}
    left = set(prepared)
    is_full = False

    def stored(index: int) -> None:
        left.discard(index)

    def refused(index: int, error: BrokerError) -> None:
        left.discard(index)
        problems[index] = str(error)

    def full(_wait_s: float) -> None:
        nonlocal is_full
        if is_full:
            return
        is_full = True
        waiting.deadline = min(waiting.deadline, anyio.current_time() + FULL_FOR_S)

    try:
        with anyio.move_on_after(STORE_WITHIN_S) as waiting:
            async with publishing(connection, stored=stored, refused=refused, full=full) as publisher:
                for index, one in prepared.items():
                    await publisher.put(index, one.subject, one.body)
                await publisher.settle()
    except Unanswered:  # what is left tells it
        pass
    return problems | dict.fromkeys(left, FULL if is_full else UNSURE)
