"""What a session's steps do: look before the download, check and place after it, report. All I/O, no decisions."""

from collections.abc import Callable, Sequence, Set
from contextlib import suppress
from functools import partial
from pathlib import PurePosixPath
from typing import NamedTuple

import aiohttp
import anyio
import anyio.to_thread
import structlog
from anyio import CapacityLimiter

from node import files
from node.addresses import Network
from node.aria2 import Addition
from node.asking import Asker, Wait
from node.daemon import Lane
from node.failures import Verdict
from node.files import Placed, PlacementFailed, Store
from node.guard import Guard
from node.hands import Hands
from node.metalinks import SELECT, Metalinks
from node.mirrors import agreed_size
from node.parts import Progress
from node.placing_many import place_again
from node.present import Present, refused, request_of, verdict_of_look
from node.room import Partial
from node.session import Session
from node.torrents import FetchObject, Torrents
from node.validators import was_mixed
from schemas.payload import Kind
from schemas.request import URIS_MAX, Request, file_name
from schemas.task import FailureClass, Mirror

log = structlog.get_logger()

SMALL_BYTES_MAX = 8 << 20
"""Up to here one connection without control files is faster, and a crash costs little."""
LARGE_HASHED_MAX = 2
"""Large files hashed at once: a disk serves few readers well."""
DISK_WITHIN_S = 10.0
"""For what takes milliseconds: a disk that hangs must not keep a task that another node could take."""
PREPARED_WITHIN_S = 25.0
"""… and with questions to the origin, which take nine seconds at most."""
TORRENT_WITHIN_S = 120.0
"""For a torrent to come from where it lies, and to be read and kept: each step has a limit of its own."""
ONE_ANSWER = {"split": "1", "max-connection-per-server": "1", "max-tries": "1"}
"""For a file that changed under way: all of it by one answer of the origin, which can't be of two versions."""
OWN_TRIES_APART_S = 2
"""For a request that sets `max-tries` alone."""
NOTHING = Placed(path="", bytes=0, digest=files.EMPTY_DIGEST, seconds=0.0, attempt=1, inode=0, modified_ns=0)
"""What a `noop:` task leaves behind."""


SILENT = "the node's disk does not answer"


class Looked(NamedTuple):
    """What was found out before a download: one of the first three is set."""

    lane: Lane | None = None
    verdict: Verdict | None = None
    placed: Placed | None = None
    is_fresh: bool = False
    """Nothing is staged: no disk need be asked before it begins."""
    size: int = 0
    """Bytes of the file; 0 while unknown."""
    parts: Progress | None = None
    """Of a task of several parts."""


class NextPart(NamedTuple):
    """A part of a task is whole and kept: the next one is due."""

    lane: Lane
    progress: Progress


Finished = Placed | NextPart | Verdict


class Workshop:
    """The tools of one node: its store, its HTTP session for probes, bounded threads for its disk."""

    def __init__(
        self,
        store: Store,
        http: aiohttp.ClientSession,
        allow_nets: Sequence[Network],
        hands: Hands,
        *,
        fetch_object: FetchObject,
        has_dht: bool = False,
    ) -> None:
        """`fetch_object` gets what a request is too small for; `has_dht`: peers are found without trackers."""
        self._store = store
        self._hands = hands
        self._asker = Asker(http, allow_nets)
        self._hashing = CapacityLimiter(LARGE_HASHED_MAX)
        self._guard = Guard(store, hands, self._asker.ask)
        self._torrents = Torrents(store, hands, self._asker, fetch_object, has_dht=has_dht)
        self._metalinks = Metalinks(store, hands, self._asker, fetch_object)
        self._present = Present(self._asker, self._metalinks)
        self._wiping: dict[str, anyio.Event] = {}
        """Tasks that are not here and whose partials are being deleted: one that comes back waits for the end."""

    async def look(self, session: Session) -> Looked:
        """Find an earlier process's file, check where the addresses lead, and choose the lane."""
        request = request_of(session)
        if request.is_noop:
            return Looked(placed=NOTHING)
        if wiping := self._wiping.get(session.task):
            await wiping.wait()
        is_fresh = self._store.is_fresh(session.task)
        if not is_fresh:
            before = await self._find(session.task)
            if before is not None:
                return before
        if request.payload is Kind.TORRENT:
            return await self._look_at_torrent(session, request)
        if request.payload is Kind.METALINK:
            return await self._look_at_metalink(session, request)
        size, found = request.size_bytes, {}
        if size is None:
            found = await self._asker.ask(request)
            if verdict := verdict_of_look(request, found):
                return Looked(verdict=verdict)
            size = agreed_size(found)
            if is_fresh:
                self._guard.noticed(session.task, found)
        for uri in request.uris:
            # What was asked was checked on the way.
            if uri not in found and (refusal := await self._asker.refusal(uri)):
                return Looked(verdict=refused(uri, refusal))
        return Looked(lane=_lane_for(request, size), is_fresh=is_fresh, size=size or 0)

    async def _find(self, task: str) -> Looked | None:
        """What an earlier process placed, or was about to."""
        try:
            with anyio.fail_after(DISK_WITHIN_S):
                placed = await self._hands.do(partial(place_again, self._store, task))
        except TimeoutError:
            return Looked(verdict=Verdict(FailureClass.NODE, "disk", SILENT))
        except PlacementFailed as error:
            return Looked(verdict=Verdict(FailureClass.PERMANENT, "placement", str(error)))
        except OSError as error:
            return Looked(verdict=disk_trouble(error))
        return Looked(placed=placed) if placed is not None else None

    async def _look_at_metalink(self, session: Session, request: Request) -> Looked:
        try:
            opened = await self._metalinks.open(session.task, request)
            if isinstance(opened, Verdict):
                return Looked(verdict=opened)
            part = opened.current
            if part is None:
                self._store.expect(session.task)
                place = partial(opened.place, self._store, session.task, seconds=0.0, attempt=session.row.attempt)
                return Looked(placed=await self._hands.do(place))
        except PlacementFailed as error:
            return Looked(verdict=Verdict(FailureClass.PERMANENT, "placement", str(error)))
        except OSError as error:
            return Looked(verdict=disk_trouble(error))
        progress = opened.progress
        lane = _lane_of(part.request)
        return Looked(lane=lane, size=progress.total, parts=None if opened.is_alone else progress)

    async def _look_at_torrent(self, session: Session, request: Request) -> Looked:
        try:
            with anyio.fail_after(TORRENT_WITHIN_S):
                found = await self._torrents.look(session.task, request)
        except TimeoutError:
            return Looked(verdict=Verdict(FailureClass.NODE, "disk", SILENT))
        except OSError as error:
            return Looked(verdict=disk_trouble(error))
        return Looked(verdict=found) if isinstance(found, Verdict) else Looked(lane=Lane.TORRENT, size=found)

    def has_more(self, session: Session) -> bool:
        """Whether what is whole now is a part of the task: then `go_on` finds out what the next one is."""
        return session.lane == Lane.TORRENT and self._torrents.is_metadata(session.task)

    async def go_on(self, session: Session) -> Verdict | int:
        """Make the next part ready: its bytes, or why there is none."""
        try:
            with anyio.fail_after(TORRENT_WITHIN_S):
                return await self._torrents.metadata(session.task, request_of(session))
        except TimeoutError:
            return Verdict(FailureClass.NODE, "disk", SILENT)
        except OSError as error:
            return disk_trouble(error)

    def explained(self, session: Session, verdict: Verdict) -> Verdict:
        """What a lane says of a failure, with what is known here of its cause."""
        return self._torrents.explained(session.task, request_of(session), verdict) if _is_torrent(session) else verdict

    async def prepare(self, session: Session) -> Verdict | None:
        """Make the staging folder fit to go on with; a verdict where the origin, asked for that, refuses.

        Raises OSError, TimeoutError for a disk that hangs among them.
        """
        if _is_torrent(session):
            with anyio.fail_after(DISK_WITHIN_S):
                await self._hands.do(partial(self._torrents.prepare, session.task, request_of(session)))
            return None
        one_answer = was_mixed(session.row.history)
        with anyio.fail_after(PREPARED_WITHIN_S):
            if verdict := await self._present.survey(session):
                return verdict
            request = self._present.current(session)
            refuses = partial(verdict_of_look, request)
            if verdict := await self._guard.before(session.task, request, refuses, never_resume=one_answer):
                return verdict
            split = session.lane == Lane.LARGE and request.options.get("split") != "1" and not one_answer
            await self._hands.do(partial(self._store.prepare, session.task, split))
        return None

    def mirrors(self, session: Session) -> tuple[Mirror, ...]:
        """What each of several addresses did in an attempt that brought no file."""
        return () if _is_torrent(session) else self._present.mirrors(session, None)

    def addition(self, session: Session) -> Addition:
        """What aria2 is to do."""
        if _is_torrent(session):
            return self._torrents.addition(session.task, request_of(session))
        request = self._present.current(session)
        options: dict[str, str | list[str]] = {
            name: str(value) for name, value in request.options.items() if name != SELECT
        }
        if "max-tries" in options:
            options.setdefault("retry-wait", str(OWN_TRIES_APART_S))
        if was_mixed(session.row.history) and not request.checksum:
            options |= ONE_ANSWER
        options["dir"] = str(self._store.expect(session.task))
        options["out"] = files.DATA_NAME
        if request.headers:
            options["header"] = [f"{name}: {value}" for name, value in request.headers.items()]
        size = request.size_bytes if self._metalinks.of(session.task) else None
        return Addition(gid=session.task, uris=list(request.uris), options=options, size=size or 0)

    def has_doubts(self, session: Session) -> bool:
        """Whether a whole file may be of two versions: then `second_look` says."""
        if _is_torrent(session):
            return False  # each piece has its digest
        request = self._present.current(session)
        is_one_answer = was_mixed(session.row.history) or (
            session.lane == Lane.SMALL and request.options.get("max-tries", "1") == "1"
        )
        return self._guard.has_doubts(session.task, request, is_one_answer=is_one_answer)

    async def second_look(self, session: Session) -> Verdict | None:
        """Ask the origin whether a whole file is still the one that was begun; None where all is well."""
        return await self._guard.after(session.task, self._present.current(session))

    def keep(self, session: Session) -> None:
        """Write down what a download was begun from, unless that is done: it lives long enough to be interrupted."""
        if not _is_torrent(session) and not self._present.current(session).checksum:
            self._guard.keep(session.task)

    def forget(self, task: str) -> None:
        """Its attempt is over."""
        self._guard.forget(task)
        self._torrents.forget(task)
        self._metalinks.forget(task)
        self._present.forget(task)

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

    async def wipe_after(self, session: Session, verdict: Verdict) -> None:
        """Delete what is of no use after a failure: of several parts those that are whole stay, unless all is vain."""
        parts = self._metalinks.of(session.task)
        if parts is None or parts.is_alone or verdict.failure is not FailureClass.DAMAGED:
            await self.wipe(session.task)
            return
        self._guard.forget(session.task)
        with anyio.move_on_after(DISK_WITHIN_S):
            await self._hands.do(partial(self._wipe_part, session.task))

    def _wipe_part(self, task: str) -> None:
        try:
            self._store.wipe_data(task)
        except OSError as error:
            log.warning("staged files stay for now", task=task, problem=str(error))

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

    async def wait(self, session: Session) -> Wait | None:
        """Which origin asks to be left alone, and how long; aria2 does not tell."""
        return await self._asker.wait(self._present.current(session))

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
            if _is_torrent(session):
                attempt = session.row.attempt
                return self._torrents.finish(session.task, request, seconds=seconds, attempt=attempt)
            size = data.stat().st_size
            if request.size_bytes is not None and size != request.size_bytes:
                reason = f"the file has {size} bytes, {request.size_bytes} were expected"
                return Verdict(FailureClass.DAMAGED, "size-mismatch", reason)
            digest, matches = files.digest(data, request.checksum)
            if not matches:
                reason = f"the file does not have the digest {request.checksum} (it is {digest})"
                return Verdict(FailureClass.DAMAGED, "checksum-mismatch", reason)
            return self._put_away(session, request, digest, size, seconds)
        except PlacementFailed as error:
            return Verdict(FailureClass.PERMANENT, "placement", str(error))
        except OSError as error:
            return disk_trouble(error)

    def _put_away(self, session: Session, request: Request, digest: str, size: int, seconds: float) -> Finished:
        """Give a checked file its place, or keep it until all parts of its task are whole. Raises as `place`."""
        task, attempt = session.task, session.row.attempt
        parts = self._metalinks.of(task)
        if parts is None or parts.is_alone:
            mirrors = self._present.mirrors(session, size)
            return self._store.place(
                task, final_path(request), digest=digest, seconds=seconds, attempt=attempt, mirrors=mirrors
            )
        if parts.current is not None:
            parts.keep(self._store, task, digest)
        if (part := parts.current) is not None:
            return NextPart(_lane_of(part.request), parts.progress)
        return parts.place(self._store, task, seconds=seconds, attempt=attempt)


def _lane_for(request: Request, size: int | None, *, uris_max: int = 1) -> Lane:
    """Where a file of `size` bytes, None for unknown, is downloaded; with more addresses its bytes come from several.

    A part has been looked at before it begins, and then one mirror after the other is enough for a small file.
    """
    wants_split = "split" in request.options or "max-connection-per-server" in request.options
    is_small = size is not None and size <= SMALL_BYTES_MAX and not wants_split and len(request.uris) <= uris_max
    return Lane.SMALL if is_small else Lane.LARGE


def _lane_of(part: Request) -> Lane:
    return _lane_for(part, part.size_bytes, uris_max=URIS_MAX if part.checksum else 1)


def final_path(request: Request) -> PurePosixPath:
    """Where the file is to lie below the download folder."""
    return PurePosixPath(request.dir or "") / (request.out or file_name(request.uris[0]))


def disk_trouble(error: OSError) -> Verdict:
    """This node's own trouble: another may do better."""
    return Verdict(FailureClass.NODE, "disk", f"the node's disk refused: {error.strerror or error}")


def _is_torrent(session: Session) -> bool:
    return session.lane == Lane.TORRENT
