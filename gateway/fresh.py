"""What this gateway put into the inbox a moment ago, and no list has yet: whoever submits asks for it at once."""

import time
from collections import OrderedDict
from collections.abc import Iterable

import anyio
from msgspec import Struct

from broker.cluster import Prepared
from gateway.readmodel.model import ReadModel
from schemas.lifecycle import State
from schemas.view import TaskView, asked

NEW_MAX = 20_000
"""Two batches, of some 1 KB each request; the oldest are forgotten first."""
NEW_FOR_S = 600.0
"""A request that nobody claimed by then is left to the lists: no coordinator runs."""
CLAIMED_WITHIN_S = 2.0
"""A leader claims within milliseconds, one that has to be elected takes longer."""
LOOK_EVERY_S = 0.02


class New(Struct, frozen=True):
    """A request in the inbox."""

    view: TaskView
    rejected_as: str
    """The id of its outcome, should the coordinator reject it."""
    stored_at: float
    """Monotonic seconds."""


class Fresh:
    """One for each process."""

    def __init__(self, model: ReadModel) -> None:
        self._model = model
        self._new: OrderedDict[str, New] = OrderedDict()

    def __repr__(self) -> str:
        return f"<Fresh: {len(self._new)} new requests>"

    def stored(self, prepared: Prepared) -> None:
        """A request was put into the inbox."""
        request = prepared.request
        view = TaskView(
            task=prepared.task, owner=prepared.owner, state=State.QUEUED, name=request.title, labels=request.labels
        )
        self._new[prepared.task] = New(asked(view, request), prepared.rejected_as, time.monotonic())
        while len(self._new) > NEW_MAX:
            self._new.popitem(last=False)

    def find(self, task: str) -> New | None:
        """What was stored under this id and is not known to be claimed."""
        found = self._new.get(task)
        if found is not None and time.monotonic() - found.stored_at > NEW_FOR_S:
            del self._new[task]
            return None
        return found

    async def look(self, task: str) -> TaskView | None:
        """A task as the lists have it, or as it was submitted; None where neither is known.

        What the coordinator rejected goes by another id, which the view has.
        """
        if (found := await self._model.get(task)) is not None:
            self._new.pop(task, None)
            return found
        new = self.find(task)
        return None if new is None else await self._model.get(new.rejected_as) or new.view

    async def found(self, task: str) -> TaskView | None:
        """`look`, once it is claimed or has been waited for."""
        await self.claimed((task,))
        return await self.look(task)

    async def unclaimed(self) -> list[TaskView]:
        """Everything that no list has yet, in the order in which it came."""
        oldest = time.monotonic() - NEW_FOR_S
        while self._new and next(iter(self._new.values())).stored_at < oldest:
            self._new.popitem(last=False)
        if not self._new:
            return []
        known = await self._model.known([name for task, new in self._new.items() for name in (task, new.rejected_as)])
        for task in known & self._new.keys():
            del self._new[task]
        return [new.view for new in self._new.values() if new.rejected_as not in known]

    async def claimed(self, tasks: Iterable[str]) -> None:
        """Return once those of these that are new show in the lists, or patience ends."""
        waiting = [task for task in tasks if self.find(task) is not None]
        with anyio.move_on_after(CLAIMED_WITHIN_S):
            while waiting := [task for task in waiting if not await self._is_known(task)]:
                await anyio.sleep(LOOK_EVERY_S)

    async def _is_known(self, task: str) -> bool:
        view = await self.look(task)
        return view is None or (new := self.find(task)) is None or view is not new.view
