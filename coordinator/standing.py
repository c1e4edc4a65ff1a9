"""What stands at nodes or is on its way there, and what that takes up. Pure."""

from collections import Counter

from coordinator.snapshot import Stand


class Standing:
    """Where each task stands, counted by owner and by node. Counts that fell to nothing are not kept."""

    def __init__(self) -> None:
        self.stands: dict[str, Stand] = {}
        """By task."""
        self.by_owner: Counter[str] = Counter()
        self.at: Counter[str] = Counter()
        """Tasks at each node, heard of or not."""
        self.bandwidth_at: Counter[str] = Counter()
        """Bytes a second that they asked for, and what is kept of its line."""

    def __repr__(self) -> str:
        return f"<Standing {len(self.stands)} tasks at {len(self.at)} nodes>"

    def take(self, task: str, stand: Stand) -> None:
        """A task stands somewhere; it stood nowhere before."""
        self.stands[task] = stand
        self.by_owner[stand.owner] += 1
        self.at[stand.node] += 1
        if stand.bandwidth:
            self.bandwidth_at[stand.node] += stand.bandwidth

    def give(self, task: str) -> Stand | None:
        """It stands there no more; None where it stood nowhere."""
        stand = self.stands.pop(task, None)
        if stand is not None:
            _less(self.by_owner, stand.owner, 1)
            _less(self.at, stand.node, 1)
            _less(self.bandwidth_at, stand.node, stand.bandwidth)
        return stand

    def keep(self, node: str, bandwidth: int) -> None:
        """Part of a node's line is kept for a task that waits; negative: it is kept no more."""
        _less(self.bandwidth_at, node, -bandwidth)


def _less(counts: Counter[str], name: str, count: int) -> None:
    if count:
        counts[name] -= count
        if not counts[name]:
            del counts[name]
