"""`noop:` tasks go through the whole pipeline without a file, and only where a setting allows them."""

import json
from pathlib import Path

from tests.harness.processes import running_up


def test_an_allowed_noop_completes_and_leaves_nothing(tmp_path: Path) -> None:
    with running_up(tmp_path, "--nodes", "1", DOWNDRAFT_COORDINATOR_ALLOW_NOOP="true") as up:
        done = up.run("submit", "noop:", "--wait", "--json")
        view = json.loads(done.stdout)
        assert (done.returncode, view["state"], view["bytes"], view["path"]) == (0, "completed", 0, "")
        assert [file for file in up.downloads("node-1").rglob("*") if file.is_file()] == []
