"""How much of the log a reader takes at a time."""

from datetime import UTC, datetime

import pytest

from gateway.hub import Kept
from gateway.logreader import BYTES_MAX, bounded
from schemas.event import Queued

EVENT = Queued(task="aa", owner="ann", time=datetime(2031, 5, 1, 12, tzinfo=UTC))


@pytest.mark.parametrize(
    ("sizes", "taken"),
    [((), 0), ((1, 1), 2), ((BYTES_MAX, 1), 1), ((2 * BYTES_MAX,), 1), ((BYTES_MAX // 2,) * 5, 2)],
)
def test_large_events_are_taken_a_few_at_a_time_and_each_at_some_time(sizes: tuple[int, ...], taken: int) -> None:
    kept = [Kept(number, EVENT, bytes(size)) for number, size in enumerate(sizes)]
    assert bounded(kept) == kept[:taken]
