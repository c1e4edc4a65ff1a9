"""What `if_exists` makes of a name that is taken, whose file is whose, and a crash at each step."""

import os
import threading
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from node.files import Placed, Store
from node.moving import Modes, NameTaken, PlacementFailed
from schemas.request import STAGING_NAME, IfExists

TASK, OTHER, THIRD = "00000000000000aa", "00000000000000bb", "00000000000000cc"
NAME = PurePosixPath("images/debian.iso")
SECOND = "images/debian.1.iso"


class Crash(BaseException):
    """The process ends here."""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "downloads")


def digest(body: bytes) -> str:
    return f"sha-256={sha256(body).hexdigest()}"


def place(
    store: Store, task: str = TASK, if_exists: IfExists = IfExists.RENAME, body: bytes = b"whole", path: Any = NAME
) -> Placed:
    """Stage a file, unless one is staged, and place it."""
    if not store.data(task).exists():
        store.prepare(task, split=False)
        store.expect(task)
        store.data(task).write_bytes(body)
    return store.place(task, path, digest=digest(body), seconds=1.0, attempt=1, if_exists=if_exists)


def visible(store: Store) -> dict[str, bytes]:
    found = (path for path in store.downloads.rglob("*") if path.is_file() or path.is_symlink())
    relative = {path.relative_to(store.downloads).as_posix(): path.read_bytes() for path in found}
    return {path: body for path, body in relative.items() if not path.startswith(STAGING_NAME)}


def test_overwriting_replaces_the_file_in_one_step(store: Store) -> None:
    place(store, OTHER, body=b"old")
    placed = place(store, TASK, IfExists.OVERWRITE, b"new")
    assert placed.path == str(NAME)
    assert visible(store) == {str(NAME): b"new"}
    assert store.journal(TASK) == placed
    assert not store.data(TASK).exists()


def test_overwriting_where_nothing_lies_just_stores(store: Store) -> None:
    assert place(store, TASK, IfExists.OVERWRITE).path == str(NAME)
    assert visible(store) == {str(NAME): b"whole"}


def test_overwriting_never_replaces_a_folder(store: Store) -> None:
    (store.downloads / NAME / "inside").mkdir(parents=True)
    with pytest.raises(PlacementFailed, match="it is a folder"):
        place(store, TASK, IfExists.OVERWRITE)
    assert store.data(TASK).exists()


def test_overwriting_replaces_a_link_and_not_what_it_leads_to(store: Store, tmp_path: Path) -> None:
    (tmp_path / "outside").write_bytes(b"mine")
    (store.downloads / "a").symlink_to(tmp_path / "outside")
    place(store, TASK, IfExists.OVERWRITE, path=PurePosixPath("a"))
    assert (tmp_path / "outside").read_bytes() == b"mine"
    assert not (store.downloads / "a").is_symlink()


def test_a_task_whose_file_was_overwritten_deletes_nothing(store: Store) -> None:
    place(store, OTHER, body=b"old")
    place(store, TASK, IfExists.OVERWRITE, b"new")
    assert not store.unplace(OTHER)
    assert visible(store) == {str(NAME): b"new"}


@pytest.mark.parametrize(
    ("owner", "name", "after", "is_placed"),
    [
        (Store, "_write_journal", False, False),
        (Store, "_write_journal", True, False),
        (Path, "replace", False, False),
        (Path, "replace", True, True),
        (Path, "unlink", False, True),
    ],
)
def test_a_crash_at_any_step_of_overwriting_leaves_the_old_file_or_the_new_one(
    store: Store, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, after: bool, is_placed: bool
) -> None:
    place(store, OTHER, body=b"old")
    store.wipe(OTHER)
    store.prepare(TASK, split=False)
    store.data(TASK).write_bytes(b"new")
    crash(monkeypatch, owner, name, after, lambda: place(store, TASK, IfExists.OVERWRITE, b"new"))
    restarted = Store(store.downloads)
    assert visible(restarted) == {str(NAME): b"new" if is_placed else b"old"}
    assert (restarted.journal(TASK) is not None) is is_placed
    if not is_placed:
        place(restarted, TASK, IfExists.OVERWRITE, b"new")
    assert visible(restarted) == {str(NAME): b"new"}


def crash(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, after: bool, what: Callable[[], object]) -> None:
    """Do it, and crash in place of `owner.name`, or just after it."""
    real: Callable[..., Any] = getattr(owner, name)

    def crashing(*args: Any, **kwargs: Any) -> Any:
        if after:
            real(*args, **kwargs)
        raise Crash

    with monkeypatch.context() as patched:
        patched.setattr(owner, name, crashing)
        with pytest.raises(Crash):
            what()


def test_failing_leaves_both_files_where_they_are(store: Store) -> None:
    place(store, OTHER, body=b"old")
    with pytest.raises(NameTaken, match=r"images/debian\.iso exists already"):
        place(store, TASK, IfExists.FAIL, b"new")
    assert visible(store) == {str(NAME): b"old"}
    assert store.journal(TASK) is None


def test_a_task_that_is_to_fail_finds_its_own_file_after_a_crash(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    crash(monkeypatch, os, "link", True, lambda: place(store, TASK, IfExists.FAIL))
    restarted = Store(store.downloads)
    assert restarted.journal(TASK) is not None
    assert place(restarted, TASK, IfExists.FAIL).path == str(NAME)


def test_failing_is_certain_though_the_name_is_taken_at_the_last_moment(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.link

    def outrun(source: Path, target: Path) -> None:
        target.write_bytes(b"theirs")
        real(source, target)

    monkeypatch.setattr(os, "link", outrun)
    with pytest.raises(NameTaken):
        place(store, TASK, IfExists.FAIL)
    assert visible(store) == {str(NAME): b"theirs"}


@pytest.mark.parametrize("path", ["images/debian.iso", "nothing/here"])
def test_whether_a_name_is_taken_is_known_before(store: Store, path: str) -> None:
    place(store)
    assert store.is_taken(PurePosixPath(path)) is (path == str(NAME))


def test_the_same_content_is_not_stored_twice(store: Store) -> None:
    first = place(store, OTHER)
    placed = place(store, TASK, IfExists.SKIP_IF_SAME)
    assert (placed.path, placed.inode, placed.is_shared) == (str(NAME), first.inode, True)
    assert visible(store) == {str(NAME): b"whole"}
    assert not store.data(TASK).exists()
    assert store.journal(TASK) == placed


@pytest.mark.parametrize("there", [b"other", b"longer than that"])
def test_another_content_is_stored_beside_the_one_that_lies_there(store: Store, there: bytes) -> None:
    place(store, OTHER, body=there)
    placed = place(store, TASK, IfExists.SKIP_IF_SAME)
    assert (placed.path, placed.is_shared) == (SECOND, False)
    again = place(store, THIRD, IfExists.SKIP_IF_SAME)
    assert (again.path, again.is_shared) == (SECOND, True), "the second name is compared, too"
    assert visible(store) == {str(NAME): there, SECOND: b"whole"}


def test_a_link_to_the_same_content_is_not_taken_for_a_file(store: Store, tmp_path: Path) -> None:
    (tmp_path / "outside").write_bytes(b"whole")
    (store.downloads / "a").symlink_to(tmp_path / "outside")
    path = PurePosixPath("a")
    assert store.same(path, None, digest(b"whole"), 1) is None
    assert place(store, TASK, IfExists.SKIP_IF_SAME, path=path).path == "a.1"


def test_a_task_that_stored_nothing_deletes_nothing(store: Store) -> None:
    place(store, OTHER)
    place(store, TASK, IfExists.SKIP_IF_SAME)
    assert not store.unplace(TASK)
    assert visible(store) == {str(NAME): b"whole"}


@pytest.mark.parametrize("before", [True, False], ids=["before the download", "after it"])
def test_a_file_with_which_another_task_completed_stays(store: Store, before: bool) -> None:
    place(store, OTHER)
    if before:
        shared = store.same(NAME, 5, digest(b"whole"), attempt=2)
        assert shared is not None
        assert (shared.path, shared.bytes, shared.digest, shared.attempt) == (str(NAME), 5, digest(b"whole"), 2)
    else:
        place(store, TASK, IfExists.SKIP_IF_SAME)
    restarted = Store(store.downloads)
    assert not restarted.unplace(OTHER), "another attempt's outcome was first, but the file is in use by now"
    assert visible(restarted) == {str(NAME): b"whole"}
    assert restarted.is_fresh(OTHER)


@pytest.mark.parametrize(
    ("size", "checksum"), [(4, digest(b"whole")), (None, digest(b"other")), (5, "md5=" + "0" * 32)]
)
def test_what_is_not_the_same_is_downloaded(store: Store, size: int | None, checksum: str) -> None:
    place(store, OTHER)
    assert store.same(NAME, size, checksum, 1) is None
    assert store.same(PurePosixPath("nothing/here"), None, checksum, 1) is None


def test_a_crash_while_completing_with_the_same_file_loses_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for after in (False, True):
        place(store, OTHER)
        crash(monkeypatch, Store, "_write_journal", after, lambda: place(store, TASK, IfExists.SKIP_IF_SAME))
        assert (Store(store.downloads).journal(TASK) is not None) is after
    assert place(store, TASK, IfExists.SKIP_IF_SAME).is_shared
    assert visible(store) == {str(NAME): b"whole"}


@pytest.mark.parametrize("if_exists", IfExists)
def test_tasks_that_race_for_a_name_keep_to_what_was_asked(store: Store, if_exists: IfExists) -> None:
    tasks = [f"{number:016x}" for number in range(1, 17)]
    bodies = {task: b"same" if if_exists is IfExists.SKIP_IF_SAME else task.encode() for task in tasks}
    for task in tasks:
        store.prepare(task, split=False)
        store.expect(task)
        store.data(task).write_bytes(bodies[task])
    gate, done, refused = threading.Barrier(len(tasks)), dict[str, Placed](), list[str]()

    def work(task: str) -> None:
        gate.wait()
        try:
            done[task] = place(store, task, if_exists, bodies[task])
        except NameTaken:
            refused.append(task)

    threads = [threading.Thread(target=work, args=[task]) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stored = visible(store)
    assert len(done) + len(refused) == len(tasks)
    match if_exists:
        case IfExists.RENAME:
            assert {task: stored[placed.path] for task, placed in done.items()} == bodies
        case IfExists.OVERWRITE | IfExists.SKIP_IF_SAME:
            assert set(stored) == {str(NAME)}
        case IfExists.FAIL:
            assert (len(stored), len(done)) == (1, 1)
    # All but one of them came second: only what is a task's own goes.
    for task in tasks[1:]:
        store.unplace(task)
    left = visible(store)
    kept = [task for task in tasks[:1] if if_exists is IfExists.RENAME]
    assert all(left[done[task].path] == bodies[task] for task in kept)
    if if_exists is IfExists.SKIP_IF_SAME:
        assert left == {str(NAME): b"same"}


def test_modes_are_those_of_the_settings(tmp_path: Path) -> None:
    store = Store(tmp_path / "downloads", Modes.of("0640", "0751"))
    placed = place(store, path=PurePosixPath("a/b/c"))
    final = store.downloads / placed.path
    assert final.stat().st_mode & 0o777 == 0o640
    assert {folder.stat().st_mode & 0o777 for folder in (final.parent, final.parent.parent)} == {0o751}
    assert Modes.of("", "") == Modes(None, None)


def test_a_path_that_is_too_long_for_the_file_system_is_said_in_words(store: Store) -> None:
    long = PurePosixPath(*(["x" * 250] * 20))
    with pytest.raises(PlacementFailed, match="too long for the file system"):
        place(store, path=long)
    with pytest.raises(PlacementFailed, match="too long"):
        place(store, path=PurePosixPath("y" * 300))


@pytest.mark.parametrize("if_exists", IfExists)
def test_without_hard_links_the_same_is_kept_to(
    store: Store, monkeypatch: pytest.MonkeyPatch, if_exists: IfExists
) -> None:
    def refusing(source: Path, target: Path) -> None:
        raise PermissionError(1, "no links here")

    monkeypatch.setattr(os, "link", refusing)
    place(store, OTHER, body=b"old")
    if if_exists is IfExists.FAIL:
        with pytest.raises(NameTaken):
            place(store, TASK, if_exists)
    else:
        place(store, TASK, if_exists)
    over = if_exists is IfExists.OVERWRITE
    assert visible(store)[str(NAME)] == (b"whole" if over else b"old")


def test_a_name_that_only_looks_like_staging_is_refused_too(store: Store) -> None:
    with pytest.raises(PlacementFailed, match="among the unfinished"):
        place(store, path=PurePosixPath(f"{STAGING_NAME.upper()}/x"))
