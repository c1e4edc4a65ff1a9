"""What an outcome tells of the files of a folder."""

from node.files import Placed
from node.reporter import FILES_BYTES_MAX, told_files
from node.trees import PlacedFile
from schemas import codec
from schemas.event import FILES_MAX, StoredFile

DIGEST = f"sha-256={'0' * 64}"


def a_folder(count: int, name: str = "f") -> Placed:
    files = tuple(PlacedFile(f"{name}{number}", 1, DIGEST, 1, 1) for number in range(count))
    return Placed(path="d", bytes=count, digest="", seconds=1, attempt=1, inode=1, modified_ns=0, files=files)


def test_each_file_is_told_by_its_path_in_the_download_folder() -> None:
    assert told_files(a_folder(2)) == (StoredFile("d/f0", 1, DIGEST), StoredFile("d/f1", 1, DIGEST))


def test_of_very_many_files_the_first_are_told() -> None:
    assert len(told_files(a_folder(FILES_MAX + 1))) == FILES_MAX


def test_of_files_with_very_long_names_no_more_are_told_than_a_message_takes() -> None:
    told = told_files(a_folder(FILES_MAX, name="x" * 1000))
    assert 0 < len(told) < FILES_MAX
    assert len(codec.encode(told)) <= FILES_BYTES_MAX
