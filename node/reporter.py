"""What a node tells of its downloads: events into the log, progress to whoever listens. It decides nothing."""

from collections.abc import Sequence
from typing import Any, NoReturn

import structlog

from broker.connection import Connection
from broker.errors import Unanswered
from broker.eventlog import EventLog
from node.asking import Wait
from node.defaults import asked_of
from node.failures import Verdict
from node.files import Placed
from node.gathering import Gathering
from node.session import Phase, Session
from node.transfers import Transfer
from schemas import codec
from schemas import subjects as s
from schemas.event import (
    FILES_MAX,
    AttemptFailed,
    Completed,
    Event,
    Paused,
    Released,
    Resumed,
    Started,
    StoredFile,
)
from schemas.heartbeat import Progress
from schemas.redact import told_of
from schemas.task import Mirror

log = structlog.get_logger()

FILES_BYTES_MAX = 256 * 1024
"""Of what one outcome tells of its files: with the request, far below what the broker takes (1 MiB)."""
FILE_BYTES = 128
"""Told of a file beside its path: size, digest, names of fields."""
SAID_MAX = 64
"""Events written in a row before others get their turn."""


class Reporter:
    """Writes under one node's name."""

    def __init__(self, connection: Connection, node: str) -> None:
        self._connection = connection
        self._node = node
        self._events = EventLog(connection, node)
        self._unsaid: Gathering[Event] = Gathering()

    def __repr__(self) -> str:
        return f"<Reporter of {self._node}, {self._unsaid!r} unsaid>"

    def say_started(self, session: Session) -> None:
        log.debug("download started", **named(session), lane=session.lane)
        self._unsaid.put(Started(**self._about(session), node=self._node, lane=session.lane))

    def say_paused(self, session: Session) -> None:
        self._unsaid.put(Paused(**self._about(session), node=self._node))

    def say_resumed(self, session: Session) -> None:
        self._unsaid.put(Resumed(**self._about(session), node=self._node))

    async def speak(self) -> NoReturn:
        """Write what was said, which nobody's correctness needs, in its order, until cancelled."""
        while True:
            for event in await self._unsaid.take(SAID_MAX):
                await self._events.emit(event)

    async def completed(self, placed: Sequence[tuple[Session, Placed]]) -> list[bool]:
        """Report whole files: for each, whether it is the first outcome of its task."""
        return await self._events.finish_all([self._completed(session, result) for session, result in placed])

    async def is_own_completion(self, task: str) -> bool:
        """Whether the outcome that stands is this node's, by a try whose answer was lost."""
        return await self._events.is_own_completion(task)

    async def has_ended(self, task: str) -> bool:
        """Whether an outcome of the task is stored."""
        return await self._events.has_ended(task)

    async def failed(
        self, session: Session, verdict: Verdict, asked: Wait | None, size: int = 0, mirrors: tuple[Mirror, ...] = ()
    ) -> None:
        """Report an attempt that is over without a file, of `size` bytes if known; returns when that is stored."""
        said = {"failure": str(verdict.failure), "code": verdict.code, "reason": verdict.reason}
        log.warning("attempt failed", **named(session), **said)
        await self._events.report(
            AttemptFailed(
                **self._about(session),
                node=self._node,
                failure=verdict.failure,
                reason=verdict.reason,
                code=verdict.code,
                retry_after_s=asked.seconds if asked else None,
                origin=asked.origin if asked else "",
                size=size or None,
                mirrors=mirrors,
            )
        )

    async def released(self, session: Session, reason: str, size: int = 0) -> None:
        """Report a task that is given back, its file of `size` bytes if known; returns when that is stored."""
        fact = Released(
            **self._about(session), node=self._node, reason=reason, desired=session.row.desired, size=size or None
        )
        await self._events.report(fact)
        log.info("task released", **named(session), reason=reason)

    async def progress(self, session: Session, transfer: Transfer | None, *, whole: int = 0) -> None:
        """Publish where a download stands; `whole`: the size of a file that is whole already."""
        progress = Progress(
            task=session.task,
            attempt=session.row.attempt,
            node=self._node,
            bytes_done=transfer.done if transfer else whole,
            bytes_total=transfer.total if transfer else whole,
            bytes_per_s=transfer.speed if transfer else 0,
            connections=transfer.connections if transfer else 0,
            phase=shown(session),
        )
        try:
            if self._connection.is_connected:
                await self._connection.publish(s.progress(session.task, self._node), codec.encode(progress))
        except Unanswered:
            log.debug("progress not sent", task=session.task)

    def _about(self, session: Session) -> dict[str, Any]:
        """What every event says of its task."""
        row = session.row
        return {
            "task": row.task,
            "owner": row.owner,
            "time": self._connection.clock.moment(),
            "attempt": row.attempt,
            "name": row.request.title if row.request else "",
            "labels": row.request.labels if row.request else {},
        }

    def _completed(self, session: Session, placed: Placed) -> Completed:
        files = told_files(placed)
        return Completed(
            **self._about(session) | {"attempt": placed.attempt if placed.path else session.row.attempt},
            source=session.row.source,
            retry_of=session.row.retry_of,
            **told_of(asked_of(session.row)),
            node=self._node,
            path=placed.path,
            bytes=placed.bytes,
            digest=placed.digest,
            seconds=round(placed.seconds, 3),
            files=files,
            files_cut=len(placed.files) - len(files),
            mirrors=placed.mirrors,
        )


def told_files(placed: Placed) -> tuple[StoredFile, ...]:
    """Of a folder, the first files that an outcome has room for."""
    told: list[StoredFile] = []
    left = FILES_BYTES_MAX
    for one in placed.files[:FILES_MAX]:
        path = f"{placed.path}/{one.path}"
        left -= len(path.encode()) + FILE_BYTES
        if left < 0:
            break
        told.append(StoredFile(path, one.bytes, one.digest))
    return tuple(told)


def named(session: Session) -> dict[str, Any]:
    """What every log line about a task tells."""
    return {"task": session.task, "attempt": session.row.attempt}


def shown(session: Session) -> str:
    """The phase as others see it."""
    if session.phase is Phase.WAITING and session.said_paused:
        return "paused"
    if session.phase is Phase.WAITING and session.started_at:
        return "interrupted"  # it ran here, and waits for a slot once more: to go elsewhere is no use to it
    if session.phase is Phase.ACTIVE and session.is_seeding:
        return "seeding"
    return "waiting" if session.phase is Phase.ACTIVE and not session.started_at else str(session.phase)
