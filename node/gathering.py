"""What waits for one worker, taken as many at a time as there are."""

from collections import deque
from typing import Generic, TypeVar

import anyio

T = TypeVar("T")


class Gathering(Generic[T]):
    """A queue; bounded by those who put, for each waits for what it put."""

    def __init__(self) -> None:
        self._waiting: deque[T] = deque()
        self._arrived = anyio.Event()

    def __repr__(self) -> str:
        return f"<Gathering of {len(self._waiting)}>"

    def put(self, one: T) -> None:
        self._waiting.append(one)
        self._arrived.set()

    async def take(self, limit: int) -> list[T]:
        """At least one, at most `limit`, in the order they came."""
        while not self._waiting:
            if self._arrived.is_set():
                self._arrived = anyio.Event()
            await self._arrived.wait()
        return [self._waiting.popleft() for _ in range(min(limit, len(self._waiting)))]
