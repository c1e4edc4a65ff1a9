"""`downdraft up` and `down`: what is left for others to find, and that everything that began is ended."""

import fcntl
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from broker.binaries import find_nats_server
from tests.harness.processes import COMMAND, Up, environment, running_up
from tests.harness.waiting import eventually


def runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def family_of(up: Up) -> list[psutil.Process]:
    """The supervisor and everything below it."""
    supervisor = psutil.Process(up.pid("up"))
    return [supervisor, *supervisor.children(recursive=True)]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Up]:
    """A folder for background clusters, which are gone when the test is."""
    up = nobodys_child(tmp_path)
    yield up
    up.run("down")


def nobodys_child(folder: Path) -> Up:
    return Up(folder, None)  # type: ignore[arg-type]  # a background cluster is ended by `down`, not through its process


def test_up_json_says_how_to_reach_everything_and_is_private(cluster: Up) -> None:
    assert stat.S_IMODE(cluster.up_file.stat().st_mode) == 0o600
    info = cluster.info
    assert set(info) == {"nats", "gateway", "pids"}
    assert info["gateway"] is None
    assert set(info["nats"]["creds"]) >= {"admin", "producer", "viewer", "coordinator", "node-1", "node-2"}
    assert set(info["pids"]) == {"up", "nats-server", "coordinator", "node-1", "node-2"}
    assert info["pids"]["up"] == cluster.process.pid
    for file in info["nats"]["creds"].values():
        assert stat.S_IMODE(os.stat(file).st_mode) == 0o600  # noqa: PTH116
    for pid in info["pids"].values():
        assert psutil.pid_exists(pid)


async def test_it_prints_the_command_with_which_to_submit(cluster: Up) -> None:
    command = f"nats --server {cluster.url} --creds {cluster.creds('producer')} pub downloads.requests"
    await eventually(lambda: command in (cluster.folder / "up.out").read_text())


def test_no_process_runs_as_admin(cluster: Up) -> None:
    for name, pid in cluster.info["pids"].items():
        if name in {"up", "nats-server"}:
            continue
        environ = psutil.Process(pid).environ()
        assert environ["DOWNDRAFT_NATS_CREDS"].endswith((f"{name}.creds", f"node-{name}.creds"))


def test_a_taken_port_of_the_gateway_is_told_before_anything_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            [*COMMAND, "up", "--nats-port", "0", "--gateway-port", str(port)],
            cwd=tmp_path,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=20,
        )
    assert done.returncode == 1
    assert f"can't listen at 127.0.0.1:{port} (Address already in use)" in done.stderr
    assert not (tmp_path / "downdraft-data" / "nats-server.log").exists()


def test_a_second_one_on_the_same_data_is_refused(cluster: Up) -> None:
    done = subprocess.run(
        [*COMMAND, "up", "--nats-port", "0", "--no-gateway"],
        cwd=cluster.folder,
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "a cluster runs in" in done.stderr
    assert "already" in done.stderr


def test_ctrl_c_ends_every_process_and_takes_up_json_away(tmp_path: Path) -> None:
    with running_up(tmp_path) as up:
        family = family_of(up)
        assert sum("aria2c" in process.name() for process in family) == 4
        assert up.stop() == 0
        assert not any(map(runs, family))
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
        orphans = [psutil.Process(pid) for name, pid in killed.info["pids"].items() if name != "up"]
        killed.process.kill()
        killed.process.wait()
        assert all(process.is_running() for process in orphans)
        with running_up(tmp_path, "--nodes", "1") as up:
            assert not any(map(runs, orphans))
            assert json.loads(up.run("stats", "--json").stdout)["nodes_online"] == 1


def test_a_supervisor_killed_before_it_was_ready_leaves_nothing_in_the_way(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*COMMAND, "up", "--nats-port", "0", "--no-gateway"],
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
        assert not any(map(runs, orphans))
        assert json.loads(up.run("stats", "--json").stdout)["nodes_online"] == 2


def test_ctrl_c_while_it_starts_ends_it(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*COMMAND, "up", "--nats-port", "0", "--no-gateway", "--nodes", "1"],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    deadline = time.monotonic() + 20
    while not (coordinators := [child for child in psutil.Process(process.pid).children() if is_coordinator(child)]):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    coordinators[0].suspend()  # it will never be ready
    family = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=40)
    assert process.returncode == 0
    assert b"ready" not in said
    psutil.wait_procs(family, timeout=10)
    assert not any(map(runs, family))


def is_coordinator(process: psutil.Process) -> bool:
    try:
        return "coordinator" in process.cmdline()
    except psutil.NoSuchProcess:
        return False


def test_a_second_ctrl_c_kills_what_the_orderly_end_waits_for(tmp_path: Path) -> None:
    with running_up(tmp_path, "--nodes", "1") as up:
        family = family_of(up)
        psutil.Process(up.pid("node-1")).suspend()  # the orderly end would give it 10 s
        began_at = time.monotonic()
        up.process.send_signal(signal.SIGTERM)
        wait_for_output(tmp_path / "up.out", "stopping")
        up.process.send_signal(signal.SIGTERM)
        assert up.process.wait(8) == 130
        assert time.monotonic() - began_at < 8
        psutil.wait_procs(family, timeout=10)
        assert not any(map(runs, family))
        assert not up.up_file.exists()


def test_a_broker_that_does_not_come_back_at_once_is_tried_again(tmp_path: Path) -> None:
    """Its restart fails three times over."""
    stubborn = tmp_path / "nats-server"
    stubborn.write_text(
        f"""#!/bin/sh
for failure in 1 2 3; do
    test -e {tmp_path}/may-fail && ! test -e {tmp_path}/failed-$failure && touch {tmp_path}/failed-$failure && exit 1
done
exec {find_nats_server("")} "$@"
"""
    )
    stubborn.chmod(0o755)
    with running_up(tmp_path, "--nodes", "1", DOWNDRAFT_NATS_SERVER_BINARY=str(stubborn)) as up:
        (tmp_path / "may-fail").touch()
        before = up.pid("nats-server")
        psutil.Process(before).kill()
        deadline = time.monotonic() + 40
        while up.pid("nats-server") == before:
            assert up.process.poll() is None, (tmp_path / "up.out").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert (tmp_path / "failed-3").exists()
        while '"nodes_online":1' not in up.run("stats", "--json").stdout:
            assert time.monotonic() < deadline + 20, (tmp_path / "up.out").read_text()


def test_detached_it_runs_on_in_a_session_of_its_own_until_down_ends_it_all(folder: Up) -> None:
    done = folder.run("up", "--detach", "--nats-port", "0", "--no-gateway", "--nodes", "1")
    assert done.returncode == 0, done.stderr
    assert "ready  broker nats://127.0.0.1:" in done.stdout
    assert done.stdout.endswith("end it with:\n  downdraft down\n")
    assert "ready" in (folder.folder / "downdraft-data" / "logs" / "up.out").read_text()
    family = family_of(folder)
    assert os.getsid(folder.pid("up")) == folder.pid("up")
    assert json.loads(folder.run("stats", "--json").stdout)["nodes_online"] == 1

    ended = folder.run("down", "--json")
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout) | {"seconds": 0} == {
        "data": str(folder.up_file.parent),
        "processes": len(family),
        "leftovers": False,
        "seconds": 0,
    }
    assert not any(map(runs, family))
    assert not folder.up_file.exists()


def test_down_where_nothing_runs_says_so_and_exits_1(folder: Up) -> None:
    done = folder.run("down")
    assert (done.returncode, done.stdout) == (1, "nothing runs in 'downdraft-data'\n")


def test_down_ends_what_a_killed_up_left_running(folder: Up) -> None:
    folder.run("up", "--detach", "--nats-port", "0", "--no-gateway", "--nodes", "1")
    supervisor, *orphans = family_of(folder)
    supervisor.kill()
    supervisor.wait(10)
    assert all(map(runs, orphans))
    done = folder.run("down", "--data", "downdraft-data")
    assert done.returncode == 0, done.stderr
    assert "processes that a killed `up` had left" in done.stdout
    psutil.wait_procs(orphans, timeout=10)
    assert not any(map(runs, orphans))
    assert not folder.up_file.exists()


def test_down_never_ends_a_stranger_whose_number_the_files_name(tmp_path: Path) -> None:
    """A pid is used again some day: neither up.json nor the lock file is taken at its word."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as stranger:
        data = tmp_path / "downdraft-data"
        data.mkdir()
        (data / "up.lock").write_text(str(stranger.pid))
        pids = {"up": stranger.pid, "node-1": stranger.pid}
        (data / "up.json").write_text(
            json.dumps({"nats": {"url": "nats://127.0.0.1:1", "creds": {}}, "gateway": None, "pids": pids})
        )
        up = nobodys_child(tmp_path)
        assert up.run("down").returncode == 1
        (data / "up.lock").write_text(str(stranger.pid))
        with (data / "up.lock").open("r+") as lock:  # held, but not by the one it names
            fcntl.flock(lock, fcntl.LOCK_EX)
            done = up.run("down", "--data", "downdraft-data")
        assert done.returncode == 1
        assert "can't be told who" in done.stderr
        assert stranger.poll() is None
        stranger.communicate(b"\n")


def test_detached_it_says_why_it_did_not_come_up_and_leaves_nothing_running(folder: Up) -> None:
    refusing = folder.folder / "nats-server"
    refusing.write_text("#!/bin/sh\nexit 1\n")
    refusing.chmod(0o755)
    environ = environment() | {"DOWNDRAFT_NATS_SERVER_BINARY": str(refusing)}
    done = subprocess.run(
        [*COMMAND, "up", "-d", "--nats-port", "0", "--no-gateway"],
        cwd=folder.folder,
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert "downdraft: nats-server did not start" in done.stderr
    assert folder.run("down").returncode == 1


def test_detached_interrupted_while_it_starts_leaves_nothing_running(folder: Up) -> None:
    process = subprocess.Popen(
        [*COMMAND, "up", "-d", "--nats-port", "0", "--no-gateway"],
        cwd=folder.folder,
        env=environment(),
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 20
    while not (family := psutil.Process(process.pid).children(recursive=True)[1:]):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert process.wait(25) == 130
    assert not any(map(runs, family))


def test_detached_on_data_that_is_taken_it_is_refused_and_the_running_one_goes_on(cluster: Up) -> None:
    done = cluster.run("up", "--detach", "--nats-port", "0", "--no-gateway")
    assert done.returncode == 1
    assert "a cluster runs in 'downdraft-data' already" in done.stderr
    assert cluster.run("stats").returncode == 0


def wait_for_output(file: Path, words: str, within_s: float = 15) -> None:
    deadline = time.monotonic() + within_s
    while words not in file.read_text():
        assert time.monotonic() < deadline, file.read_text()
        time.sleep(0.02)
