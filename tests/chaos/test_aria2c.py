"""aria2c that dies or freezes, in both lanes."""

import pytest

from tests.chaos.cluster import Cluster
from tests.chaos.recovery import BREAKS, FROZEN, KILLED, LANES, aria2c_back_s

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

WITHIN_S = {KILLED: 5.0, FROZEN: 20.0}
ROUNDS = 2
SAVED_AT_LEAST = 1 << 20
"""Of the two MiB that it had: the large lane goes on at a whole MiB."""


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("how", BREAKS)
async def test_a_broken_aria2c_is_replaced_and_its_task_resumed(cluster: Cluster, how: str, lane: str) -> None:
    """Within 5 s where it was killed, within 20 s where it froze; the same attempt goes on with what is on disk."""
    for number in range(ROUNDS):
        resumed = await aria2c_back_s(cluster, how, lane, f"{lane}-{number}")
        assert resumed.took_s <= WITHIN_S[how]
        assert resumed.at_byte >= SAVED_AT_LEAST, "what was saved is not fetched again"
        assert cluster.witness.outcome(resumed.task).attempt == 1
    await cluster.books.balance()
