"""What a method works with: one caller's view of the cluster's tasks, and what may be done to them."""

import re
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import anyio
import anyio.lowlevel
import msgspec

from broker.cluster import Refused
from gateway.aria2rpc import status
from gateway.aria2rpc.errors import RpcError
from gateway.aria2rpc.gids import LABEL
from gateway.callers import Caller
from gateway.readmodel.lines import Part
from gateway.service import Gateway
from schemas.control import IDS_MAX, Steer, Steered
from schemas.filter import ENDED, Standing, TaskFilter
from schemas.view import TaskView

PAGE = 1000
HELD_MAX = 10_000
"""Tasks at nodes that a list of running ones is made of."""
WAITING_MAX = 10_000
"""Tasks of one list of waiting ones: the next begins after them."""
RESULTS_MAX = 1000
"""Ended tasks that are listed, the latest: aria2's own max-download-result."""
SETTLE_S = 2.0
"""So long an answer waits until what it did shows in the lists, for clients ask for them at once."""
SETTLE_EVERY_S = 0.02
HELD = (Standing.ASSIGNED, Standing.ACTIVE, Standing.ENDING)
LIVE = (Standing.QUEUED, Standing.ASSIGNED, Standing.ACTIVE, Standing.ENDING)
OVER = tuple(sorted(ENDED))
_GID = re.compile(r"[0-9a-fA-F]{1,16}")
GID_DIGITS = 16
CHOSEN_MAX = 10
"""Tasks of one chosen GID: more than one only where results of earlier ones were removed elsewhere."""


class Desk:
    """One caller's."""

    def __init__(self, gateway: Gateway, caller: Caller) -> None:
        self.gateway = gateway
        self.office = gateway.office
        self.caller = caller
        # The broker lets the gateway ask in an owner's name: the coordinator then minds whose tasks are meant.
        self.client = gateway.client if caller.is_admin else gateway.client.on_behalf_of(caller.owner)

    def __repr__(self) -> str:
        return f"<Desk of {self.caller.owner}>"

    async def task(self, gid: str) -> TaskView:
        """The task of a GID, or of the beginning of one. Raises RpcError."""
        if not _GID.fullmatch(gid):
            raise RpcError(f"Invalid GID {gid}")
        found = await (self.find(gid.lower()) if len(gid) == GID_DIGITS else self._begins(gid))
        if found is None:
            raise RpcError(f"GID {gid} is not found")
        return found

    async def find(self, gid: str) -> TaskView | None:
        """The task of a whole GID: its id, or what its client chose for it."""
        return await self.look(gid) or await self._chosen(gid)

    async def look(self, task: str) -> TaskView | None:
        """One task of this caller's, by its whole id."""
        found = await self.gateway.fresh.look(task)
        if found is not None and found.task != task:
            # What the coordinator rejects goes by another id; the client knows this one.
            found = msgspec.structs.replace(found, task=task)
        return self.known(found) if found is not None and self.caller.sees(found.owner) else None

    async def _chosen(self, gid: str) -> TaskView | None:
        where = TaskFilter(owners=(self.caller.owner,), labels=(f"{LABEL}={gid}",))
        found = [view async for some in self._pages(where, CHOSEN_MAX) for view in some]
        if not found:
            found = [view for view in await self._new() if view.labels.get(LABEL) == gid]
        return min(found, key=lambda view: view.finished is not None, default=None)

    async def _begins(self, gid: str) -> TaskView | None:
        found = await self.gateway.model.beginning(gid.lower(), self._owner, 2)
        if len(found) > 1:
            raise RpcError(f"GID {gid} is not unique")
        return self.known(found[0]) if found else None

    def known(self, view: TaskView) -> TaskView:
        """A task as this caller knows it: a GID that another owner chose says nothing here, for it may be anybody's."""
        if view.owner == self.caller.owner or LABEL not in view.labels:
            return view
        labels = {name: value for name, value in view.labels.items() if name != LABEL}
        return msgspec.structs.replace(view, labels=labels)

    def where(self, **conditions: Any) -> TaskFilter:
        """A filter that means this caller's tasks only."""
        return TaskFilter(owners=self.caller.owners, **conditions)

    def stands(self, view: TaskView) -> str:
        """aria2's word for how a task stands."""
        live = status.current(view, self.gateway.model.progress.get(view.task))
        return status.standing(view, live, has_begun=self.office.has_begun(view))

    def tell(self, view: TaskView, keys: list[str]) -> dict[str, Any]:
        live = status.current(view, self.gateway.model.progress.get(view.task))
        return status.status_of(view, live, self.stands(view), keys)

    async def tell_all(self, views: Sequence[TaskView], keys: list[str]) -> list[dict[str, Any]]:
        """`tell`, of many: others get their turn."""
        told: list[dict[str, Any]] = []
        for start in range(0, len(views), PAGE):
            told += [self.tell(view, keys) for view in views[start : start + PAGE]]
            await anyio.lowlevel.checkpoint()
        return told

    async def running(self) -> list[TaskView]:
        """This caller's active downloads, the most urgent first."""
        held = [view async for some in self._each(HELD, HELD_MAX) for view in some]
        return sorted((view for view in held if self.stands(view) == status.ACTIVE), key=_in_line)

    async def waiting(self, offset: int, count: int) -> list[TaskView]:
        """Some of this caller's live tasks that are not active, in the order of the queue; a negative offset counts
        from the end, and goes backwards."""
        count = min(count, WAITING_MAX)
        active, new = [view.task for view in await self.running()], await self._new()
        skip, found = (offset, list[TaskView]()) if offset >= 0 else (-offset - 1, new[::-1][-offset - 1 :][:count])
        skip = skip if offset >= 0 else max(0, skip - len(new))
        asked = count - len(found)
        while asked > 0:
            part = Part(skip, min(asked, PAGE), self._owner, is_backwards=offset < 0)
            some = list(map(self.known, await self.gateway.model.in_line(part, active)))
            found, skip, asked = found + some, skip + len(some), asked - len(some)
            if len(some) < part.count:
                break
        if offset < 0 or asked <= 0 or not new:
            return found
        before = await self.count(LIVE) - len(active)
        return found + new[max(0, offset - before) :][:asked]

    async def _new(self) -> list[TaskView]:
        """This caller's tasks that came in just now, and that no list has yet."""
        return [self.known(view) for view in await self.gateway.fresh.unclaimed() if self.caller.sees(view.owner)]

    async def live(self) -> AsyncIterator[list[TaskView]]:
        """All of this caller's live tasks, at most PAGE at a time."""
        async for some in self._each(LIVE):
            yield some
        yield await self._new()

    async def over(self) -> list[TaskView]:
        """This caller's results, as far as they are listed; the oldest first."""
        return list(map(self.known, await self.gateway.model.latest_results(self._owner, RESULTS_MAX)))

    async def all_over(self) -> AsyncIterator[list[TaskView]]:
        """All of this caller's results, at most PAGE at a time."""
        async for some in self._each(OVER):
            yield some

    async def count(self, states: tuple[Standing, ...]) -> int:
        """How many of this caller's tasks are in one of these states; `new` ones not among them."""
        return await self.gateway.model.count(self.where(states=states))

    async def stats(self) -> tuple[list[TaskView], int, int]:
        """The active downloads, and how many there are that wait, and that ended."""
        running = await self.running()
        live, new, over = await self.count(LIVE), await self._new(), await self.count(OVER)
        return running, max(0, live + len(new) - len(running)), over

    @property
    def _owner(self) -> str:
        """Whose tasks are listed; empty for everybody's."""
        return "" if self.caller.is_admin else self.caller.owner

    async def _each(self, states: tuple[Standing, ...], most: int | None = None) -> AsyncIterator[list[TaskView]]:
        """State by state: each has an index of its own."""
        for state in states:
            async for some in self._pages(self.where(states=(state,)), most):
                yield some

    async def _pages(self, where: TaskFilter, most: int | None) -> AsyncIterator[list[TaskView]]:
        after, left = "", most
        while left is None or left > 0:
            page = await self.gateway.model.find(where, after=after, limit=PAGE if left is None else min(PAGE, left))
            yield list(map(self.known, page.tasks))
            if not (after := page.after):
                return
            left = None if left is None else left - len(page.tasks)

    async def steer(
        self, verb: str, tasks: list[str], asked: Steer | None = None, where: TaskFilter | None = None
    ) -> list[Steered]:
        """Ask for something to be done to tasks. Raises RpcError where no coordinator answers."""
        results: list[Steered] = []
        try:
            for start in range(0, len(tasks), IDS_MAX):
                reply = await self.client.steer(verb, tuple(tasks[start : start + IDS_MAX]), where, asked)
                results.extend(reply.results)
        except Refused as error:
            raise RpcError(str(error)) from error
        return results

    async def settled(self, task: str, reached: Callable[[TaskView | None], bool], within_s: float = SETTLE_S) -> None:
        """Return once a task shows as it should, or patience ends: the client will see it a little later then."""
        with anyio.move_on_after(within_s):
            while not reached(await self.gateway.model.get(task)):
                await anyio.sleep(SETTLE_EVERY_S)


def _in_line(view: TaskView) -> tuple[int, int, str]:
    return (-view.priority, view.order, view.task)
