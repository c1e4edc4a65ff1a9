"""A node that holds as much as any does still fits its heartbeat into one message."""

from typing import get_args

from coordinator.turnover import SLOTS_MAX
from node.aria2 import LIST_MAX
from schemas import codec
from schemas.heartbeat import Heartbeat, Held
from schemas.nodes import Slots
from schemas.settings import NodeSettings, names

MESSAGE_BYTES_MAX = 1 << 20
"""What a broker takes unless it is told otherwise."""
MOST_SLOTS = 1024
HELD_MAX = (1 + SLOTS_MAX) * MOST_SLOTS


def test_the_most_slots_are_the_same_wherever_they_are_set() -> None:
    for hint in (Slots, names()["node.slots"]):
        assert get_args(hint)[1].le == MOST_SLOTS
    assert NodeSettings(slots=MOST_SLOTS).slots < LIST_MAX


def test_the_heartbeat_of_a_full_node_fits_into_a_message() -> None:
    held = tuple(Held(f"{number:016x}", 99_999, "verifying") for number in range(HELD_MAX))
    beat = Heartbeat(
        node="n" * 63, instance="0" * 12, beat=1 << 40, version="99.99.99", slots=MOST_SLOTS, running=MOST_SLOTS,
        waiting=HELD_MAX, held=held,
    )  # fmt: skip
    assert len(codec.encode(beat)) < MESSAGE_BYTES_MAX // 2, "origins, tags and troubles need room too"
    assert HELD_MAX < LIST_MAX, "aria2 is asked for all of it at once"
