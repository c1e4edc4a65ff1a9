"""One step at a time for each task, for one task or for a whole batch of those that are free."""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager

import anyio


class TaskLocks:
    """Which tasks somebody works on; `freed` is called with each task that nobody holds any more."""

    def __init__(self, freed: Callable[[str], None] = lambda task: None) -> None:
        self._freed = freed
        self._held: dict[str, anyio.Event | None] = {}

    def __repr__(self) -> str:
        return f"<TaskLocks {len(self._held)} held>"

    def __contains__(self, task: str) -> bool:
        return task in self._held

    def __len__(self) -> int:
        return len(self._held)

    @asynccontextmanager
    async def only(self, task: str) -> AsyncIterator[None]:
        """Hold one task, after whoever holds it now."""
        await self.until_free(task)
        with self.all_of((task,)):
            yield

    async def until_free(self, task: str) -> None:
        """Return when nobody holds the task; who is to hold it must do so at once."""
        while task in self._held:
            freed = self._held[task] = self._held[task] or anyio.Event()
            await freed.wait()

    @contextmanager
    def all_of(self, tasks: Iterable[str]) -> Iterator[None]:
        """Hold tasks that nobody holds: the caller has just looked, so nothing is waited for, nor can deadlock."""
        held = tuple(tasks)
        for task in held:
            assert task not in self._held, f"{task} is held by somebody else"
            self._held[task] = None
        try:
            yield
        finally:
            for task in held:
                if (waited_for := self._held.pop(task)) is not None:
                    waited_for.set()
                self._freed(task)
