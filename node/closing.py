"""What follows the end of a download: it is reported, and what is staged of it is kept or deleted.

Nothing here is forgotten before the broker has the report.
"""

from collections.abc import Sequence

import structlog

from node.asking import Wait
from node.assignments import Assignments
from node.disk import Disk
from node.failures import HTTP_ASKS_TO_WAIT, Verdict
from node.files import Placed
from node.reporter import Reporter, named
from node.session import Session
from node.workshop import Workshop
from schemas.lifecycle import Desired
from schemas.sizes import format_size
from schemas.task import FailureClass

log = structlog.get_logger()

ASKS_TO_WAIT = frozenset(f"http-{status}" for status in HTTP_ASKS_TO_WAIT)
REFUSED = frozenset({"aria2-22", "aria2-29"})
"""Refusals after other trouble, of which aria2 does not tell the status."""
USELESS = frozenset({FailureClass.DAMAGED, FailureClass.PERMANENT})
"""What is staged after such a failure is of no use to a further attempt."""


class Closer:
    """Closes the sessions of one node. Each method returns when the broker has what it reports."""

    def __init__(
        self, node: str, *, reporter: Reporter, assignments: Assignments, workshop: Workshop, disk: Disk
    ) -> None:
        self._node = node
        self._reporter = reporter
        self._assignments = assignments
        self._workshop = workshop
        self._disk = disk

    async def completed(self, placed: Sequence[tuple[Session, Placed]]) -> list[bool]:
        """Report whole files: for each, in order, whether its outcome is stored; else see `came_second`."""
        first = await self._reporter.completed(placed)
        for (session, result), was_first in zip(placed, first, strict=True):
            if was_first:
                self._ended(session, result)
        return first

    async def came_second(self, session: Session, placed: Placed) -> None:
        """An outcome is stored already: this node's own, by a try whose answer was lost, or another attempt's."""
        if not await self._reporter.is_own_completion(session.task):
            log.info("another attempt was first, its file counts", **named(session))
            await self._workshop.unplace(session.task)
        self._ended(session, placed)

    async def failed(self, session: Session, verdict: Verdict, size: int) -> None:
        """Report a failed attempt. `size`: bytes of the file, 0 if unknown."""
        is_useless = verdict.failure in USELESS
        if verdict.failure is FailureClass.NODE:
            # First it is told that nothing more should come here, if the disk is to blame; then the failure.
            is_useless = (await self._disk.look()).wants_room
        if is_useless:
            await self._workshop.wipe_after(session, verdict)
        asked = Wait(verdict.retry_after_s, "") if verdict.retry_after_s is not None else None
        if asked is None and verdict.code in ASKS_TO_WAIT | REFUSED:
            asked = await self._workshop.wait(session)
            if asked is not None and asked.status in HTTP_ASKS_TO_WAIT:
                verdict = verdict._replace(code=f"http-{asked.status}")
        await self._reporter.failed(session, verdict, asked, size, self._workshop.mirrors(session))
        self._assignments.settle(session.task, session.row.attempt)

    async def given_back(self, session: Session, reason: str, size: int, *, leaving: bool) -> None:
        """Report a task that is given back: as asked, because the node is leaving, or for the disk's `reason`."""
        desired = session.row.desired
        kept = await self._put_away(session) if desired is Desired.CANCEL else ""
        if kept:
            said = kept
        elif leaving:
            said = f"{self._node} is leaving"
        elif desired is Desired.RELEASE:
            said = session.row.reason or f"{self._node} was asked to give it back"
        elif desired is not Desired.RUN:
            said = f"{self._node} was asked to {desired} it"
        else:
            said = f"{self._node}: {reason or self._disk.room.trouble}"
        await self._reporter.released(session, said, size)
        self._assignments.settle(session.task, session.row.attempt)

    async def _put_away(self, session: Session) -> str:
        """Delete what is staged of a cancelled task, or keep it where that was asked: then what became of it."""
        if not session.row.keep_partial:
            await self._workshop.wipe(session.task)
            return ""
        kept = await self._workshop.keep_partial(session)
        if isinstance(kept, str):
            log.warning("a partial file is not kept, it stays staged for an hour", **named(session), problem=kept)
            return f"{self._node} could not keep its partial files: {kept}"
        await self._workshop.wipe(session.task)
        if kept is None:
            return f"{self._node} had no partial files of it"
        self._disk.placed(kept.bytes)
        return f"{self._node} keeps what had come of it as {kept.path} ({format_size(kept.bytes)})"

    def _ended(self, session: Session, placed: Placed) -> None:
        """The task has ended: nothing staged of it is needed any more, and none of its rows means anything here."""
        log.debug("download completed", **named(session), path=placed.path, bytes=placed.bytes)
        if placed.path:
            self._workshop.wipe_sometime(session.task)
        self._assignments.settle_for_ever(session.task)
