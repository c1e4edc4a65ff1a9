"""`noop:` tasks go through the whole pipeline without a file, and only where a setting allows them."""

import json
from pathlib import Path

import pytest

from node.disk import PROBE_NAME
from tests.harness.files import files_below
from tests.harness.processes import Up, running_up


def test_an_allowed_noop_completes_and_leaves_nothing(tmp_path: Path) -> None:
    with running_up(tmp_path, "--nodes", "1", DOWNDRAFT_COORDINATOR_ALLOW_NOOP="true") as up:
        done = up.run("submit", "noop:", "--wait", "--json")
        view = json.loads(done.stdout)
        assert (done.returncode, view["state"], view["bytes"], view["path"]) == (0, "completed", 0, "")
        left = [file for file in files_below(up.downloads("node-1")) if file.name != PROBE_NAME]
        assert left == []


@pytest.mark.parametrize("role", ["operator", "producer"])
async def test_waiting_for_a_noop_that_is_not_allowed_ends_with_its_rejection(cluster: Up, role: str) -> None:
    by = ("--creds", cluster.creds(role))
    once = ("submit", "noop:", "--id", f"noop by {role}", "--wait", "--json", *by)
    for arguments in (("submit", "noop:", "--wait", "--json", *by), once, once):
        done = await cluster.arun(*arguments)
        view = json.loads(done.stdout)
        assert (done.returncode, view["state"]) == (1, "rejected")
        assert "coordinator.allow_noop" in view["reason"]


@pytest.mark.parametrize("role", ["operator", "producer"])
async def test_waiting_for_many_ends_with_the_rejection_of_some(cluster: Up, tmp_path: Path, role: str) -> None:
    entries = tmp_path / "list.txt"
    entries.write_text("".join(f"noop:{number}\n" for number in range(3)))
    by = ("--creds", cluster.creds(role))
    done = await cluster.arun("submit", "--input-file", str(entries), "--wait", "--json", *by)
    assert [json.loads(line)["state"] for line in done.stdout.splitlines()] == 3 * ["rejected"]
    assert done.returncode == 1
