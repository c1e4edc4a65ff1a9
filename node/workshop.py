"""What a session's steps do before, during and after a download. All I/O, no decisions."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import aiohttp
import anyio
import anyio.to_thread
import structlog
from anyio import CapacityLimiter

from node.addresses import Reach
from node.asking import Asker, Wait
from node.daemon import Lane
from node.defaults import limits_of
from node.failures import Verdict
from node.files import Placed, Store
from node.finishing import Finished, Finishing, disk_trouble, is_torrent, lane_for, lane_of, misplaced
from node.guard import Guard
from node.hands import Hands
from node.hashing import EMPTY_DIGEST
from node.keeping import Keeping, Kept
from node.logins import judged
from node.metalinks import SELECT, Metalinks
from node.mirrors import agreed_size
from node.moving import NameTaken, PlacementFailed
from node.naming import asks_name
from node.parts import Progress
from node.payloads import FetchObject
from node.placing_many import place_again
from node.present import Present, refused, request_of, verdict_of_look
from node.session import Session
from node.staging import DATA_NAME
from node.tidying import DISK_WITHIN_S, Tidying
from node.torrents import Torrents
from node.transfers import Addition
from node.validators import was_mixed
from schemas.payload import Kind
from schemas.request import IfExists, Request
from schemas.task import FailureClass, Mirror
from schemas.templates import TemplateInvalid

log = structlog.get_logger()

LARGE_HASHED_MAX = 2
"""Large files hashed at once: a disk serves few readers well."""
PREPARED_WITHIN_S = 25.0
"""… and with questions to the origin, which take nine seconds at most."""
TORRENT_WITHIN_S = 120.0
"""For a torrent to come from where it lies, and to be read and kept: each step has a limit of its own."""
ONE_ANSWER = {"split": "1", "max-connection-per-server": "1", "max-tries": "1"}
"""For a file that changed under way: all of it by one answer of the origin, which can't be of two versions."""
OWN_TRIES_APART_S = 2
"""For a request that sets `max-tries` alone."""
NOTHING = Placed(path="", bytes=0, digest=EMPTY_DIGEST, seconds=0.0, attempt=1, inode=0, modified_ns=0)
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


class Workshop(Tidying):
    """The tools of one node: its store, its HTTP session for probes, bounded threads for its disk."""

    def __init__(
        self,
        store: Store,
        http: aiohttp.ClientSession,
        reach: Reach,
        hands: Hands,
        *,
        fetch_object: FetchObject,
        has_dht: bool = False,
        keep_time: bool = False,
        sha256: bool = True,
    ) -> None:
        """`fetch_object` gets what a request is too small for; `has_dht`: peers are found without trackers;
        `keep_time`: files are as old as their origins say; `sha256`: each finished file is read for its digest.
        """
        self._asker = Asker(http, reach)
        super().__init__(store, hands, Guard(store, hands, self._asker.ask))
        self._keep_time = keep_time
        self._hashing = CapacityLimiter(LARGE_HASHED_MAX)
        self._torrents = Torrents(store, hands, self._asker, fetch_object, has_dht=has_dht, sha256=sha256)
        self._metalinks = Metalinks(store, hands, self._asker, fetch_object)
        self._present = Present(self._asker, self._metalinks)
        self._finishing = Finishing(
            store,
            hands,
            self._hashing,
            self._guard,
            torrents=self._torrents,
            metalinks=self._metalinks,
            present=self._present,
            sha256=sha256,
        )
        self._keeping = Keeping(store, self._torrents, self._metalinks, self._finishing.final)

    async def look(self, session: Session) -> Looked:
        """Find an earlier process's file, check where the addresses lead, and choose the lane."""
        request = request_of(session)
        if request.is_noop:
            return Looked(placed=NOTHING)
        await self.swept(session.task)
        is_fresh = self._store.is_fresh(session.task)
        if not is_fresh and (before := await self._find(session.task)) is not None:
            return before
        match request.payload:
            case Kind.TORRENT:
                return await self._look_at_torrent(session, request)
            case Kind.METALINK:
                return await self._look_at_metalink(session, request)
            case _:
                return await self._look_at_file(session, request, is_fresh=is_fresh)

    async def _look_at_file(self, session: Session, request: Request, *, is_fresh: bool) -> Looked:
        size, found = request.size_bytes, {}
        if size is None or asks_name(request):
            found = await self._asker.ask(request)
            if verdict := verdict_of_look(request, found):
                return Looked(verdict=verdict)
            size = size or agreed_size(found)
            name = next((one.name for one in found.values() if one.is_file and one.name), "")
            self._finishing.told(session.task, name)
            if is_fresh:
                self._guard.noticed(session.task, found)
        # What was asked was checked on the way.
        if refusals := await self._asker.refusals(uri for uri in request.uris if uri not in found):
            return Looked(verdict=refused(*next(iter(refusals.items()))))
        if settled := await self._settled(session):
            return settled
        return Looked(lane=lane_for(request, size), is_fresh=is_fresh, size=size or 0)

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
                return Looked(placed=await self._hands.do(partial(self._finishing.place_parts, session, opened, 0.0)))
        except (PlacementFailed, TemplateInvalid) as error:
            return Looked(verdict=misplaced(error))
        except OSError as error:
            return Looked(verdict=disk_trouble(error))
        progress = opened.progress
        lane = lane_of(part.request)
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
        request = request_of(session)
        return (
            self._torrents.explained(session.task, request, verdict)
            if is_torrent(session)
            else judged(request, verdict)
        )

    async def _settled(self, session: Session) -> Looked | None:
        """What is to be said without a download, because of what lies at its place already."""
        request = request_of(session)
        if request.payload is not Kind.FILE or request.if_exists in (IfExists.RENAME, IfExists.OVERWRITE):
            return None
        try:
            final = self._finishing.final(session)
            if request.if_exists is IfExists.FAIL:
                with anyio.fail_after(DISK_WITHIN_S):
                    if await self._hands.do(partial(self._store.is_taken, final)):
                        raise NameTaken(f"{final} exists already")
            elif request.checksum:
                look = partial(self._store.same, final, request.size_bytes, request.checksum, session.row.attempt)
                # Beside the hands, as it may be large; nothing is changed by it.
                placed = await anyio.to_thread.run_sync(look, limiter=self._hashing, abandon_on_cancel=True)
                return Looked(placed=placed) if placed else None
        except (PlacementFailed, TemplateInvalid) as error:
            return Looked(verdict=misplaced(error))
        except TimeoutError:
            return Looked(verdict=Verdict(FailureClass.NODE, "disk", SILENT))
        except OSError:
            return None  # placing will find out, too
        return None

    def asked_bytes(self, session: Session) -> int | None:
        """What the file that is downloaded now must have; None where nobody said, and of a torrent."""
        return None if is_torrent(session) else self._present.asked(session).size_bytes

    async def prepare(self, session: Session) -> Verdict | None:
        """Make the staging folder fit to go on with; a verdict where the origin, asked for that, refuses.

        Raises OSError, TimeoutError for a disk that hangs among them.
        """
        if is_torrent(session):
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
        return () if is_torrent(session) else self._present.mirrors(session, None)

    def addition(self, session: Session) -> Addition:
        """What aria2 is to do."""
        if is_torrent(session):
            return self._torrents.addition(session.task, request_of(session))
        request = self._present.current(session)
        options: dict[str, str | list[str]] = {
            name: str(value) for name, value in request.options.items() if name != SELECT
        }
        if session.lane == Lane.LARGE:
            options = {**session.row.defaults, **options}
        # A part of a metalink was made from what the request said then; its limits may be others by now.
        options |= {name: limit for name, limit in limits_of(session.row).items() if limit != "0" or name in options}
        if "max-tries" in options:
            options.setdefault("retry-wait", str(OWN_TRIES_APART_S))
        if was_mixed(session.row.history) and not request.checksum:
            options |= ONE_ANSWER
        options["dir"] = str(self._store.expect(session.task))
        options["out"] = DATA_NAME
        if any(uri.lower().startswith("sftp:") for uri in request.uris):
            # Over one that another download left behind aria2 does not look at the server's key.
            options["ftp-reuse-connection"] = "false"
        if self._keep_time:
            options["remote-time"] = "true"
        if request.headers:
            options["header"] = [f"{name}: {value}" for name, value in request.headers.items()]
        size = request.size_bytes if self._metalinks.of(session.task) else None
        return Addition(gid=session.task, uris=list(request.uris), options=options, size=size or 0)

    def has_doubts(self, session: Session) -> bool:
        """Whether a whole file may be of two versions: then `second_look` says."""
        if is_torrent(session):
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
        if not is_torrent(session) and not self._present.current(session).checksum:
            self._guard.keep(session.task)

    def forget(self, task: str) -> None:
        """Its attempt is over."""
        self._finishing.forget(task)
        self._guard.forget(task)
        self._torrents.forget(task)
        self._metalinks.forget(task)
        self._present.forget(task)

    async def finish(self, whole: Sequence[tuple[Session, float]]) -> list[Finished]:
        """Check whole files and move them to their places, or say what is wrong with each, or which is next.

        With each session the seconds its download took.
        """
        return await self._finishing.finish(whole)

    async def keep_partial(self, session: Session) -> Kept | str | None:
        """Give what is staged of a cancelled task a place of its own; why that can't be; None: nothing is staged."""
        self._guard.forget(session.task)
        try:
            # Beside the hands, as it may go to another file system.
            return await anyio.to_thread.run_sync(self._keeping.keep, session, limiter=self._hashing)
        except (PlacementFailed, TemplateInvalid) as error:
            return str(error)
        except OSError as error:
            return f"the disk refused: {error.strerror or error}"

    async def wipe_after(self, session: Session, verdict: Verdict) -> None:
        """Delete what is of no use after a failure: of several parts those that are whole stay, unless all is vain."""
        parts = self._metalinks.of(session.task)
        if parts is None or parts.is_alone or verdict.failure is not FailureClass.DAMAGED:
            await self.wipe(session.task)
            return
        await self.wipe_part(session.task)

    async def wait(self, session: Session) -> Wait | None:
        """Which origin asks to be left alone, and how long; aria2 does not tell."""
        return await self._asker.wait(self._present.current(session))
