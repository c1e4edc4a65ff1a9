"""A file on its way: what is gone on from, what gets the final name, what is left behind."""

import errno
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from schemas.event import StoredFile
from tests.harness.fileservice import digest_of
from tools.fetching import NotFetched, place
from tools.getting import inner_target
from tools.partfile import CannotWrite, PartFile

BODY = b"0123456789"


@contextmanager
def part_of(target: Path, size: int = len(BODY)) -> Iterator[PartFile]:
    with closing(PartFile(target, size)) as part:
        while part.take_up():
            pass
        yield part


def test_what_is_kept_has_the_final_name_and_no_part_is_left(tmp_path: Path) -> None:
    with part_of(tmp_path / "f") as part:
        part.write(BODY)
        assert part.digest == digest_of(BODY)
        part.keep(force=False)
    assert [(one.name, one.read_bytes()) for one in tmp_path.iterdir()] == [("f", BODY)]


def test_an_unfinished_file_is_gone_on_from(tmp_path: Path) -> None:
    with part_of(tmp_path / "f") as part:
        part.write(BODY[:4])
    assert (tmp_path / "f.part").read_bytes() == BODY[:4]
    with part_of(tmp_path / "f") as part:
        assert part.done == 4
        part.write(BODY[4:])
        assert part.digest == digest_of(BODY)
        part.keep(force=False)
    assert (tmp_path / "f").read_bytes() == BODY


def test_what_is_longer_than_the_file_was_another_files(tmp_path: Path) -> None:
    (tmp_path / "f.part").write_bytes(BODY * 2)
    with part_of(tmp_path / "f") as part:
        assert part.done == 0


def test_starting_over_forgets_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "f.part").write_bytes(b"else")
    with part_of(tmp_path / "f") as part:
        part.start_over()
        part.write(BODY)
        assert part.digest == digest_of(BODY)
        part.keep(force=False)
    assert (tmp_path / "f").read_bytes() == BODY


def test_an_empty_part_is_not_left_behind(tmp_path: Path) -> None:
    with part_of(tmp_path / "f"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_another_file_is_overwritten_only_by_force(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"mine")
    with part_of(tmp_path / "f") as part:
        part.write(BODY)
        with pytest.raises(CannotWrite, match="--force"):
            part.keep(force=False)
        assert (tmp_path / "f").read_bytes() == b"mine"
        part.keep(force=True)
    assert (tmp_path / "f").read_bytes() == BODY


@pytest.mark.parametrize("exists", [False, True])
def test_without_hard_links_nothing_is_overwritten_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exists: bool
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    if exists:
        (tmp_path / "f").write_bytes(b"mine")
    with part_of(tmp_path / "f") as part:
        part.write(BODY)
        if exists:
            with pytest.raises(CannotWrite, match="--force"):
                part.keep(force=False)
        else:
            part.keep(force=False)
    assert (tmp_path / "f").read_bytes() == (b"mine" if exists else BODY)


def test_two_fetches_of_one_file_do_not_mix(tmp_path: Path) -> None:
    with part_of(tmp_path / "f"), pytest.raises(CannotWrite, match="another fetch"):
        PartFile(tmp_path / "f", 1)


def test_a_link_or_a_pipe_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "precious").write_bytes(b"mine")
    (tmp_path / "f.part").symlink_to("precious")
    with pytest.raises(CannotWrite):
        PartFile(tmp_path / "f", 1)
    os.mkfifo(tmp_path / "g.part")
    with pytest.raises(CannotWrite, match="no plain file"):
        PartFile(tmp_path / "g", 1)
    assert (tmp_path / "precious").read_bytes() == b"mine"


def test_a_name_of_the_longest_kind_has_room_for_its_part(tmp_path: Path) -> None:
    with part_of(tmp_path / ("é" * 127 + "a")) as part:
        part.write(BODY)
        part.keep(force=False)
    assert len(list(tmp_path.iterdir())) == 1


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CannotWrite, match=r"nowhere/f\.part"):
        PartFile(tmp_path / "nowhere" / "f", 1)


def test_a_file_goes_into_a_folder_or_under_the_name_that_was_chosen(tmp_path: Path) -> None:
    folder = str(tmp_path)
    assert place(folder, "a/b.iso") == tmp_path / "b.iso"
    assert place(f"{folder}/new/", "a/b.iso") == tmp_path / "new" / "b.iso"
    assert place(f"{folder}/c.iso", "a/b.iso") == tmp_path / "c.iso"


@pytest.mark.parametrize("path", ["", "/", "..", "a/..", "a/\0"])
def test_a_node_cannot_choose_where_a_file_goes(tmp_path: Path, path: str) -> None:
    with pytest.raises(NotFetched):
        place(str(tmp_path), path)


def test_a_file_of_several_keeps_its_place_in_their_folder(tmp_path: Path) -> None:
    assert inner_target(tmp_path, "images/suite", StoredFile("images/suite/a/b", 1, "")) == tmp_path / "a/b"


@pytest.mark.parametrize("path", ["elsewhere/b", "suite", "suite/../b", "suite/a/../../b", "/b", "suite/\0"])
def test_a_node_cannot_choose_where_one_of_several_files_goes(tmp_path: Path, path: str) -> None:
    with pytest.raises(NotFetched):
        inner_target(tmp_path, "suite", StoredFile(path, 1, ""))
