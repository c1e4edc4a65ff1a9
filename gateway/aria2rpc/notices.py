"""aria2's notifications: what happened to a download, told to every socket whose caller may see it."""

from collections.abc import Callable
from typing import NamedTuple

import anyio
import msgspec
import structlog

from gateway.service import Gateway
from schemas.event import AnyEvent, Cancelled, Completed, Failed, Finished, Paused, Rejected, Released, Resumed, Started
from schemas.heartbeat import Progress
from schemas.lifecycle import Desired, State
from schemas.view import TaskView

log = structlog.get_logger()

START, PAUSE, STOP = "aria2.onDownloadStart", "aria2.onDownloadPause", "aria2.onDownloadStop"
COMPLETE, ERROR, BT_COMPLETE = "aria2.onDownloadComplete", "aria2.onDownloadError", "aria2.onBtDownloadComplete"
KINDS = (START, PAUSE, STOP, COMPLETE, ERROR, BT_COMPLETE)
SEEN_WITHIN_S = 1.0
"""So long a notice waits until the lists show what it tells: clients ask for the status at once."""
SEEN_EVERY_S = 0.02
WAITING_MAX = 10_000
"""Events heard and not yet told: beyond it some are lost, and clients that poll learn of them all the same."""
SEEDING_MAX = 10_000
"""Torrents that give to others and were told of."""


class Notice(NamedTuple):
    """One notification."""

    kind: str
    task: str
    owner: str

    @property
    def body(self) -> bytes:
        return msgspec.json.encode({"jsonrpc": "2.0", "method": self.kind, "params": [{"gid": self.task}]})


Take = Callable[[Notice], None]


def notice_of(event: AnyEvent) -> Notice | None:
    """What an event is to a client of aria2; None for what it has no word for."""
    kind = ""
    match event:
        case Started():
            kind = START
        case Resumed():
            kind = START if event.node else ""  # of one that waits in the queue its start will tell
        case Paused():
            kind = PAUSE
        case Cancelled():
            kind = STOP
        case Completed():
            kind = COMPLETE
        case Failed() | Rejected():
            kind = ERROR
    return Notice(kind, event.task, event.owner) if kind else None


class Notices:
    """Hears events once for the whole process and tells every socket."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._takers: dict[int, Take] = {}
        self._count = 0
        self._send, self._receive = anyio.create_memory_object_stream[tuple[Notice, AnyEvent | None]](WAITING_MAX)
        self._seeding: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"<Notices to {len(self._takers)} sockets>"

    def __len__(self) -> int:
        return len(self._takers)

    def join(self, take: Take) -> int:
        """Tell `take` from now on; the number is for `leave`."""
        self._count += 1
        self._takers[self._count] = take
        return self._count

    def leave(self, number: int) -> None:
        self._takers.pop(number, None)

    async def run(self) -> None:
        """Hear and tell until cancelled."""
        client = self._gateway.client
        async with client.events(self._came), client.progress(self._progress_came):
            async for notice, event in self._receive:
                with anyio.move_on_after(SEEN_WITHIN_S):
                    while self._takers and not await self._shows(notice, event):
                        await anyio.sleep(SEEN_EVERY_S)
                if event is None and (view := await self._gateway.model.get(notice.task)) is not None:
                    notice = notice._replace(owner=view.owner)
                for take in tuple(self._takers.values()):
                    take(notice)

    def _came(self, event: AnyEvent, _: int) -> None:
        office = self._gateway.office
        if isinstance(event, Started):
            office.began(event.task, event.attempt)
        elif isinstance(event, Finished | Released):
            office.stopped(event.task)
            self._seeding.pop(event.task, None)
        if (notice := notice_of(event)) is not None:
            self._put(notice, event)

    def _progress_came(self, progress: Progress) -> None:
        if progress.phase != "seeding" or self._seeding.get(progress.task) == progress.attempt:
            return
        if len(self._seeding) >= SEEDING_MAX:
            self._seeding.pop(next(iter(self._seeding)))
        self._seeding[progress.task] = progress.attempt
        self._put(Notice(BT_COMPLETE, progress.task, ""), None)

    def _put(self, notice: Notice, event: AnyEvent | None) -> None:
        if not self._takers:
            return
        try:
            self._send.send_nowait((notice, event))
        except anyio.WouldBlock:
            log.warning("notifications were left out: more happened than can be told", task=notice.task)

    async def _shows(self, notice: Notice, event: AnyEvent | None) -> bool:
        view: TaskView | None = await self._gateway.model.get(notice.task)
        if event is None:
            return True
        if isinstance(event, Finished):
            return view is not None and view.finished is not None
        if view is None or view.finished is not None:
            return view is not None
        if notice.kind == PAUSE:
            return view.desired is Desired.PAUSE
        return view.attempt >= event.attempt and view.state is not State.QUEUED
