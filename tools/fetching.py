"""A finished file from its node, checked while it is written."""

import hashlib
import os
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Protocol

import anyio
import anyio.to_thread
from msgspec import Struct
from rich.console import Console
from rich.markup import escape

from broker.cluster import Client
from broker.filestream import NodeAway, NodeFile, reading
from schemas.errors import DowndraftError
from schemas.lifecycle import FINISHED, State
from schemas.sizes import format_size
from schemas.view import TaskView
from tools.partfile import CannotWrite, PartFile
from tools.submitting import bars
from tools.tables import printable

STDOUT = "-"
UNCOMPARED = "; not compared, as its outcome tells no digest (node.sha256)"


class NotFetched(DowndraftError):
    """There is no finished file to fetch, or it did not arrive as it should."""


class Fetched(Struct, frozen=True, kw_only=True):
    """What became of one task, as `--json` prints it."""

    task: str
    ok: bool
    said: str
    path: str = ""
    """Where the file is now, or the folder of several."""
    files: int = 1
    bytes: int = 0
    digest: str = ""
    resumed_from: int = 0
    """Bytes that an earlier, interrupted fetch had left."""
    seconds: float = 0.0


class Sink(Protocol):
    """What takes the bytes, in order."""

    done: int

    def write(self, data: bytes) -> None: ...

    @property
    def digest(self) -> str: ...


class Stdout:
    """A sink that keeps nothing."""

    def __init__(self) -> None:
        self.done = 0
        self._hash = hashlib.sha256()

    @property
    def digest(self) -> str:
        return f"sha-256={self._hash.hexdigest()}"

    def write(self, data: bytes) -> None:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        self._hash.update(data)
        self.done += len(data)


class Bar(Protocol):
    """Shows how far a file is."""

    def __call__(self, done: int, note: str = "") -> None: ...


async def completed(client: Client, task: str) -> TaskView:
    """The view of a task whose file lies on a node. Raises NotFetched, which says how the task stands."""
    if not client.may_reach_files:
        raise NotFetched("these credentials may not read files from nodes: use the operator's (--creds)")
    view = (await client.show(task)).task
    if view is None:
        raise NotFetched("there is no such task")
    if view.state in FINISHED and view.state is not State.COMPLETED:
        raise NotFetched(f"it is {view.state}, there is no file{': ' if view.reason else ''}{view.reason}")
    if view.state is not State.COMPLETED:
        where = f" on {view.node}" if view.node else ""
        raise NotFetched(f"it is {view.state}{where}, not completed: there is no whole file yet")
    return view


def place(target: str, path: str) -> Path:
    """Where a file goes: `path` is its path on the node. Raises NotFetched for one without a name."""
    name = PurePosixPath(path).name
    if name in {"", ".."} or "\0" in name:
        raise NotFetched(f"the node calls the file {path!r}: choose a name with --output")
    folder = Path(target)
    return folder / name if target.endswith("/") or folder.is_dir() else folder


def check_target(path: Path, *, force: bool) -> None:
    """Raises CannotWrite where something lies there that is not to be overwritten."""
    if path.exists() and not path.is_file():
        raise CannotWrite(f"{str(path)!r} is no plain file: choose another --output")
    if not force and os.path.lexists(path):
        raise CannotWrite(f"{str(path)!r} exists: --force overwrites it, --output chooses another name")


async def fetch_file(client: Client, file: NodeFile, digest: str, path: Path, force: bool, bar: Bar) -> Fetched:
    """Go on with what an earlier fetch left. Raises NotFetched, CannotWrite, FileUnavailable, NodeAway."""
    began = anyio.current_time()
    with closing(PartFile(path, file.bytes)) as part:
        while await anyio.to_thread.run_sync(part.take_up):
            bar(part.done, "what an earlier get left")
        if not digest:
            await anyio.to_thread.run_sync(part.start_over)  # nothing would tell that its beginning is another file's
        resumed_from = part.done
        bar(part.done)
        try:
            await _pour(client, file, part, bar)
            if digest and part.digest != digest and resumed_from:
                await anyio.to_thread.run_sync(part.start_over)  # that was the beginning of something else
                resumed_from = 0
                await _pour(client, file, part, bar)
        except NodeAway as error:
            kept = f"{format_size(part.done)} are kept in {str(part.path)!r}: the next get goes on from there"
            raise NotFetched(f"{error}; {kept}") from error
        if digest and part.digest != digest:
            part.discard()
            raise NotFetched(_mismatch(file, part.digest, digest))
        await anyio.to_thread.run_sync(partial(part.keep, force=force))
    seconds = anyio.current_time() - began
    return Fetched(
        task=file.task,
        ok=True,
        said=f"{path}  {took(file.bytes, seconds, resumed_from)}{'' if digest else UNCOMPARED}",
        path=str(path),
        bytes=file.bytes,
        digest=digest,
        resumed_from=resumed_from,
        seconds=round(seconds, 3),
    )


async def fetch_to_stdout(client: Client, file: NodeFile, digest: str, bar: Bar) -> Fetched:
    """Raises NotFetched when the bytes are out and are not the right ones; FileUnavailable, NodeAway."""
    began = anyio.current_time()
    sink = Stdout()
    await _pour(client, file, sink, bar)
    if digest and sink.digest != digest:
        raise NotFetched(_mismatch(file, sink.digest, digest))
    seconds = anyio.current_time() - began
    said = took(file.bytes, seconds, 0) + ("" if digest else UNCOMPARED)
    return Fetched(task=file.task, ok=True, said=said, bytes=file.bytes, digest=digest, seconds=round(seconds, 3))


async def _pour(client: Client, file: NodeFile, sink: Sink, bar: Bar) -> None:
    """What is still missing, from the node into the sink. Raises NodeAway, FileUnavailable, CannotWrite."""
    async with reading(client.connection, file, start=sink.done) as chunks:
        async for chunk in chunks:
            await anyio.to_thread.run_sync(sink.write, chunk)
            bar(sink.done)


def _mismatch(file: NodeFile, found: str, wanted: str) -> str:
    return (
        f"{file.path!r} on {file.node} is not what was downloaded any more: its digest is {found}, not {wanted}. "
        f"Nothing of it was kept; `downdraft retry {file.task}` downloads it anew"
    )


def took(size: int, seconds: float, resumed_from: int) -> str:
    resumed = f", {format_size(resumed_from)} of them from an earlier get" if resumed_from else ""
    return f"{format_size(size)} in {seconds:.1f} s{resumed}"


@contextmanager
def showing(name: str, size: int, *, quiet: bool) -> Iterator[Bar]:
    """A progress bar on stderr where that is a terminal; it leaves no trace."""
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield lambda done, note="": None
        return
    with bars(console) as progress:
        progress.live.transient = True
        shown = progress.add_task(escape(printable(name)), total=size or None, note="")
        yield lambda done, note="": progress.update(shown, completed=done, note=note)
