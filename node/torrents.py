"""BitTorrent on a node: what a torrent is, how aria2 is to download it, and how its files get their place.

The torrent itself comes first: from the request, the object store, an address, or its peers (a magnet link). It is
kept beside the partial, cut down to what this node goes to, so that a restart goes on where it was.
"""

import base64
from contextlib import suppress
from functools import partial
from pathlib import Path, PurePosixPath

from msgspec.structs import replace

from node.asking import Asker
from node.failures import Verdict
from node.files import Placed, Store
from node.hands import Hands
from node.hashing import digest_of
from node.payloads import FetchObject, given_payload
from node.placing_many import StagedFile, place_all
from node.torrentfile import TORRENT_BYTES_MAX, Torrent, TorrentInvalid, read_magnet, read_torrent
from node.trackers import Trackers
from node.transfers import Addition
from node.trees import safe_name, safe_paths
from schemas.options import DOWNLOAD_LIMIT, OF_TORRENTS, SEED_MINUTES_MAX
from schemas.payload import is_magnet
from schemas.request import IfExists, Request
from schemas.selection import selected_files
from schemas.task import FailureClass

TORRENT_NAME = "task.torrent"
"""In the staging folder: the torrent as this node goes by it."""
SWARM_NAME = "swarm"
"""In the staging folder: aria2's own, with a file for each of the torrent's, called by its number."""
SAME_TORRENT = "aria2-12"
AGAIN_AFTER_S = 60.0
"""Two tasks with one torrent: the second comes again when the first may have ended."""
_OF_EACH = frozenset({"connect-timeout", "lowest-speed-limit", DOWNLOAD_LIMIT, "timeout"})
HANDED_ON = (OF_TORRENTS - {"seed-ratio", "seed-time"}) | _OF_EACH
"""Options of a request that mean something to a swarm. The others, and its headers, are for where the torrent lies:
trackers and peers are to see no password."""


class Torrents:
    """The torrents of one node."""

    def __init__(
        self,
        store: Store,
        hands: Hands,
        asker: Asker,
        fetch_object: FetchObject,
        *,
        has_dht: bool = False,
        sha256: bool = True,
    ) -> None:
        """`sha256`: whole files are read for their digests."""
        self._sha256 = sha256
        self._store = store
        self._hands = hands
        self._asker = asker
        self._fetch_object = fetch_object
        self._trackers = Trackers(asker, has_dht=has_dht)
        self._known: dict[str, Torrent] = {}
        """By task, without what is on the disk anyway."""
        self._of_links: dict[str, list[str]] = {}
        """Trackers of magnet links, those to which this node goes."""
        self._encoded: dict[str, str] = {}
        """What is about to be handed over, as base64."""

    def __repr__(self) -> str:
        return f"<Torrents {len(self._known)} known>"

    async def look(self, task: str, request: Request) -> Verdict | int:
        """Get the torrent: the bytes to come, 0 while unknown. Raises OSError."""
        if not self._store.is_fresh(task):
            staged = await self._hands.do(partial(self._staged, task))
            if staged is not None:
                return self._take_on(task, request, staged)
        if request.torrent is None and is_magnet(request.uris[0]):
            return await self._look_at_magnet(task, request)
        content = await self._content(request)
        return content if isinstance(content, Verdict) else await self._take(task, request, content, None)

    def is_metadata(self, task: str) -> bool:
        """Whether what aria2 downloads is only the torrent behind a magnet link."""
        return task not in self._known

    async def metadata(self, task: str, request: Request) -> Verdict | int:
        """The torrent behind a magnet link has come: the bytes of what it leads to. Raises OSError."""
        magnet = read_magnet(request.uris[0])
        path = self._swarm(task) / f"{magnet.info_hash}.torrent"
        content = await self._hands.do(partial(_read_at_most, path, TORRENT_BYTES_MAX))
        with suppress(TorrentInvalid):
            if read_torrent(content).info_hash != magnet.info_hash:
                return Verdict(FailureClass.DAMAGED, "bad-torrent", "what came is not the torrent of the magnet link")
        taken = await self._take(task, request, content, self._of_links.get(task, []))
        await self._hands.do(partial(path.unlink, missing_ok=True))
        return taken

    def prepare(self, task: str, request: Request) -> None:
        """Make the staging folder fit to go on with. Blocks on the disk."""
        swarm = self._swarm(task)
        swarm.mkdir(parents=True, exist_ok=True)
        if (torrent := self._known.get(task)) is None:
            return
        data = self._store.data(task)
        if data.exists() and data.stat().st_nlink > 1:
            data.unlink()  # it died between the two halves of that: to write on here would change the finished file
        elif data.exists() and len(wanted := torrent.wanted(_selected(request))) == 1:
            data.replace(swarm / str(wanted[0]))  # a process died while it gave the file its place
        self._encoded[task] = base64.b64encode((self._store.staging(task) / TORRENT_NAME).read_bytes()).decode()

    def addition(self, task: str, request: Request) -> Addition:
        """What aria2 is to do, once all is prepared."""
        options: dict[str, str | list[str]] = {
            name: str(value) for name, value in request.options.items() if name in HANDED_ON
        }
        options["dir"] = str(self._store.expect(task) / SWARM_NAME)
        if (torrent := self._known.get(task)) is None:
            link = read_magnet(request.uris[0]).link(self._of_links.get(task, []))
            options |= {"bt-metadata-only": "true", "bt-save-metadata": "true", "seed-time": "0"}
            return Addition(gid=task, uris=[link], options=options)
        # Whatever the torrent calls its files: aria2 writes nothing but these.
        options["index-out"] = [f"{number}={number}" for number in range(1, len(torrent.files) + 1)]
        options |= _seeding(request)
        if selected := request.options.get("select-file"):
            options["select-file"] = str(selected)
        uris = list(request.uris) if request.torrent is not None else []
        return Addition(gid=task, uris=uris, options=options, torrent=self._encoded.pop(task))

    def name(self, task: str) -> str:
        """What the torrent calls its file or folder; empty while it is not known."""
        torrent = self._known.get(task)
        return safe_name(torrent.name) if torrent else ""

    def finish(
        self, task: str, request: Request, top: PurePosixPath, *, seconds: float, attempt: int
    ) -> Placed | Verdict:
        """Hash whole files and move them to `top`. Blocks on the disk. Raises PlacementFailed, OSError."""
        torrent = self._known[task]
        wanted = torrent.wanted(_selected(request))
        paths = safe_paths([one.path for one in torrent.files])
        staged = []
        for number in wanted:
            path, size = self._swarm(task) / str(number), torrent.files[number - 1].bytes
            if size == 0:
                path.touch()
            if path.stat().st_size != size:
                reason = f"file {number} has {path.stat().st_size} bytes, the torrent says {size}"
                return Verdict(FailureClass.DAMAGED, "size-mismatch", reason)
            digest, _ = digest_of(path, None, sha256=self._sha256)
            staged.append(StagedFile(f"{SWARM_NAME}/{number}", paths[number - 1].as_posix(), digest))
        if len(staged) > 1:
            is_exact = request.if_exists is IfExists.FAIL
            return place_all(self._store, task, top, staged, seconds=seconds, attempt=attempt, is_exact=is_exact)
        (one,) = staged
        (self._store.staging(task) / one.source).replace(self._store.data(task))
        relative = top / one.path if torrent.is_folder else top
        return self._store.place(
            task, relative, digest=one.digest, seconds=seconds, attempt=attempt, if_exists=request.if_exists
        )

    def in_part(self, task: str, request: Request) -> list[StagedFile]:
        """What is staged of the files that are wanted, as if it were whole; nothing of a magnet link that led nowhere.

        Of a torrent of one file that is the staged file now, and nothing here. Blocks on the disk. Raises OSError.
        """
        torrent = self._known.get(task) or self._staged(task)
        if torrent is None:
            return []
        self._known[task] = torrent
        with suppress(TorrentInvalid):
            wanted = torrent.wanted(_selected(request))
            paths = safe_paths([one.path for one in torrent.files])
            found = [number for number in wanted if _has_bytes(self._swarm(task) / str(number))]
            if len(wanted) == 1:
                for number in found:
                    (self._swarm(task) / str(number)).replace(self._store.data(task))
                return []
            return [StagedFile(f"{SWARM_NAME}/{number}", paths[number - 1].as_posix(), "") for number in found]
        return []

    def explained(self, task: str, request: Request, verdict: Verdict) -> Verdict:
        """A lane's verdict, with what is known here of its cause."""
        if verdict.code == SAME_TORRENT:
            return verdict._replace(retry_after_s=AGAIN_AFTER_S)
        if verdict.code != "no-peers":
            return verdict
        more = ", nor what the magnet link leads to" if self.is_metadata(task) else ""
        return verdict._replace(reason=verdict.reason + more + self._trackers.told(task))

    def forget(self, task: str) -> None:
        """Its attempt is over."""
        self._known.pop(task, None)
        self._of_links.pop(task, None)
        self._encoded.pop(task, None)
        self._trackers.forget(task)

    async def _look_at_magnet(self, task: str, request: Request) -> Verdict | int:
        try:
            magnet = read_magnet(request.uris[0])
        except TorrentInvalid as error:
            return _bad(error)
        tiers = await self._trackers.usable(task, [magnet.trackers])
        self._of_links[task] = [one for tier in tiers for one in tier]
        return self._trackers.nobody(task, tiers, [], is_private=False) or 0

    async def _content(self, request: Request) -> bytes | Verdict:
        """The torrent, as it lies where the request says."""
        if request.torrent is None:
            content, verdict = await self._asker.fetch(request, TORRENT_BYTES_MAX)
            return verdict or content
        if refused := await self._asker.refusals(request.uris):
            return Verdict(FailureClass.PERMANENT, "address-refused", next(iter(refused.values())))
        return await given_payload("torrent", request.torrent, self._fetch_object)

    async def _take(self, task: str, request: Request, content: bytes, trackers: list[str] | None) -> Verdict | int:
        """Check a torrent and keep it, cut down to the trackers and web seeds that this node goes to.

        `trackers`: those to use in place of its own.
        """
        try:
            torrent = await self._hands.do(partial(read_torrent, content))
        except TorrentInvalid as error:
            return _bad(error)
        if trackers is None:
            tiers = await self._trackers.usable(task, torrent.trackers)
        else:
            tiers = [trackers] if trackers else []
        seeds = await self._trackers.web_seeds(torrent.web_seeds)
        own_seeds = request.uris if request.torrent is not None else ()
        if verdict := self._trackers.nobody(task, tiers, [*seeds, *own_seeds], is_private=torrent.is_private):
            return verdict
        encoded = torrent.encoded(tiers, seeds)
        size = self._take_on(task, request, torrent)
        if not isinstance(size, Verdict):
            self._store.expect(task)
            await self._hands.do(partial(_write, self._store.staging(task), encoded))
        return size

    def _take_on(self, task: str, request: Request, torrent: Torrent) -> Verdict | int:
        """From now on this is the task's torrent: the bytes that are wanted of it."""
        try:
            wanted = torrent.wanted(_selected(request))
        except TorrentInvalid as error:
            return Verdict(FailureClass.PERMANENT, "select-file", str(error))
        if not wanted:
            return _bad(TorrentInvalid("nothing of it is to be stored"))
        size = sum(torrent.files[number - 1].bytes for number in wanted)
        if request.size_bytes is not None and size != request.size_bytes:
            reason = f"the torrent leads to {size} bytes, {request.size_bytes} were expected"
            return Verdict(FailureClass.PERMANENT, "size-mismatch", reason)
        self._known[task] = replace(torrent, info=b"")
        return size

    def _staged(self, task: str) -> Torrent | None:
        """The torrent as an earlier process, or attempt, kept it."""
        try:
            return read_torrent(_read_at_most(self._store.staging(task) / TORRENT_NAME, TORRENT_BYTES_MAX))
        except (OSError, TorrentInvalid):
            return None

    def _swarm(self, task: str) -> Path:
        return self._store.staging(task) / SWARM_NAME


def _selected(request: Request) -> tuple[tuple[int, int], ...]:
    return selected_files(str(request.options.get("select-file", "")))


def _seeding(request: Request) -> dict[str, str]:
    """aria2 stops at whichever of the two comes first; a ratio that is never reached ends by time."""
    minutes, ratio = (request.options.get(name) for name in ("seed-time", "seed-ratio"))
    if minutes is None:
        minutes = SEED_MINUTES_MAX if ratio is not None and float(ratio) > 0 else 0
    return {"seed-time": f"{float(minutes):g}", "seed-ratio": str(ratio if ratio is not None else 0)}


def _bad(error: TorrentInvalid) -> Verdict:
    return Verdict(FailureClass.PERMANENT, "bad-torrent", f"the torrent can't be used: {error}")


def _read_at_most(path: Path, bytes_max: int) -> bytes:
    with path.open("rb") as opened:
        return opened.read(bytes_max + 1)


def _has_bytes(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0


def _write(folder: Path, content: bytes) -> None:
    """All of it or nothing, for a process that is killed."""
    folder.mkdir(parents=True, exist_ok=True)
    scratch = folder / f"{TORRENT_NAME}.new"
    scratch.write_bytes(content)
    scratch.replace(folder / TORRENT_NAME)
