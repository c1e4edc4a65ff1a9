"""A folder below the download folder that is another file system: a real tmpfs, and a real bind mount."""

import os
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from node import moving
from node.files import Placed, Store
from node.moving import Modes, NameTaken
from node.placing_many import StagedFile, place_all
from schemas.request import STAGING_NAME, IfExists
from tests.harness.disks import SmallDisk, small_disk

TASK, OTHER = "00000000000000aa", "00000000000000bb"
NAME = PurePosixPath("mounted/new/f.iso")
BODY = b"whole" * 1000


class Crash(BaseException):
    """The process ends here."""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "downloads" / "mounted", "4m") as mounted:
        yield mounted


@pytest.fixture
def store(disk: SmallDisk) -> Store:
    return Store(disk.folder.parent)


def place(store: Store, task: str = TASK, if_exists: IfExists = IfExists.RENAME, body: bytes = BODY) -> Placed:
    store.prepare(task, split=False)
    if not store.data(task).exists():
        store.data(task).write_bytes(body)
    digest = f"sha-256={sha256(body).hexdigest()}"
    return store.place(task, NAME, digest=digest, seconds=1.0, attempt=1, if_exists=if_exists)


def stored(store: Store) -> dict[str, bytes]:
    """All there is below the mount point, hidden names included."""
    root = store.downloads / "mounted"
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_a_file_gets_its_place_on_another_file_system(disk: SmallDisk, tmp_path: Path) -> None:
    store = Store(disk.folder.parent, Modes.of("0604", "0705"))
    placed = place(store)
    final = store.downloads / placed.path
    assert final.stat().st_dev != store.downloads.stat().st_dev
    assert stored(store) == {"new/f.iso": BODY}, "nothing else is left there"
    assert (final.stat().st_mode & 0o777, final.parent.stat().st_mode & 0o777) == (0o604, 0o705)
    assert (store.journal(TASK), store.data(TASK).exists()) == (placed, False)
    assert store.sync_names([placed]) == {}
    assert store.unplace(TASK)
    assert stored(store) == {}


def test_a_folder_mounted_from_the_same_file_system_is_served_too(tmp_path: Path, disk: SmallDisk) -> None:
    """The device is the same, but no second name can be given across."""
    folder = disk.folder / "downloads" / "mounted"
    (disk.folder / "elsewhere").mkdir()
    folder.mkdir(parents=True)
    bound = SmallDisk(disk.folder / "elsewhere")
    bound.bind(folder)
    try:
        store = Store(disk.folder / "downloads")
        placed = place(store)
        assert (disk.folder / "elsewhere" / "new" / "f.iso").read_bytes() == BODY
        assert store.journal(TASK) == placed
    finally:
        bound.unbind(folder)


@pytest.mark.parametrize("if_exists", IfExists)
def test_what_lies_there_is_treated_as_asked_on_another_file_system_too(store: Store, if_exists: IfExists) -> None:
    place(store, OTHER)
    if if_exists is IfExists.FAIL:
        with pytest.raises(NameTaken):
            place(store, TASK, if_exists)
        store.wipe(TASK)
    else:
        place(store, TASK, if_exists)
    names = {"new/f.iso", "new/f.1.iso"} if if_exists is IfExists.RENAME else {"new/f.iso"}
    assert set(stored(store)) == names
    assert not store.data(TASK).exists()


STEPS = [
    (Path, "write_text", False),
    (Path, "write_text", True),
    (moving, "copied", True),
    (Store, "_write_journal", True),
    (moving, "moved", True),
    (Path, "unlink", False),
]


@pytest.mark.parametrize("ends", ["goes on here", "is wiped"])
@pytest.mark.parametrize(("owner", "name", "after"), STEPS)
def test_a_crash_at_any_step_leaves_one_file_and_no_litter(
    store: Store, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, after: bool, ends: str
) -> None:
    crash(monkeypatch, owner, name, after, lambda: place(store))
    restarted = Store(store.downloads)
    was_placed = restarted.journal(TASK) is not None
    if ends == "goes on here":
        assert place(restarted).path == str(NAME)
        assert stored(restarted) == {"new/f.iso": BODY}
    restarted.wipe(TASK)
    expected = {"new/f.iso"} if was_placed or ends == "goes on here" else set()
    assert set(stored(restarted)) == expected
    assert not (restarted.downloads / STAGING_NAME / TASK).exists()


def crash(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, after: bool, what: Callable[[], object]) -> None:
    """Do it, and crash in place of `owner.name`, or just after it, once it is about the other file system."""
    import node.files

    real: Callable[..., Any] = getattr(owner, name)

    def crashing(*args: Any, **kwargs: Any) -> Any:
        copies = (args[0].downloads / "mounted").rglob(".downdraft-*") if name == "_write_journal" else ()
        is_about = name in ("write_text", "copied") or any(f"{STAGING_NAME}-" in str(one) for one in (*args, *copies))
        if not is_about:
            return real(*args, **kwargs)
        if after:
            real(*args, **kwargs)
        raise Crash

    with monkeypatch.context() as patched:
        patched.setattr(owner, name, crashing)
        if owner is moving and name == "moved":
            patched.setattr(node.files, name, crashing)
        with pytest.raises(Crash):
            what()


def test_a_full_disk_there_leaves_the_staged_file_and_no_litter(store: Store) -> None:
    body = os.urandom(6 << 20)
    with pytest.raises(OSError, match="No space left"):
        place(store, body=body)
    assert store.data(TASK).stat().st_size == len(body)
    store.wipe(TASK)
    assert stored(store) == {}


def place_folder(store: Store) -> Placed:
    staged = store.expect(TASK) / "payload"
    if not staged.exists():
        (staged / "sub").mkdir(parents=True)
        (staged / "a").write_bytes(b"first")
        (staged / "sub" / "b").write_bytes(b"second")
    files = [StagedFile("payload/a", "a", ""), StagedFile("payload/sub/b", "sub/b", "")]
    return place_all(store, TASK, PurePosixPath("mounted/suite"), files, seconds=1, attempt=1)


@pytest.mark.parametrize("dies", [False, True])
def test_several_files_get_their_place_on_another_file_system_also_after_a_crash(
    store: Store, monkeypatch: pytest.MonkeyPatch, dies: bool
) -> None:
    if dies:
        from node import placing_many

        def crash(*_: Any, **__: Any) -> None:
            raise Crash

        with monkeypatch.context() as patched:
            patched.setattr(placing_many, "_as_it_lies", crash)
            with pytest.raises(Crash):
                place_folder(store)
        with monkeypatch.context() as patched:
            patched.setattr(placing_many, "let_go", crash)
            with pytest.raises(Crash):
                place_folder(store)
    placed = place_folder(store)
    assert stored(store) == {"suite/a": b"first", "suite/sub/b": b"second"}
    assert Store(store.downloads).journal(TASK) == placed
    assert store.unplace(TASK)
    assert stored(store) == {}
