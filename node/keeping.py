"""What had come of a download whose task is cancelled, where it is to be kept: it gets a place as `<name>.part`.

Everything here blocks on the disk: call it in a thread. What the disk refuses leaves as OSError.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from node import moving
from node.files import Store
from node.metalinks import Metalinks
from node.moving import PlacementFailed
from node.parts import kept_of_parts
from node.placing_many import place_all
from node.present import request_of
from node.session import Session
from node.staging import CONTROL_NAME, SPLIT_NAME
from node.torrents import Torrents
from schemas.names import NAME_BYTES_MAX, shortened
from schemas.payload import Kind

PART = ".part"
CONTROL = ".aria2"


class Kept(NamedTuple):
    path: str
    """Relative to the download folder: a file, or a folder where there are several."""
    bytes: int
    """That came, of whatever length the file looks."""


class Keeping:
    """Of one node."""

    def __init__(
        self, store: Store, torrents: Torrents, metalinks: Metalinks, final: Callable[[Session], PurePosixPath]
    ) -> None:
        """`final`: where its file or folder would lie if it were whole."""
        self._store = store
        self._torrents = torrents
        self._metalinks = metalinks
        self._final = final

    def keep(self, session: Session) -> Kept | None:
        """Place what is staged of a task, over no other file; None where nothing of use is.

        Raises PlacementFailed, TemplateInvalid.
        """
        task, request = session.task, request_of(session)
        if request.is_noop or not self._store.staging(task).is_dir():
            return None
        match request.payload:
            case Kind.TORRENT:
                found = self._torrents.in_part(task, request)
            case Kind.METALINK:
                found = kept_of_parts(self._store, task, self._metalinks.of(task))
            case _:
                found = []
        if not found:
            return self._keep_file(session)
        used = sum(_came(self._store.staging(task) / one.source) for one in found)
        folder = _beside(self._final(session))
        placed = place_all(self._store, task, folder, found, seconds=0.0, attempt=session.row.attempt)
        return Kept(placed.path, used)

    def _keep_file(self, session: Session) -> Kept | None:
        """The one file, with aria2's control file beside it: without that nobody knows where it has holes."""
        task = session.task
        data, control = self._store.data(task), self._store.staging(task) / CONTROL_NAME
        has_holes = (data.parent / SPLIT_NAME).exists() and not control.exists()
        if not data.is_file() or has_holes or data.stat().st_nlink > 1 or not data.stat().st_size:
            return None
        used = _came(data)
        placed = self._store.place(
            task, _beside(self._final(session)), digest="", seconds=0.0, attempt=session.row.attempt
        )
        if control.exists():
            _move_beside(control, self._store.downloads / f"{placed.path}{CONTROL}")
        return Kept(placed.path, used)


def _came(path: Path) -> int:
    found = path.stat()
    return min(found.st_size, moving.used_bytes(found))


def _beside(final: PurePosixPath) -> PurePosixPath:
    return final.with_name(shortened(final.name, NAME_BYTES_MAX - len(PART + CONTROL)) + PART)


def _move_beside(control: Path, final: Path) -> None:
    """Leave it behind where another one has the name: the partial is kept all the same."""
    if os.path.lexists(final):
        return
    try:
        moving.moved(control, final)
    except OSError:  # another file system
        with suppress(PlacementFailed):
            moving.copied(control, final)
