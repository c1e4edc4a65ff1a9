"""aria2's notifications: what happened to a download, told to every socket whose caller may see it."""

from collections import OrderedDict
from collections.abc import Callable
from contextlib import ExitStack
from typing import NamedTuple

import anyio
import msgspec
import structlog

from gateway.aria2rpc.gids import gid_from, hash_from
from gateway.hub import Kept
from gateway.service import Gateway
from schemas.event import AnyEvent, Cancelled, Completed, Failed, Finished, Paused, Rejected, Released, Resumed, Started
from schemas.heartbeat import Progress
from schemas.lifecycle import Desired, State
from schemas.payload import Kind, kind_of
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
REMEMBERED_MAX = 100_000
"""Tasks of which it is known what was told of them last."""


class Notice(NamedTuple):
    """One notification."""

    kind: str
    task: str
    owner: str
    gid: str
    """What its owner knows the task by."""

    def body(self, *, to_owner: bool) -> bytes:
        """As it is sent to the task's owner, or to others who may see it."""
        gid = self.gid if to_owner else self.task
        return msgspec.json.encode({"jsonrpc": "2.0", "method": self.kind, "params": [{"gid": gid}]})


Take = Callable[[Notice], None]


class Told:
    """What was told of each task last: a download starts once, whatever number of attempts it takes. Pure."""

    def __init__(self) -> None:
        self._last: OrderedDict[str, str] = OrderedDict()
        self._seeded: OrderedDict[str, str] = OrderedDict()

    def __repr__(self) -> str:
        return f"<Told of {len(self._last)} tasks>"

    def kinds(self, event: AnyEvent) -> list[str]:
        """What a client of aria2 is told of an event, in order; nothing for what it has no word for."""
        last, task = self._last.get(event.task), event.task
        match event:
            case Started() if last in (None, PAUSE):
                found = [START]
            case Resumed() if event.node and last == PAUSE:
                found = [START]  # of one that waits in the queue its start will tell
            case Paused() if last in (None, START):
                found = [PAUSE]
            case Cancelled():
                found = [STOP]
            case Completed():
                # Its node's word that it began may come later than its end, or be lost.
                found = [START] if last != START else []
                found += [BT_COMPLETE] if _is_torrent(event) and task not in self._seeded else []
                found += [COMPLETE]
            case Failed() | Rejected():
                found = [ERROR]
            case _:
                found = []
        if found:
            _remember(self._last, task, found[-1])
        if isinstance(event, Finished):
            self._seeded.pop(task, None)
        return found

    def seeds(self, task: str) -> bool:
        """Whether it is news that a torrent gives to others."""
        is_news = task not in self._seeded and self._last.get(task) in (None, START)
        if is_news:
            _remember(self._seeded, task, BT_COMPLETE)
        return is_news


class Notices:
    """Hears what happens once for the whole process, and tells every socket."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._takers: dict[int, Take] = {}
        self._count = 0
        self._told = Told()
        self._progress = ExitStack()
        """Open while a socket is: in a busy cluster it comes a thousand times a second, and is heard here once more."""
        self._send, self._receive = anyio.create_memory_object_stream[tuple[Notice, AnyEvent | None]](WAITING_MAX)

    def __repr__(self) -> str:
        return f"<Notices to {len(self._takers)} sockets>"

    def __len__(self) -> int:
        return len(self._takers)

    def join(self, take: Take) -> int:
        """Tell `take` from now on; the number is for `leave`."""
        self._count += 1
        if not self._takers:
            for progress in self._gateway.model.progress.values():
                self._saw(progress)  # is no news to whoever comes now
            self._progress.enter_context(self._gateway.hub.progressing(self._progress_came))
        self._takers[self._count] = take
        return self._count

    def leave(self, number: int) -> None:
        self._takers.pop(number, None)
        if not self._takers:
            self._progress.close()

    async def run(self) -> None:
        """Hear and tell until cancelled."""
        hub = self._gateway.hub
        with hub.listening(self._came), self._progress:
            async for notice, event in self._receive:
                with anyio.move_on_after(SEEN_WITHIN_S):
                    while self._takers and not await self._shows(notice, event):
                        await anyio.sleep(SEEN_EVERY_S)
                if event is None and (view := await self._gateway.model.get(notice.task)) is not None:
                    notice = notice._replace(owner=view.owner, gid=gid_from(view.task, view.labels))
                for take in tuple(self._takers.values()):
                    take(notice)

    def _came(self, kept: Kept) -> None:
        office, event = self._gateway.office, kept.event
        if isinstance(event, Started):
            office.began(event.task, event.attempt)
        elif isinstance(event, Finished | Released):
            office.stopped(event.task)
        for kind in self._told.kinds(event):
            self._put(Notice(kind, event.task, event.owner, gid_from(event.task, event.labels)), event)

    def _progress_came(self, progress: Progress) -> None:
        if self._saw(progress):
            self._put(Notice(BT_COMPLETE, progress.task, "", progress.task), None)

    def _saw(self, progress: Progress) -> bool:
        """Whether it is news that a torrent is whole."""
        return progress.phase == "seeding" and self._told.seeds(progress.task)

    def _put(self, notice: Notice, event: AnyEvent | None) -> None:
        if not self._takers:
            return
        try:
            self._send.send_nowait((notice, event))
        except anyio.WouldBlock:
            log.warning("notifications were left out: more happened than can be told", task=notice.task)

    async def _shows(self, notice: Notice, event: AnyEvent | None) -> bool:
        model = self._gateway.model
        view: TaskView | None = await model.get(notice.task)
        if event is None or not model.is_ready:
            return True
        if isinstance(event, Finished):
            return view is not None and view.finished is not None
        if view is None or view.finished is not None:
            return view is not None
        if notice.kind == PAUSE:
            return view.desired is Desired.PAUSE
        return view.attempt >= event.attempt and view.state is not State.QUEUED


def _is_torrent(event: Completed) -> bool:
    if hash_from(event.labels):
        return True
    if event.request is not None:
        return event.request.payload is Kind.TORRENT
    return any(kind_of(uri) is Kind.TORRENT for uri in event.uris)


def _remember(book: OrderedDict[str, str], task: str, what: str) -> None:
    book.pop(task, None)
    book[task] = what
    if len(book) > REMEMBERED_MAX:
        book.popitem(last=False)
