"""What a torrent finds staged when its node was killed in the middle of a move."""

import os
from pathlib import Path

from node.files import Store
from node.torrents import Torrents
from schemas.request import Request
from tests.harness.tracker import make

TASK = "00000000000000aa"


def test_a_file_that_has_its_place_already_is_never_written_to_again(tmp_path: Path) -> None:
    store = Store(tmp_path / "downloads")
    torrents = Torrents(store, None, None, None)  # type: ignore[arg-type]
    request = Request(torrent="AA==")
    staging = store.expect(TASK)
    staging.mkdir(parents=True)
    (staging / "task.torrent").write_bytes(make("f", b"whole").torrent)
    assert torrents.in_part(TASK, request) == []
    store.data(TASK).write_bytes(b"whole")
    os.link(store.data(TASK), store.downloads / "f")
    (store.downloads / "f").write_bytes(b"changed by its owner")
    torrents.prepare(TASK, request)
    assert not (staging / "swarm" / "1").exists()
    assert (store.downloads / "f").read_bytes() == b"changed by its owner"
