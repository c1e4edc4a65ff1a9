"""`downdraft up`: what it leaves for others to find, and that it ends everything it began."""

import json
import os
import stat
import subprocess
import time
from pathlib import Path

import psutil

from tests.harness.processes import COMMAND, Up, environment, running_up
from tests.harness.waiting import eventually


def test_up_json_says_how_to_reach_everything_and_is_private(cluster: Up) -> None:
    assert stat.S_IMODE(cluster.up_file.stat().st_mode) == 0o600
    info = cluster.info
    assert set(info) == {"nats", "gateway", "pids"}
    assert info["gateway"] is None
    assert set(info["nats"]["creds"]) >= {"admin", "producer", "viewer", "coordinator", "node-1", "node-2"}
    assert set(info["pids"]) == {"nats-server", "coordinator", "node-1", "node-2"}
    for file in info["nats"]["creds"].values():
        assert stat.S_IMODE(os.stat(file).st_mode) == 0o600  # noqa: PTH116
    for pid in info["pids"].values():
        assert psutil.pid_exists(pid)


async def test_it_prints_the_command_with_which_to_submit(cluster: Up) -> None:
    command = f"nats --server {cluster.url} --creds {cluster.creds('producer')} pub downloads.requests"
    await eventually(lambda: command in (cluster.folder / "up.out").read_text())


def test_no_process_runs_as_admin(cluster: Up) -> None:
    for name, pid in cluster.info["pids"].items():
        if name == "nats-server":
            continue
        environ = psutil.Process(pid).environ()
        assert environ["DOWNDRAFT_NATS_CREDS"].endswith((f"{name}.creds", f"node-{name}.creds"))


def test_a_second_one_on_the_same_data_is_refused(cluster: Up) -> None:
    done = subprocess.run(
        [*COMMAND, "up", "--nats-port", "0"], cwd=cluster.folder, env=environment(), capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "a cluster runs in" in done.stderr
    assert "already" in done.stderr


def test_ctrl_c_ends_every_process_and_takes_up_json_away(tmp_path: Path) -> None:
    with running_up(tmp_path) as up:
        family = [psutil.Process(pid) for pid in up.info["pids"].values()]
        family += [child for process in family for child in process.children(recursive=True)]
        assert sum("aria2c" in process.name() for process in family) == 4
        assert up.stop() == 0
        assert not any(process.is_running() and process.status() != "zombie" for process in family)
        assert not up.up_file.exists()
        assert "all processes ended" in (tmp_path / "up.out").read_text()


def test_it_comes_up_again_on_the_same_data(tmp_path: Path) -> None:
    with running_up(tmp_path, "--nodes", "1") as up:
        keys = sorted(json.dumps(up.info["nats"]["creds"]))
    with running_up(tmp_path, "--nodes", "1") as up:
        assert sorted(json.dumps(up.info["nats"]["creds"])) == keys
        assert json.loads(up.run("stats", "--json").stdout)["nodes_online"] == 1


def test_after_a_killed_supervisor_the_next_one_ends_its_processes_first(tmp_path: Path) -> None:
    with running_up(tmp_path, "--nodes", "1") as killed:
        orphans = [psutil.Process(pid) for pid in killed.info["pids"].values()]
        killed.process.kill()
        killed.process.wait()
        assert all(process.is_running() for process in orphans)
        with running_up(tmp_path, "--nodes", "1") as up:
            assert not any(process.is_running() and process.status() != "zombie" for process in orphans)
            assert json.loads(up.run("stats", "--json").stdout)["nodes_online"] == 1


def test_a_supervisor_killed_before_it_was_ready_leaves_nothing_in_the_way(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*COMMAND, "up", "--nats-port", "0"],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    family = psutil.Process(process.pid)
    deadline = time.monotonic() + 20
    while len(family.children()) < 4:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    orphans = family.children()
    process.kill()
    process.wait()
    with running_up(tmp_path) as up:
        assert not any(orphan.is_running() and orphan.status() != "zombie" for orphan in orphans)
        assert json.loads(up.run("stats", "--json").stdout)["nodes_online"] == 2
