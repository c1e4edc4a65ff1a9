"""Several files of one task on a real disk: placed together, with a crash at every step, and deleted together."""

import os
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from node import placing_many
from node.files import Placed, Store
from node.moving import Modes, NameTaken, PlacementFailed
from node.placing_many import PLAN_NAME, TREE_NAME, StagedFile, place_again, place_all
from schemas.request import STAGING_NAME, IfExists

TASK, OTHER = "00000000000000aa", "00000000000000bb"
SUITE = PurePosixPath("images/suite")
FILES = {"a.iso": b"first", "docs/b.txt": b"second", "docs/deep/c": b""}
WHOLE = {f"images/suite/{path}": body for path, body in FILES.items()}


class Crash(BaseException):
    """The process ends here."""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "downloads")


def stage(store: Store, task: str = TASK) -> list[StagedFile]:
    """As a download of several files leaves them, beside something that was not asked for."""
    folder = store.staging(task) / "payload"
    for path, body in FILES.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(body)
    (folder / "not-selected").write_bytes(b"a piece")
    return [StagedFile(f"payload/{path}", path, f"sha-256={number:02}") for number, path in enumerate(FILES)]


def place(store: Store, task: str = TASK, folder: PurePosixPath = SUITE) -> Placed:
    return place_all(store, task, folder, stage(store, task), seconds=1.5, attempt=2)


def visible(store: Store) -> dict[str, bytes]:
    """What a user sees in the download folder."""
    found = (path for path in store.downloads.rglob("*") if path.is_file())
    relative = {path.relative_to(store.downloads).as_posix(): path.read_bytes() for path in found}
    return {path: body for path, body in relative.items() if not path.startswith(STAGING_NAME)}


def test_all_files_get_their_places_in_one_folder_and_nothing_else_does(store: Store) -> None:
    placed = place(store)
    assert (placed.path, placed.bytes, placed.digest, placed.attempt) == ("images/suite", 11, "", 2)
    told = [(one.path, one.bytes, one.digest) for one in placed.files]
    assert told == [("a.iso", 5, "sha-256=00"), ("docs/b.txt", 6, "sha-256=01"), ("docs/deep/c", 0, "sha-256=02")]
    assert visible(store) == WHOLE
    assert Store(store.downloads).journal(TASK) == placed
    assert store.sync_names([placed]) == {}


def test_the_name_is_taken_as_a_whole_or_another_one_is(store: Store) -> None:
    (store.downloads / "images" / "suite-24.04").mkdir(parents=True)
    (store.downloads / "images" / "suite-24.04.1").symlink_to("nowhere")
    placed = place(store, folder=PurePosixPath("images/suite-24.04"))
    assert placed.path == "images/suite-24.04.2"
    assert visible(store) == {f"images/suite-24.04.2/{path}": body for path, body in FILES.items()}


def test_a_folder_into_which_somebody_puts_a_file_just_now_is_left_alone(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    real: Callable[..., Any] = placing_many._reserve

    def outrun(final: Path) -> bool:
        taken = bool(real(final))
        if final.name == "suite":
            (final / "theirs").write_bytes(b"theirs")
        return taken

    monkeypatch.setattr(placing_many, "_reserve", outrun)
    assert place(store).path == "images/suite.1"
    assert visible(store)["images/suite/theirs"] == b"theirs"


@pytest.mark.parametrize("path", ["../x", "a/../../x", "/etc/x", "..", "link/x", "link/new/x", f"{STAGING_NAME}/x"])
def test_nothing_is_placed_outside_the_download_folder_or_among_the_unfinished(store: Store, path: str) -> None:
    outside = store.downloads.parent / "outside"
    outside.mkdir()
    (store.downloads / "link").symlink_to(outside)
    with pytest.raises(PlacementFailed, match=r"outside the download folder|among the unfinished"):
        place(store, folder=PurePosixPath(path))
    assert visible(store) == {}
    assert not list(outside.iterdir())


@pytest.mark.parametrize("path", ["../x", "/etc/x", "a/../../x", ""])
def test_no_file_leaves_the_folder_of_its_task(store: Store, path: str) -> None:
    stage(store)
    with pytest.raises(PlacementFailed, match="outside"):
        place_all(store, TASK, SUITE, [StagedFile("payload/a.iso", path, "")], seconds=1, attempt=1)
    assert visible(store) == {}


def test_a_link_among_what_was_downloaded_is_not_placed(store: Store, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("not ours")
    files = stage(store)
    (store.staging(TASK) / "payload/a.iso").unlink()
    (store.staging(TASK) / "payload/a.iso").symlink_to(tmp_path / "secret")
    with pytest.raises(PlacementFailed, match="is no plain file"):
        place_all(store, TASK, SUITE, files, seconds=1, attempt=1)


CRASHES: list[tuple[Any, str, bool, int]] = [
    (owner, name, after, nth)
    for owner, name, count in (
        (placing_many, "_write", 2),
        (Path, "replace", 5),
        (placing_many, "sync", 6),
        (placing_many, "_reserve", 1),
        (Path, "rename", 1),
        (Path, "unlink", 1),
    )
    for after in (False, True)
    for nth in range(1, count + 1)
]


@pytest.mark.parametrize(("owner", "name", "after", "nth"), CRASHES)
def test_a_crash_at_any_step_leaves_all_files_to_be_placed_together(
    store: Store, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, after: bool, nth: int
) -> None:
    real: Callable[..., Any] = getattr(owner, name)
    calls = 0

    def crashing(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls < nth:
            return real(*args, **kwargs)
        if after:
            real(*args, **kwargs)
        raise Crash

    files = stage(store)
    with monkeypatch.context() as patched:
        patched.setattr(owner, name, crashing)
        with pytest.raises(Crash):
            place_all(store, TASK, SUITE, files, seconds=1.5, attempt=2)

    assert visible(store) in ({}, WHOLE), "all or nothing"
    restarted = Store(store.downloads)
    found = place_again(restarted, TASK)
    if found is None:  # nothing had been moved
        found = place_all(restarted, TASK, SUITE, files, seconds=1.5, attempt=2)
    assert visible(restarted) == {f"{found.path}/{path}": body for path, body in FILES.items()}
    assert restarted.journal(TASK) == found == place_again(restarted, TASK)
    # A name that was taken before that could be written down is lost, and nothing else.
    assert found.path == "images/suite" or (name, after) in {("_reserve", True), ("_write", False), ("replace", False)}


def test_what_was_never_about_to_be_placed_is_not(store: Store) -> None:
    stage(store)
    assert place_again(store, TASK) is None


def test_a_plan_of_which_files_are_gone_counts_as_none(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    files = stage(store)
    with monkeypatch.context() as patched:
        patched.setattr(placing_many, "_carry_out", lambda *_: None)
        place_all(store, TASK, SUITE, files, seconds=1, attempt=1)
    assert (store.staging(TASK) / PLAN_NAME).exists()
    (store.staging(TASK) / "payload/docs/b.txt").unlink()
    assert place_again(store, TASK) is None


@pytest.mark.parametrize("spoil", ["delete", "rewrite", "exchange the folder"])
def test_a_folder_of_which_somebody_changed_a_file_is_not_claimed(store: Store, spoil: str) -> None:
    final = store.downloads / place(store).path
    match spoil:
        case "delete":
            (final / "docs/deep/c").unlink()
        case "rewrite":
            (final / "a.iso").write_bytes(b"FIRST")
            os.utime(final / "a.iso", ns=(0, 0))
        case _:
            final.rename(final.with_name("old"))
            final.mkdir()
    assert store.journal(TASK) is None
    assert place_again(store, TASK) is None


def test_what_others_put_into_the_folder_does_not_matter_and_stays(store: Store) -> None:
    placed = place(store)
    (store.downloads / placed.path / "docs/notes").write_bytes(b"mine")
    assert store.journal(TASK) == placed
    assert store.unplace(TASK)
    assert visible(store) == {"images/suite/docs/notes": b"mine"}


def test_unplacing_deletes_all_files_and_their_folder_and_no_other(store: Store) -> None:
    place(store)
    place(store, OTHER)
    assert store.unplace(TASK)
    assert {path.split("/")[1] for path in visible(store)} == {"suite.1"}
    assert not (store.downloads / "images/suite").exists()
    assert not store.unplace(TASK)


def test_unplacing_leaves_a_file_that_somebody_changed(store: Store) -> None:
    final = store.downloads / place(store).path
    (final / "a.iso").write_bytes(b"mine")
    assert store.unplace(TASK)
    assert visible(store) == {"images/suite/a.iso": b"mine"}


def test_unplacing_that_was_interrupted_is_finished_the_next_time(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    place(store)
    real = Path.unlink
    left = [0]

    def crashing(path: Path, **kwargs: Any) -> None:
        if path.name == "b.txt":
            left[0] += 1
            raise Crash
        real(path, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", crashing)
        with pytest.raises(Crash):
            store.unplace(TASK)
    assert visible(store)
    assert Store(store.downloads).unplace(TASK)
    assert visible(store) == {}


def test_files_kept_where_they_are_put_together_are_placed_from_there(store: Store) -> None:
    (store.staging(TASK) / TREE_NAME).mkdir(parents=True)
    (store.staging(TASK) / TREE_NAME / "a.iso").write_bytes(b"first")
    placed = place_all(store, TASK, SUITE, [StagedFile(f"{TREE_NAME}/a.iso", "a.iso", "")], seconds=1, attempt=1)
    assert visible(store) == {f"{placed.path}/a.iso": b"first"}


def test_partials_of_several_files_are_told_with_all_their_bytes(store: Store) -> None:
    folder = store.staging(TASK) / TREE_NAME / "deep"
    folder.mkdir(parents=True)
    (folder / "a").write_bytes(bytes(3 << 20))
    [partial] = store.partials()
    assert 3 << 20 <= partial.bytes < 4 << 20
    assert partial.touched == (folder / "a").stat().st_mtime


def test_a_folder_that_exists_is_refused_where_no_other_name_will_do(store: Store) -> None:
    (store.downloads / SUITE).mkdir(parents=True)
    files = stage(store)
    with pytest.raises(NameTaken, match="images/suite exists already"):
        place_all(store, TASK, SUITE, files, seconds=1.0, attempt=1, is_exact=True)


def test_modes_of_the_settings_hold_for_several_files_too(tmp_path: Path) -> None:
    store = Store(tmp_path / "downloads", Modes.of("0640", "0750"))
    place(store)
    found = {path: (store.downloads / path).stat().st_mode & 0o777 for path in ("images/suite", "images/suite/docs")}
    assert set(found.values()) == {0o750}
    assert (store.downloads / "images/suite/a.iso").stat().st_mode & 0o777 == 0o640


def test_a_folder_of_which_another_task_shares_a_file_stays(store: Store) -> None:
    store.expect(TASK)
    place(store)
    store.prepare(OTHER, split=False)
    store.data(OTHER).write_bytes(FILES["a.iso"])
    shared = store.place(OTHER, SUITE / "a.iso", digest="", seconds=1, attempt=1, if_exists=IfExists.SKIP_IF_SAME)
    assert (shared.path, shared.is_shared) == ("images/suite/a.iso", True)
    assert not store.unplace(TASK)
    assert visible(store) == WHOLE


def test_a_path_that_is_too_long_is_said_to_be(store: Store) -> None:
    with pytest.raises(PlacementFailed, match="too long"):
        place(store, folder=PurePosixPath(*["d" * 250] * 20))
