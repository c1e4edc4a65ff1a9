"""Staging and placing on a real disk, with a crash at every step of the move."""

import errno
import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from node import files
from node.files import CONTROL_NAME, DATA_NAME, JOURNAL_NAME, DownloadsUnusable, Placed, PlacementFailed, Store, digest
from node.trees import NAME_BYTES_MAX
from schemas.request import STAGING_NAME

TASK, OTHER = "00000000000000aa", "00000000000000bb"
ISO = PurePosixPath("images/debian.iso")


class Crash(BaseException):
    """The process ends here."""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "downloads")


def stage(store: Store, task: str = TASK, body: bytes = b"whole") -> Path:
    store.prepare(task, split=False)
    store.data(task).write_bytes(body)
    return store.data(task)


def place(store: Store, task: str = TASK, relative: PurePosixPath = ISO, attempt: int = 1) -> Placed:
    return store.place(task, relative, digest="sha-256=00", seconds=1.5, attempt=attempt)


def visible(store: Store) -> dict[str, bytes]:
    """What a user sees in the download folder."""
    found = (path for path in store.downloads.rglob("*") if path.is_file())
    relative = {path.relative_to(store.downloads).as_posix(): path.read_bytes() for path in found}
    return {path: body for path, body in relative.items() if not path.startswith(STAGING_NAME)}


def crash_while_placing(
    store: Store, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, after: bool = False
) -> None:
    """Place, and crash in place of `owner.name`, or just after it."""
    real: Callable[..., Any] = getattr(owner, name)

    def crashing(*args: Any, **kwargs: Any) -> Any:
        if after:
            real(*args, **kwargs)
        raise Crash

    with monkeypatch.context() as patched:
        patched.setattr(owner, name, crashing)
        with pytest.raises(Crash):
            place(store)


def test_a_staged_file_is_placed_under_its_name_and_leaves_staging(store: Store) -> None:
    staged = stage(store)
    placed = place(store)
    assert (placed.path, placed.bytes, placed.attempt) == ("images/debian.iso", 5, 1)
    assert visible(store) == {"images/debian.iso": b"whole"}
    assert not staged.exists()


def test_no_file_is_ever_overwritten(store: Store) -> None:
    (store.downloads / "debian.tar.gz").write_bytes(b"mine")
    for number, task in enumerate((TASK, OTHER)):
        stage(store, task, b"%d" % number)
        place(store, task, PurePosixPath("debian.tar.gz"))
    expected = {"debian.tar.gz": b"mine", "debian.tar.1.gz": b"0", "debian.tar.2.gz": b"1"}
    assert visible(store) == expected


def test_a_dangling_symlink_and_a_folder_count_as_files_in_the_way(store: Store) -> None:
    (store.downloads / "a").symlink_to(store.downloads / "nowhere")
    (store.downloads / "a.1").mkdir()
    stage(store)
    assert place(store, relative=PurePosixPath("a")).path == "a.2"


def test_a_name_taken_between_the_look_and_the_move_is_not_overwritten(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage(store)
    real = os.link

    def outrun(source: Path, target: Path) -> None:
        if target.name == "debian.iso":
            target.write_bytes(b"theirs")
        real(source, target)

    monkeypatch.setattr(os, "link", outrun)
    assert place(store).path == "images/debian.1.iso"
    assert visible(store) == {"images/debian.iso": b"theirs", "images/debian.1.iso": b"whole"}


def test_a_numbered_name_stays_short_enough_for_the_file_system(store: Store) -> None:
    name = "ü" * 125 + ".iso"
    for task in (TASK, OTHER):
        stage(store, task)
        place(store, task, PurePosixPath(name))
    second = next(path for path in visible(store) if path != name)
    assert second.endswith("ü.1.iso")
    assert len(second.encode()) <= NAME_BYTES_MAX


def test_a_name_that_too_many_files_share_is_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "NAMES_MAX", 2)
    for name in ("a", "a.1"):
        (store.downloads / name).touch()
    stage(store)
    with pytest.raises(PlacementFailed, match="called like a already"):
        place(store, relative=PurePosixPath("a"))


@pytest.mark.parametrize("path", ["../x", "a/../../x", "/etc/x", "..", ".", "link/x", "link/new/x"])
def test_nothing_is_placed_outside_the_download_folder(store: Store, path: str) -> None:
    outside = store.downloads.parent / "outside"
    outside.mkdir()
    (store.downloads / "link").symlink_to(outside)
    staged = stage(store)
    with pytest.raises(PlacementFailed, match="outside the download folder"):
        place(store, relative=PurePosixPath(path))
    assert staged.exists()
    assert not list(outside.iterdir())


def test_nothing_is_placed_among_unfinished_downloads(store: Store) -> None:
    stage(store)
    (store.downloads / "sly").symlink_to(store.downloads / STAGING_NAME)
    for path in (f"{STAGING_NAME}/x", "sly/x"):
        with pytest.raises(PlacementFailed, match="among the unfinished"):
            place(store, relative=PurePosixPath(path))


def test_a_file_where_a_folder_should_be_is_said_in_words(store: Store) -> None:
    (store.downloads / "images").write_bytes(b"a file")
    stage(store)
    with pytest.raises(PlacementFailed, match="a file lies where its folder should be"):
        place(store)


def test_the_journal_tells_of_a_placed_file_until_it_is_wiped(store: Store) -> None:
    stage(store)
    placed = place(store)
    assert Store(store.downloads).journal(TASK) == placed
    store.wipe(TASK)
    assert store.journal(TASK) is None
    assert visible(store) == {"images/debian.iso": b"whole"}


def test_placing_again_keeps_the_file_and_its_first_record(store: Store) -> None:
    stage(store)
    first = place(store)
    assert place(store, attempt=2) == first
    assert visible(store) == {"images/debian.iso": b"whole"}


@pytest.mark.parametrize(
    ("owner", "name", "after", "is_placed"),
    [
        (Store, "_write_journal", False, False),
        (Store, "_write_journal", True, False),
        (os, "link", False, False),
        (os, "link", True, True),
        (Path, "unlink", False, True),
        (Path, "unlink", True, True),
    ],
)
def test_a_crash_at_any_step_of_the_move_leaves_one_whole_file_to_be_found(
    store: Store, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, after: bool, is_placed: bool
) -> None:
    stage(store)
    crash_while_placing(store, monkeypatch, owner, name, after)

    restarted = Store(store.downloads)
    assert (restarted.journal(TASK) is not None) == is_placed
    assert place(restarted).path == "images/debian.iso"
    assert visible(restarted) == {"images/debian.iso": b"whole"}
    assert not restarted.data(TASK).exists()


def test_a_file_of_another_task_at_the_journalled_path_is_not_claimed(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage(store, body=b"whole")
    crash_while_placing(store, monkeypatch, os, "link")
    stage(store, OTHER, b"other")
    place(store, OTHER)

    assert store.journal(TASK) is None
    assert place(store).path == "images/debian.1.iso"
    assert visible(store) == {"images/debian.iso": b"other", "images/debian.1.iso": b"whole"}


@pytest.mark.parametrize("spoil", ["delete", "truncate", "rewrite", "exchange"])
def test_a_placed_file_that_somebody_changed_is_not_claimed(store: Store, spoil: str) -> None:
    stage(store)
    final = store.downloads / place(store).path
    match spoil:
        case "delete":
            final.unlink()
        case "truncate":
            os.truncate(final, 2)
        case "rewrite":
            final.write_bytes(b"WHOLE")
            os.utime(final, ns=(0, 0))
        case "exchange":
            shutil.copy2(final, final.with_name("copy"))
            final.with_name("copy").replace(final)
    assert store.journal(TASK) is None


@pytest.mark.parametrize("body", [b"", b"{", b"{}", b'{"path": 3}'])
def test_a_torn_journal_counts_as_none(store: Store, body: bytes) -> None:
    stage(store)
    (store.staging(TASK) / JOURNAL_NAME).write_bytes(body)
    assert store.journal(TASK) is None


@pytest.mark.parametrize("code", [errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP])
def test_a_file_system_without_hard_links_is_served_too(
    store: Store, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refusing(source: Path, target: Path) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "link", refusing)
    (store.downloads / "a").write_bytes(b"mine")
    stage(store)
    placed = place(store, relative=PurePosixPath("a"))
    assert visible(store) == {"a": b"mine", "a.1": b"whole"}
    assert store.journal(TASK) == placed


def test_without_hard_links_a_name_taken_meanwhile_is_not_overwritten_either(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def outrun(source: Path, target: Path) -> None:
        if target.name == "a":
            target.write_bytes(b"theirs")
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", outrun)
    stage(store)
    place(store, relative=PurePosixPath("a"))
    assert visible(store) == {"a": b"theirs", "a.1": b"whole"}


def test_a_full_disk_is_not_mistaken_for_a_file_system_without_links(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusing(source: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "link", refusing)
    staged = stage(store)
    with pytest.raises(OSError, match="full"):
        place(store)
    assert staged.exists()


def test_unplacing_deletes_our_file_and_no_other(store: Store) -> None:
    stage(store)
    place(store)
    stage(store, OTHER)
    place(store, OTHER)
    assert store.unplace(TASK)
    assert set(visible(store)) == {"images/debian.1.iso"}
    assert not store.unplace(TASK)


def test_a_partial_without_its_control_file_is_deleted_before_a_split_download(store: Store) -> None:
    staged = stage(store)
    store.prepare(TASK, split=True)
    assert not staged.exists()


def test_a_partial_with_its_control_file_is_kept_for_a_split_download(store: Store) -> None:
    staged = stage(store)
    staged.with_name(CONTROL_NAME).write_bytes(b"control")
    store.prepare(TASK, split=True)
    assert staged.read_bytes() == b"whole"


def test_a_partial_is_kept_for_a_download_by_one_connection(store: Store) -> None:
    staged = stage(store)
    store.prepare(TASK, split=False)
    assert staged.read_bytes() == b"whole"


def test_a_partial_of_several_connections_is_not_continued_by_one_without_its_control_file(store: Store) -> None:
    store.prepare(TASK, split=True)
    store.data(TASK).write_bytes(b"with holes")
    store.prepare(TASK, split=False)
    assert not store.data(TASK).exists()


def test_a_control_file_without_data_is_deleted(store: Store) -> None:
    store.prepare(TASK, split=True)
    control = store.staging(TASK) / CONTROL_NAME
    control.write_bytes(b"control")
    store.prepare(TASK, split=True)
    assert not control.exists()


def test_preparing_never_leaves_a_placed_file_open_to_be_written_on(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage(store)
    crash_while_placing(store, monkeypatch, os, "link", after=True)
    store.prepare(TASK, split=False)
    assert not store.data(TASK).exists()
    assert visible(store) == {"images/debian.iso": b"whole"}


def test_a_digest_and_the_asked_checksum_come_from_one_reading(tmp_path: Path) -> None:
    body = os.urandom((1 << 20) + 7)
    path = tmp_path / "body"
    path.write_bytes(body)
    ours = f"sha-256={hashlib.sha256(body).hexdigest()}"
    assert digest(path, None) == (ours, True)
    assert digest(path, ours.upper().replace("SHA", "sha")) == (ours, True)
    for kind in ("md5", "sha-1", "sha-224", "sha-384", "sha-512"):
        right = hashlib.new(kind.replace("-", ""), body).hexdigest()
        assert digest(path, f"{kind}={right}") == (ours, True)
        assert digest(path, f"{kind}={right[:-1]}x") == (ours, False)


def test_partials_are_told_with_the_bytes_they_take(store: Store) -> None:
    stage(store, body=bytes(3 << 20))
    stage(store, OTHER)
    (store.staging(TASK).parent / "notes").mkdir()
    first, second = store.partials()
    assert (first.task, second.task) == (TASK, OTHER)
    assert 3 << 20 <= first.bytes < 4 << 20
    assert not first.is_journalled


def test_a_file_that_still_grows_counts_as_touched_whatever_its_folder_says(store: Store) -> None:
    staged = stage(store)
    os.utime(staged.parent, (0, 0))
    [partial] = store.partials()
    assert partial.touched == staged.stat().st_mtime


def test_a_placed_file_whose_journal_is_left_takes_no_room_in_staging(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage(store, body=bytes(3 << 20))
    crash_while_placing(store, monkeypatch, os, "link", after=True)
    [partial] = store.partials()
    assert partial.is_journalled
    assert partial.bytes < 1 << 20, "deleting it would win nothing: its bytes are the finished file's"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_whole_file_is_placed_on_a_full_disk_too(store: Store, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """The second name takes no room; only its journal would."""

    def full(*_: Any) -> None:
        raise OSError(code, os.strerror(code))

    stage(store)
    monkeypatch.setattr(Store, "_write_journal", full)
    assert place(store).path == "images/debian.iso"
    assert visible(store) == {"images/debian.iso": b"whole"}


def test_a_download_folder_that_cannot_be_made_is_said_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DownloadsUnusable, match="can't be used: Not a directory; mount its disk or give the rights"):
        Store(tmp_path / "file" / "downloads")


@pytest.mark.parametrize("task", ["..", "", "a/b", "AA000000000000AA", "00000000000000aa\n"])
def test_only_a_task_id_names_a_staging_folder(store: Store, task: str) -> None:
    with pytest.raises(ValueError, match="not a task id"):
        store.wipe(task)


def test_aria2_writes_where_placing_looks(store: Store) -> None:
    assert store.data(TASK) == store.staging(TASK) / DATA_NAME
