"""The node's own state folder: where it can't be written, the node ends and says what to do."""

from pathlib import Path

import pytest

from node.lock import INSTANCE_FILE, DownloadsTaken, StateUnusable, own_downloads, own_state_folder
from tests.harness.disks import small_disk


def test_a_state_folder_that_cannot_be_made_is_said_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(StateUnusable, match=r"can't be used: Not a directory; .* --state \(node\.state\)"),
        own_state_folder(tmp_path / "file" / "state", "node-1", "i1"),
    ):
        pass


def test_a_full_or_read_only_state_folder_is_said_in_words(tmp_path: Path) -> None:
    with small_disk(tmp_path / "state", "64k") as disk:
        with pytest.raises(OSError, match="No space left"):
            (disk.folder / "ballast").write_bytes(bytes(1 << 20))
        with (
            pytest.raises(StateUnusable, match="No space left on device"),
            own_state_folder(disk.folder, "node-1", "i1"),
        ):
            pass
        assert disk.read_only()
        with pytest.raises(StateUnusable, match="Read-only file system"), own_state_folder(disk.folder, "node-1", "i1"):
            pass


def test_trouble_of_the_node_itself_is_not_taken_for_the_state_folders(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="mine"), own_state_folder(tmp_path, "node-1", "i1"):
        assert (tmp_path / INSTANCE_FILE).exists()
        raise OSError("mine")


def test_a_download_folder_that_another_node_uses_is_refused_in_words(tmp_path: Path) -> None:
    refused = pytest.raises(DownloadsTaken, match=r"another node of this machine downloads into .* --downloads")
    with own_downloads(tmp_path), refused, own_downloads(tmp_path):
        pass
    with own_downloads(tmp_path):
        pass  # it was let go
