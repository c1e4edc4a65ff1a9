"""A heap whose keys may rise behind its back: each is looked at anew when it comes to the top. Pure."""

import heapq
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

Item = TypeVar("Item", bound=Hashable)
Key = tuple[Any, ...]
"""Comparable; its last part is the item. Items must be comparable, too: an entry that counts no more may have all else
of another item's key. Keys are flat: tuples compare the parts that are tuples twice, and at each depth again."""

GHOSTS_MAX = 64
"""Entries that count no more, beyond as many as do: then the heap is made anew."""


class LazyHeap(Generic[Item]):
    """Items by a key that is at most their true one.

    Who makes an item's true key smaller must `offer` it again; larger keys are found out at the top.
    """

    __slots__ = ("_heap", "_keys")

    def __init__(self) -> None:
        self._heap: list[Key] = []
        self._keys: dict[Item, Key] = {}

    def __len__(self) -> int:
        return len(self._keys)

    def __repr__(self) -> str:
        return f"<LazyHeap {len(self._keys)} items>"

    def offer(self, key: Key) -> None:
        """Take an item in, or let it rise; a key above the known one changes nothing."""
        item = key[-1]
        known = self._keys.get(item)
        if known is not None and known <= key:
            return
        self._keys[item] = key
        heapq.heappush(self._heap, key)
        if len(self._heap) > 2 * len(self._keys) + GHOSTS_MAX:
            self._heap = list(self._keys.values())
            heapq.heapify(self._heap)

    def drop(self, item: Item) -> None:
        self._keys.pop(item, None)

    def first(self, true_key: Callable[[Item], Key | None]) -> Key | None:
        """The smallest true key; items whose true key is None are dropped. None: there is none."""
        heap, keys = self._heap, self._keys
        while heap:
            key = heap[0]
            item = key[-1]
            if keys.get(item) is not key:
                heapq.heappop(heap)
                continue
            actual = true_key(item)
            if actual is None:
                heapq.heappop(heap)
                del keys[item]
            elif actual is key or actual == key:
                return key
            else:
                keys[item] = actual
                heapq.heapreplace(heap, actual)
                if heap[0] is actual:
                    return actual
        return None
