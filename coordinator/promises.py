"""Disk that was promised to placements of which the node's heartbeats do not know yet. Pure."""

BEATS = 2
"""The next heartbeat may have been made up just before the row arrived: the one after it counts the task itself."""


class Promises:
    """For each node, the bytes placed there under each of its latest heartbeats."""

    def __init__(self) -> None:
        self._made: dict[str, dict[tuple[str, int], int]] = {}
        """By node, then by instance and number of the heartbeat: few, however many tasks are placed."""

    def __repr__(self) -> str:
        return f"<Promises to {len(self._made)} nodes>"

    def make(self, node: str, instance: str, beat: int, size: int) -> None:
        """A task of `size` bytes (0: unknown) is being placed on a node as it was heard in this heartbeat."""
        if size:
            made = self._made.setdefault(node, {})
            made[instance, beat] = made.get((instance, beat), 0) + size

    def at(self, node: str, instance: str, beat: int) -> int:
        """Bytes promised that the heartbeat `beat` of an instance need not count yet."""
        made = self._made.pop(node, {})
        left = {key: size for key, size in made.items() if key[0] == instance and beat < key[1] + BEATS}
        if left:
            self._made[node] = left
        return sum(left.values())
