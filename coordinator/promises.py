"""Disk that was promised to placements of which the node's heartbeats do not know yet. Pure."""

BEATS = 2
"""The next heartbeat may have been made up just before the row arrived: the one after it counts the task itself."""


class Promises:
    """For each node, the bytes placed there under each of its latest heartbeats."""

    def __init__(self) -> None:
        self._made: dict[str, dict[tuple[str, int], dict[str, int]]] = {}
        """Sizes by task, by instance and number of the heartbeat, by node."""

    def __repr__(self) -> str:
        return f"<Promises to {len(self._made)} nodes>"

    def make(self, node: str, instance: str, beat: int, task: str, size: int) -> None:
        """A task of `size` bytes (0: unknown) is being placed on a node as it was heard in this heartbeat."""
        if size:
            self.drop(node, task)
            self._made.setdefault(node, {}).setdefault((instance, beat), {})[task] = size

    def drop(self, node: str, task: str) -> None:
        """It was not placed there after all."""
        for sizes in self._made.get(node, {}).values():
            sizes.pop(task, None)

    def at(self, node: str, instance: str, beat: int) -> int:
        """Bytes promised that the heartbeat `beat` of an instance need not count yet."""
        made = self._made.pop(node, {})
        left = {key: sizes for key, sizes in made.items() if sizes and key[0] == instance and beat < key[1] + BEATS}
        if left:
            self._made[node] = left
        return sum(sum(sizes.values()) for sizes in left.values())
