"""What follows a download: the file is checked and gets its place, or what is wrong with it is said."""

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import PurePosixPath
from typing import NamedTuple

import anyio.to_thread
from anyio import CapacityLimiter

from node.daemon import Lane
from node.failures import Verdict
from node.files import Placed, Store
from node.guard import Guard
from node.hands import Hands
from node.hashing import digest_of
from node.metalinks import Metalinks
from node.moving import NameTaken, PlacementFailed
from node.naming import final_path
from node.parts import Parts, Progress
from node.present import Present, request_of
from node.session import Session
from node.torrents import Torrents
from schemas.payload import Kind
from schemas.request import URIS_MAX, IfExists, Request
from schemas.task import FailureClass
from schemas.templates import TemplateInvalid

SMALL_BYTES_MAX = 8 << 20
"""Up to here one connection without control files is faster, and a crash costs little."""


class NextPart(NamedTuple):
    """A part of a task is whole and kept: the next one is due."""

    lane: Lane
    progress: Progress


Finished = Placed | NextPart | Verdict


class Finishing:
    """Of one node."""

    def __init__(
        self,
        store: Store,
        hands: Hands,
        hashing: CapacityLimiter,
        guard: Guard,
        *,
        torrents: Torrents,
        metalinks: Metalinks,
        present: Present,
        sha256: bool = True,
    ) -> None:
        """`hashing` bounds the large files that are read at once; `sha256`: each is, whatever its request asks for."""
        self._store = store
        self._hands = hands
        self._hashing = hashing
        self._guard = guard
        self._torrents = torrents
        self._metalinks = metalinks
        self._present = present
        self._sha256 = sha256
        self._told: dict[str, str] = {}
        """What origins call the files of tasks that are here."""

    def told(self, task: str, name: str) -> None:
        """Its origin calls the file so; empty: it does not say."""
        self._told[task] = name

    def forget(self, task: str) -> None:
        """Its attempt is over."""
        self._told.pop(task, None)

    def final(self, session: Session) -> PurePosixPath:
        """Where its file or folder is to lie. Raises TemplateInvalid."""
        told = self._told.get(session.task, "")
        match (request := request_of(session)).payload:
            case Kind.TORRENT:
                told = self._torrents.name(session.task)
            case Kind.METALINK:
                told = self._metalinks.name(session.task, request)
        return final_path(session.row, told)

    async def finish(self, whole: Sequence[tuple[Session, float]]) -> list[Finished]:
        """Check whole files and move them to their places, or say what is wrong with each, or which is next.

        With each session the seconds its download took.
        """
        if whole[0][0].lane == Lane.SMALL:
            results = await self._hands.do(partial(self._finish_all, whole))
        else:
            # Beside the hands: hashing gigabytes takes seconds. It may be repeated, so nobody waits for it on leaving.
            work = partial(self._finish_all, whole)
            results = await anyio.to_thread.run_sync(work, limiter=self._hashing, abandon_on_cancel=True)
        for (session, _), result in zip(whole, results, strict=True):
            if isinstance(result, NextPart):
                self._guard.forget(session.task)
                self._present.forget(session.task)
        return results

    def _finish_all(self, whole: Sequence[tuple[Session, float]]) -> list[Finished]:
        results = [self._finish(session, seconds) for session, seconds in whole]
        troubled = self._store.sync_names([result for result in results if isinstance(result, Placed)])
        for index, result in enumerate(results):
            if isinstance(result, Placed) and (error := troubled.get(result.path)):
                # The name may be gone after a power cut: not ours to report, nor to leave behind.
                with suppress(OSError):
                    self._store.unplace(whole[index][0].task)
                results[index] = disk_trouble(error)
        return results

    def _finish(self, session: Session, seconds: float) -> Finished:
        request, data = self._present.current(session), self._store.data(session.task)
        try:
            if is_torrent(session):
                attempt = session.row.attempt
                final = self.final(session)
                return self._torrents.finish(session.task, request, final, seconds=seconds, attempt=attempt)
            size = data.stat().st_size
            if request.size_bytes is not None and size != request.size_bytes:
                reason = f"the file has {size} bytes, {request.size_bytes} were expected"
                return Verdict(FailureClass.DAMAGED, "size-mismatch", reason)
            digest, matches = digest_of(data, request.checksum, sha256=self._sha256)
            if not matches:
                found = f" (it is {digest})" if digest else ""
                reason = f"the file does not have the digest {request.checksum}{found}"
                return Verdict(FailureClass.DAMAGED, "checksum-mismatch", reason)
            return self._put_away(session, request, digest, size, seconds)
        except (PlacementFailed, TemplateInvalid) as error:
            return misplaced(error)
        except OSError as error:
            return disk_trouble(error)

    def _put_away(self, session: Session, request: Request, digest: str, size: int, seconds: float) -> Finished:
        """Give a checked file its place, or keep it until all parts of its task are whole. Raises as `place`."""
        task, attempt = session.task, session.row.attempt
        parts = self._metalinks.of(task)
        if parts is None or parts.is_alone:
            mirrors = self._present.mirrors(session, size)
            return self._store.place(
                task,
                self.final(session),
                digest=digest,
                seconds=seconds,
                attempt=attempt,
                if_exists=request.if_exists,
                mirrors=mirrors,
            )
        if parts.current is not None:
            parts.keep(self._store, task, digest)
        if (part := parts.current) is not None:
            return NextPart(lane_of(part.request), parts.progress)
        return self.place_parts(session, parts, seconds)

    def place_parts(self, session: Session, parts: Parts, seconds: float) -> Placed:
        return parts.place(
            self._store,
            session.task,
            self.final(session),
            seconds=seconds,
            attempt=session.row.attempt,
            is_exact=request_of(session).if_exists is IfExists.FAIL,
        )


def lane_for(request: Request, size: int | None, *, uris_max: int = 1) -> Lane:
    """Where a file of `size` bytes, None for unknown, is downloaded; with more addresses its bytes come from several.

    A part has been looked at before it begins, and then one mirror after the other is enough for a small file.
    """
    wants_split = "split" in request.options or "max-connection-per-server" in request.options
    is_small = size is not None and size <= SMALL_BYTES_MAX and not wants_split and len(request.uris) <= uris_max
    return Lane.SMALL if is_small else Lane.LARGE


def lane_of(part: Request) -> Lane:
    return lane_for(part, part.size_bytes, uris_max=URIS_MAX if part.checksum else 1)


def misplaced(error: PlacementFailed | TemplateInvalid) -> Verdict:
    """The file can't have the place that the request asks for."""
    return Verdict(FailureClass.PERMANENT, "exists" if isinstance(error, NameTaken) else "placement", str(error))


def disk_trouble(error: OSError) -> Verdict:
    """This node's own trouble: another may do better."""
    return Verdict(FailureClass.NODE, "disk", f"the node's disk refused: {error.strerror or error}")


def is_torrent(session: Session) -> bool:
    return session.lane == Lane.TORRENT
