"""What of a stream's stored messages a new consumer delivers."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

from tests.sim.broker.clock import NS

if TYPE_CHECKING:
    from tests.sim.broker.streams import Stream


def selected(stream: "Stream", config: dict[str, Any], filters: tuple[str, ...]) -> tuple[int, list[int]]:
    """Where a new consumer begins, and what of the stored messages it delivers."""
    policy = config.get("deliver_policy", "all")
    under = stream.sequences_under(filters)
    if policy == "new":
        return stream.last_sequence + 1, []
    if policy == "last_per_subject":
        last: dict[str, int] = {stream.messages[sequence].subject: sequence for sequence in under}
        chosen = sorted(last.values())
        if stream.config["max_msgs_per_subject"] == 1:  # every message is the last of its subject
            return stream.first_sequence, chosen
        return (chosen[0] if chosen else stream.last_sequence), chosen
    start = stream.first_sequence
    if policy == "by_start_sequence":
        start = max(int(config["opt_start_seq"]), stream.first_sequence)
    elif policy == "by_start_time":
        since = datetime.fromisoformat(config["opt_start_time"]).timestamp() * NS
        start = next((one.sequence for one in stream.messages.values() if one.at_ns >= since), stream.last_sequence + 1)
    return start, [sequence for sequence in under if sequence >= start]
