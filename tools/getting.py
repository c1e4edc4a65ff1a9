"""`get`: what tasks brought, from their nodes: one file each, or a folder of several."""

import hashlib
from pathlib import Path, PurePosixPath

import anyio
import anyio.to_thread
from rich.console import Console
from rich.markup import escape

from broker.cluster import Client
from broker.filestream import NodeFile, look
from schemas.errors import DowndraftError
from schemas.event import StoredFile
from schemas.view import TaskView
from tools.fetching import (
    STDOUT,
    Fetched,
    NotFetched,
    check_target,
    completed,
    fetch_file,
    fetch_to_stdout,
    place,
    showing,
    took,
)
from tools.looking import print_json
from tools.partfile import CannotWrite
from tools.tables import printable


async def get_all(
    client: Client, tasks: tuple[str, ...], target: str, *, force: bool = False, as_json: bool = False
) -> bool:
    """Fetch each task's file into `target`: a file, a folder, or `-` for stdout. True where all arrived."""
    told = Console(highlight=False, soft_wrap=True, stderr=target == STDOUT)
    all_ok = True
    for task in tasks:
        try:
            fetched = await _get(client, task, target, force=force, quiet=as_json)
        except DowndraftError as error:
            fetched = Fetched(task=task, ok=False, said=str(error))
        all_ok &= fetched.ok
        if as_json:
            print_json(fetched)
        else:
            mark = "[green]✓[/green]" if fetched.ok else "[red]✗[/red]"
            told.print(f"{mark} {task}  {escape(printable(fetched.said))}")
    return all_ok


async def _get(client: Client, task: str, target: str, *, force: bool, quiet: bool) -> Fetched:
    view = await completed(client, task)
    if view.files:
        return await _get_folder(client, view, target, force=force, quiet=quiet)
    file = NodeFile(view.node, task, view.path, view.bytes)
    path = None if target == STDOUT else place(target, view.path)
    if path is not None:
        check_target(path, force=force)
    await look(client.connection, file)
    with showing(PurePosixPath(view.path).name, file.bytes, quiet=quiet) as bar:
        if path is None:
            return await fetch_to_stdout(client, file, view.digest, bar)
        return await fetch_file(client, file, view.digest, path, force, bar)


async def _get_folder(client: Client, view: TaskView, target: str, *, force: bool, quiet: bool) -> Fetched:
    """Fetch one file after another; what an earlier get brought whole is not fetched again."""
    if target == STDOUT:
        raise NotFetched(f"it has {len(view.files) + view.files_cut} files: stdout takes one, name a folder")
    began = anyio.current_time()
    folder = place(target, view.path)
    resumed_from = 0
    for one in view.files:
        path = inner_target(folder, view.path, one)
        file = NodeFile(view.node, view.task, one.path, one.bytes, view.path)
        if await anyio.to_thread.run_sync(_is_there, path, one):
            resumed_from += one.bytes
            continue
        check_target(path, force=force)
        await look(client.connection, file)
        await anyio.to_thread.run_sync(_make_folder, path.parent)
        with showing(path.name, one.bytes, quiet=quiet) as bar:
            fetched = await fetch_file(client, file, one.digest, path, force, bar)
        resumed_from += fetched.resumed_from
    size, seconds = sum(one.bytes for one in view.files), anyio.current_time() - began
    said = f"{folder}  {len(view.files)} files, {took(size, seconds, resumed_from)}"
    if view.files_cut:
        said += f"; {view.files_cut} more lie in {view.path!r} on {view.node}: the outcome does not name them"
    return Fetched(
        task=view.task,
        ok=not view.files_cut,
        said=said,
        path=str(folder),
        files=len(view.files),
        bytes=size,
        resumed_from=resumed_from,
        seconds=round(seconds, 3),
    )


def inner_target(folder: Path, at: str, file: StoredFile) -> Path:
    """Where a file of the folder `at` of a node goes. Raises NotFetched for one that would lie elsewhere."""
    try:
        inner = PurePosixPath(file.path).relative_to(at)
    except ValueError:
        inner = PurePosixPath("..")
    if not inner.name or ".." in inner.parts or "\0" in file.path:
        raise NotFetched(f"the node calls a file {file.path!r}, which would not lie in {str(folder)!r}")
    return folder / inner


def _is_there(path: Path, file: StoredFile) -> bool:
    try:
        if path.is_symlink() or not path.is_file() or path.stat().st_size != file.bytes:
            return False
        with path.open("rb") as opened:
            return f"sha-256={hashlib.file_digest(opened, 'sha256').hexdigest()}" == file.digest
    except OSError:
        return False


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotWrite(f"can't make the folder {str(folder)!r}: {error.strerror}") from error
