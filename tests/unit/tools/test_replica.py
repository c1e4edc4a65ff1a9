"""Nodes that are started alike share out the node ids of one folder."""

from pathlib import Path

import pytest

from schemas.settings import load
from tools.replica import NoIdLeft, as_replica, being_one_of


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """Credentials of node-1, node-2 and node-10, beside others'."""
    folder = tmp_path / "keys"
    folder.mkdir()
    for name in ("node-node-1", "node-node-2", "node-node-10", "coordinator", "producer"):
        (folder / f"{name}.creds").write_text("")
    return folder


def test_each_is_another_node_the_lowest_number_first(keys: Path, tmp_path: Path) -> None:
    with (
        being_one_of(keys, tmp_path / "state", "a") as first,
        being_one_of(keys, tmp_path / "state", "b") as second,
        being_one_of(keys, tmp_path / "state", "c") as third,
    ):
        assert [one.node for one in (first, second, third)] == ["node-1", "node-2", "node-10"]
        assert second.creds == keys / "node-node-2.creds"


def test_one_that_comes_back_is_the_node_that_it_was(keys: Path, tmp_path: Path) -> None:
    with being_one_of(keys, tmp_path / "state", "a"), being_one_of(keys, tmp_path / "state", "b"):
        pass

    with being_one_of(keys, tmp_path / "state", "b") as again:
        assert again.node == "node-2"


def test_a_new_one_goes_on_with_what_an_earlier_one_left(keys: Path, tmp_path: Path) -> None:
    with being_one_of(keys, tmp_path / "state", "a"):
        with being_one_of(keys, tmp_path / "state", "b"):
            pass
        with being_one_of(keys, tmp_path / "state", "new") as new:
            assert new.node == "node-2"


def test_one_too_many_is_told_so(keys: Path, tmp_path: Path) -> None:
    for name in ("node-node-2", "node-node-10"):
        (keys / f"{name}.creds").unlink()

    with (
        being_one_of(keys, tmp_path / "state", "a"),
        pytest.raises(NoIdLeft, match="all 1 nodes") as error,
        being_one_of(keys, tmp_path / "state", "b"),
    ):
        pass
    assert error.value.exit_code == 3


def test_a_folder_without_credentials_of_nodes_is_told(tmp_path: Path) -> None:
    with pytest.raises(NoIdLeft, match="no credentials of nodes"), being_one_of(tmp_path, tmp_path, "a"):
        pass


def test_a_replica_has_folders_and_credentials_of_its_own(keys: Path, tmp_path: Path) -> None:
    base = {"node.downloads": str(tmp_path / "downloads"), "node.state": str(tmp_path / "state")}

    with as_replica(keys, load(flags=base).settings, lambda more: load(flags=base | more).settings) as settings:
        assert settings.node.id == "node-1"
        assert settings.nats.creds == str(keys / "node-node-1.creds")
        assert settings.node.downloads == str(tmp_path / "downloads" / "node-1")
        assert settings.node.state == str(tmp_path / "state" / "node-1")
