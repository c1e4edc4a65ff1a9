"""Deleting what is staged and no longer needed. All I/O, no decisions."""

from collections.abc import Callable, Sequence, Set
from functools import partial

import anyio
import structlog

from node.files import Store
from node.guard import Guard
from node.hands import Hands
from node.room import Partial

log = structlog.get_logger()

DISK_WITHIN_S = 10.0
"""For what takes milliseconds: a disk that hangs must not keep a task that another node could take."""


class Tidying:
    """Of one node."""

    def __init__(self, store: Store, hands: Hands, guard: Guard) -> None:
        self._store = store
        self._hands = hands
        self._guard = guard
        self._wiping: dict[str, anyio.Event] = {}
        """Tasks that are not here and whose partials are being deleted: one that comes back waits for the end."""

    async def swept(self, task: str) -> None:
        """Wait until nothing of it is being deleted."""
        if wiping := self._wiping.get(task):
            await wiping.wait()

    async def wipe(self, task: str) -> None:
        """Delete what is staged; where the disk hangs that is left to a later sweep."""
        self._guard.forget(task)  # else what it was begun from might be written down once more
        with anyio.move_on_after(DISK_WITHIN_S):
            await self._hands.do(partial(self._wipe, task))

    def wipe_sometime(self, task: str) -> None:
        """Delete what is staged, within a second or so: nobody waits for it."""
        self._hands.do_sometime(partial(self._wipe, task))

    def _wipe(self, task: str) -> None:
        """Trouble is logged: nothing hangs on it, and the sweep comes by later."""
        try:
            self._store.wipe(task)
        except OSError as error:
            log.warning("staged files stay for now", task=task, problem=str(error))

    async def unplace(self, task: str) -> None:
        """Delete our finished file: another attempt's completion won."""
        try:
            await self._hands.do(partial(self._store.unplace, task))
        except OSError as error:
            log.warning("a surplus file stays", problem=str(error))

    async def wipe_part(self, task: str) -> None:
        """Delete what is being downloaded; parts that are whole stay."""
        self._guard.forget(task)
        with anyio.move_on_after(DISK_WITHIN_S):
            await self._hands.do(partial(self._wipe_part, task))

    def _wipe_part(self, task: str) -> None:
        try:
            self._store.wipe_data(task)
        except OSError as error:
            log.warning("staged files stay for now", task=task, problem=str(error))

    def is_fresh(self, task: str) -> bool:
        """Whether nothing is staged of a task."""
        return self._store.is_fresh(task)

    async def partials(self) -> list[Partial]:
        """What is staged, of whatever task. Raises OSError."""
        return await self._hands.do(self._store.partials)

    async def sweep(self, strays: Sequence[Partial], held: Callable[[], Set[str]]) -> None:
        """Delete partials, but for those whose tasks are `held` by now."""
        swept: list[Partial] = []
        for one in strays:
            if one.task in held():
                continue
            self._wiping[one.task] = anyio.Event()
            try:
                await self._hands.do(partial(self._store.wipe, one.task))
                swept.append(one)
            except OSError as error:
                log.warning("a partial file stays for now", task=one.task, problem=str(error))
            finally:
                self._wiping.pop(one.task).set()
        if swept:
            won = sum(one.bytes for one in swept)
            log.info("partial files nobody needs were deleted", tasks=len(swept), bytes=won)

    async def forget_missing(self, held: Set[str]) -> None:
        """Forget tasks that are not `held` and of which nothing is staged. Raises OSError."""
        expected = self._store.expected(held)
        self._store.forget(await self._hands.do(partial(self._store.missing, expected)))
