"""What owners are shown of nodes, and what is for operators alone."""

from coordinator.views import for_owners
from schemas.heartbeat import ALL, Heartbeat, Held


def test_an_owner_is_not_shown_what_a_node_holds_nor_from_where() -> None:
    beat = Heartbeat(
        node="n",
        instance="i",
        beat=1,
        version="0",
        slots=4,
        running=1,
        waiting=0,
        held=(Held(task="0123456789abcdef", attempt=1, phase="active"),),
        origins={"secret.example:443": 1000},
        held_back=("secret.example:443", ALL),
    )
    shown = for_owners(beat)
    assert (shown.held, shown.origins, shown.held_back) == ((), {}, (ALL,))
    assert (shown.node, shown.slots, shown.running) == ("n", 4, 1)
