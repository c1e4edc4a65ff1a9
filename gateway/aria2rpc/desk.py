"""What a method works with: one caller's view of the cluster's tasks, and what may be done to them."""

import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import msgspec

from broker.cluster import Client, Refused
from broker.roles import Role
from gateway.aria2rpc import status
from gateway.aria2rpc.errors import RpcError
from gateway.callers import Caller
from gateway.service import Gateway
from schemas.control import IDS_MAX, Steer, Steered
from schemas.filter import ENDED, Standing, TaskFilter
from schemas.view import TaskView

PAGE = 1000
LOOK_MAX = 10_000
"""Live tasks that a list is made of: what goes beyond is counted, and comes up as those before it end."""
RESULTS_MAX = 1000
"""Ended tasks that are listed, the latest: aria2's own max-download-result."""
SETTLE_S = 2.0
"""So long an answer waits until what it did shows in the lists, for clients ask for them at once."""
SETTLE_EVERY_S = 0.02
LIVE = (Standing.QUEUED, Standing.ASSIGNED, Standing.ACTIVE, Standing.ENDING)
OVER = tuple(sorted(ENDED))
_GID = re.compile(r"[0-9a-fA-F]{1,16}")
GID_DIGITS = 16


class Desk:
    """One caller's."""

    def __init__(self, gateway: Gateway, caller: Caller) -> None:
        self.gateway = gateway
        self.office = gateway.office
        self.caller = caller
        connection = gateway.client.connection
        # The broker lets the gateway ask in an owner's name: the coordinator then minds whose tasks are meant.
        self.client = gateway.client if caller.is_admin else Client(connection, Role.PRODUCER, caller.owner)

    def __repr__(self) -> str:
        return f"<Desk of {self.caller.owner}>"

    async def task(self, gid: str) -> TaskView:
        """The task of a GID, or of the beginning of one. Raises RpcError."""
        if not _GID.fullmatch(gid):
            raise RpcError(f"Invalid GID {gid}")
        found = await self.look(gid.lower()) if len(gid) == GID_DIGITS else await self._begins(gid)
        if found is None:
            raise RpcError(f"GID {gid} is not found")
        return found

    async def look(self, task: str) -> TaskView | None:
        """One task of this caller's, by its whole id."""
        found = await self.gateway.model.get(task)
        if found is None and (new := self.office.find_new(task)) is not None:
            prepared, found = new
            # What the coordinator rejects goes by another id; the client knows this one.
            if (rejected := await self.gateway.model.get(prepared.rejected_as)) is not None:
                found = msgspec.structs.replace(rejected, task=task)
        elif found is not None:
            self.office.claimed(task)
        return found if found is not None and self.caller.sees(found.owner) else None

    async def _begins(self, gid: str) -> TaskView | None:
        page = await self.gateway.model.find(self.where(text=gid.lower()), limit=PAGE)
        found = [view for view in page.tasks if view.task.startswith(gid.lower())]
        if len(found) > 1:
            raise RpcError(f"GID {gid} is not unique")
        return found[0] if found else None

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

    async def live(self, most: int | None = LOOK_MAX) -> list[TaskView]:
        """This caller's live tasks as they are in line, those included that came in just now."""
        found = {view.task: view async for view in self._pages(self.where(states=LIVE), most)}
        for prepared, view in self.office.new():
            if prepared.task not in found and self.caller.sees(prepared.owner):
                if await self.gateway.model.get(prepared.task) is None:
                    found[prepared.task] = view
                else:
                    self.office.claimed(prepared.task)
        return sorted(found.values(), key=_in_line)

    async def over(self, most: int | None = RESULTS_MAX) -> list[TaskView]:
        """This caller's ended tasks, the latest of them, the oldest first."""
        found = [view async for view in self._pages(self.where(states=OVER), most)]
        return sorted(found, key=lambda view: (view.finished.timestamp() if view.finished else 0.0, view.task))

    async def _pages(self, where: TaskFilter, most: int | None) -> AsyncIterator[TaskView]:
        after, left = "", most
        while left is None or left > 0:
            page = await self.gateway.model.find(where, after=after, limit=PAGE if left is None else min(PAGE, left))
            for view in page.tasks:
                yield view
            if not (after := page.after):
                return
            left = None if left is None else left - len(page.tasks)

    async def steer(self, verb: str, tasks: list[str], asked: Steer | None = None) -> list[Steered]:
        """Ask for something to be done to tasks. Raises RpcError where no coordinator answers."""
        results: list[Steered] = []
        try:
            for start in range(0, len(tasks), IDS_MAX):
                reply = await self.client.steer(verb, tuple(tasks[start : start + IDS_MAX]), asked=asked)
                results.extend(reply.results)
        except Refused as error:
            raise RpcError(str(error)) from error
        return results

    async def settled(self, task: str, reached: Callable[[TaskView | None], bool]) -> None:
        """Return once a task shows as it should, or patience ends: the client will see it a little later then."""
        with anyio.move_on_after(SETTLE_S):
            while not reached(await self.gateway.model.get(task)):
                await anyio.sleep(SETTLE_EVERY_S)


def _in_line(view: TaskView) -> tuple[int, int, str]:
    return (-view.priority, view.order, view.task)
