"""What else must not differ between two runs of one seed: the order of sets, and what the system calls random."""

import os
import random
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from anyio._backends import _asyncio as backend


class OrderedSet:
    """As much of a set as anyio's cancel scopes use, in the order of adding.

    They keep their tasks in sets, which go by address: the order of a cancellation would differ from run to run.
    """

    __slots__ = ("_items",)

    def __init__(self, items: Iterable[Any] = ()) -> None:
        self._items = dict.fromkeys(items)

    def add(self, item: Any) -> None:
        self._items[item] = None

    def discard(self, item: Any) -> None:
        self._items.pop(item, None)

    def remove(self, item: Any) -> None:
        del self._items[item]

    def __contains__(self, item: object) -> bool:
        return item in self._items

    def __iter__(self) -> Iterator[Any]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)


@contextmanager
def in_order(dice: random.Random) -> Iterator[None]:
    """For the length of the block cancellation goes in order and `os.urandom` throws `dice` (uuid4 asks it).

    Sets of text are ordered by PYTHONHASHSEED: `python -m tests.sim` starts its workers with 0.
    """
    original, urandom = backend.CancelScope.__init__, os.urandom

    def begin(self: Any, *args: Any, **options: Any) -> None:
        original(self, *args, **options)
        self._child_scopes, self._tasks = OrderedSet(), OrderedSet()

    backend.CancelScope.__init__ = begin  # type: ignore[method-assign]
    os.urandom = dice.randbytes
    try:
        yield
    finally:
        backend.CancelScope.__init__ = original  # type: ignore[method-assign]
        os.urandom = urandom
        # Of tasks that never end, for their process died: kept for as long as these, which hold them in turn.
        backend._task_states.clear()
