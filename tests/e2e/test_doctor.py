"""`downdraft doctor` against real faults: each is planted in a real broker, cluster, file or setting, and found."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import psutil
import pytest

from broker import topology
from broker.credentials import Keyring
from broker.roles import PERMISSIONS, Role
from schemas import codec
from schemas import subjects as s
from schemas.settings import BrokerSettings
from tests.examples import TASK, a_heartbeat
from tests.harness import forked
from tests.harness.broker import Broker, running_broker
from tests.harness.leader import RunningCoordinator, coordinator
from tests.harness.processes import COMMAND, Up, environment, running_up
from tests.harness.producing import producer
from tests.harness.scripted import scripted_node
from tests.harness.waiting import eventually

MIB = 1 << 20


class Examined:
    """What a run of doctor printed."""

    def __init__(self, done: "subprocess.CompletedProcess[str]") -> None:
        self.code = done.returncode
        assert done.returncode in (0, 1), done.stderr
        self.findings: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines()]

    def __getitem__(self, check: str) -> dict[str, Any]:
        [found] = [finding for finding in self.findings if finding["check"] == check]
        assert found["remedy"] if found["status"] in ("warning", "problem") else True
        return found

    def saw(self, check: str, status: str, *words: str) -> None:
        """Assert what it found, and that the finding says so."""
        found = self[check]
        assert found["status"] == status, found
        for word in words:
            assert word in found["found"] + found["remedy"], found

    def checks(self, *statuses: str) -> list[str]:
        return [finding["check"] for finding in self.findings if finding["status"] in statuses]


async def examine(folder: Path, *arguments: str, **settings: str) -> Examined:
    """Run `downdraft doctor` in `folder`, as a user would."""

    def run() -> "subprocess.CompletedProcess[str]":
        command = ["doctor", "--json", *arguments]
        return forked.run(command, cwd=folder, environment=environment() | settings, timeout_s=90)

    return Examined(await anyio.to_thread.run_sync(run))


async def examine_broker(broker: Broker, *arguments: str, **settings: str) -> Examined:
    """Of a broker without `up`, with the operator's credentials."""
    named = [] if "--creds" in arguments else ["--creds", broker.creds(Role.OPERATOR)]
    return await examine(broker.folder, "--server", broker.url, *named, *arguments, **settings)


@pytest.fixture
async def led(broker: Broker) -> AsyncIterator[RunningCoordinator]:
    """A coordinator that leads, on quick clocks."""
    async with coordinator(broker) as one:
        await one.until_leading()
        yield one


async def test_a_healthy_cluster_has_no_finding_but_good_ones(cluster: Up) -> None:
    seen = await examine(cluster.folder)
    assert seen.code == 0
    assert seen.checks("warning", "problem", "unchecked") == []
    groups = {finding["check"].partition(".")[0] for finding in seen.findings}
    assert groups == {
        "settings", "binaries", "disk", "cluster", "credentials",
        "broker", "streams", "leader", "origins", "nodes", "queue",
    }  # fmt: skip
    seen.saw("cluster.processes", "ok")
    seen.saw("broker.clock", "ok", "agree")
    seen.saw("broker.store", "ok")
    seen.saw("streams.TASKS", "ok", "of 1 GiB")
    seen.saw("nodes.online", "ok", "2 online")


async def test_people_get_a_grouped_list_with_marks(cluster: Up) -> None:
    done = await cluster.arun("doctor")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0] == "settings"
    assert lines[-1] == "all is well"
    assert all(line.startswith("  ✓ ") for line in lines[1:-1] if line.startswith(" "))


async def test_a_remedy_stands_below_what_is_wrong(cluster: Up) -> None:
    shown = await anyio.run_process(
        [*COMMAND, "doctor"], cwd=cluster.folder, env=environment() | {"DOWNDRAFT_NODE_SLOT": "4"}, check=False
    )
    lines = shown.stdout.decode().splitlines()
    [at] = [index for index, line in enumerate(lines) if line.startswith("  ! ")]
    assert "DOWNDRAFT_NODE_SLOT is no setting" in lines[at]
    assert lines[at + 1].strip() == "→ did you mean DOWNDRAFT_NODE_SLOTS?"
    assert lines[-1] == "0 problems, 1 warning"


async def test_without_a_cluster_it_checks_what_it_can(tmp_path: Path) -> None:
    seen = await examine(tmp_path)
    assert seen.code == 0
    assert seen.checks("warning", "problem") == ["cluster.named"]
    seen.saw("cluster.named", "warning", "no cluster", "downdraft up")
    seen.saw("binaries.aria2c", "ok")
    seen.saw("disk.downloads", "ok")
    assert {"broker.reached", "streams.all", "leader.answers"} <= set(seen.checks("unchecked"))


async def test_it_finds_that_no_coordinator_runs(broker: Broker) -> None:
    seen = await examine_broker(broker)
    assert seen.code == 1
    seen.saw("leader.answers", "problem", "no coordinator leads", "downdraft coordinator")
    assert seen.checks("problem") == ["leader.answers"]
    seen.saw("nodes.online", "unchecked")


async def test_it_finds_a_stream_that_was_deleted(broker: Broker) -> None:
    async with broker.connected(Role.ADMIN) as admin:
        await admin.api(f"STREAM.DELETE.{s.EVENTS_STREAM}")
    seen = await examine_broker(broker)
    seen.saw("streams.EVENTS", "problem", "no such stream", "restart a coordinator")
    seen.saw("streams.TASKS", "ok")


async def change(broker: Broker, stream: str, **fields: Any) -> None:
    """Edit a stream as an operator with too many rights would."""
    async with broker.connected(Role.ADMIN) as admin:
        config = (await admin.api(f"STREAM.INFO.{stream}"))["config"]
        await admin.api(f"STREAM.UPDATE.{stream}", config | fields)


async def test_it_finds_a_stream_that_drifted(broker: Broker) -> None:
    await change(broker, s.EVENTS_STREAM, max_age=3600 * 10**9)
    (await examine_broker(broker)).saw("streams.drift", "warning", "EVENTS.max_age", "3600000000000")


async def test_drift_that_breaks_the_rules_is_a_problem(broker: Broker) -> None:
    await change(broker, s.REQUESTS_STREAM, duplicate_window=120 * 10**9)
    (await examine_broker(broker)).saw("streams.drift", "problem", "REQUESTS.duplicate_window", "nats stream edit")


async def test_it_finds_a_table_that_is_nearly_full(tmp_path: Path) -> None:
    small = BrokerSettings(tasks_bytes_max=MIB)
    async with running_broker(tmp_path / "broker", with_streams=False) as broker:
        async with broker.connected(Role.COORDINATOR) as connection:
            await topology.ensure_patiently(connection, small)
            await connection.store(s.task_write("queued", TASK), b"x" * 600_000)
            await connection.store(s.task_write("queued", TASK[::-1]), b"x" * 300_000)
        seen = await examine_broker(broker, DOWNDRAFT_BROKER_TASKS_BYTES_MAX=str(MIB))
        seen.saw("streams.TASKS", "problem", "86% of 1 MiB", "claiming stops at 80%")
        seen.saw("streams.drift", "ok")


async def test_it_finds_credentials_that_others_can_read(broker: Broker) -> None:
    file = Path(broker.creds(Role.OPERATOR))
    file.chmod(0o644)
    (await examine_broker(broker)).saw("credentials.mode", "warning", "0644", f"chmod 600 {file}")


async def test_it_finds_credentials_of_another_cluster(broker: Broker, tmp_path: Path) -> None:
    foreign = Keyring(tmp_path / "foreign")
    foreign.ensure()
    file = str(foreign.credentials(Role.OPERATOR, "operator"))
    seen = await examine_broker(broker, "--creds", file)
    assert seen.code == 1
    seen.saw("broker.reached", "problem", f"refuses {file}", "--creds")
    seen.saw("streams.all", "unchecked", "the broker refuses these credentials")


async def test_it_finds_credentials_that_can_not_be_read(broker: Broker, tmp_path: Path) -> None:
    seen = await examine_broker(broker, "--creds", str(tmp_path / "nowhere.creds"))
    seen.saw("credentials.file", "problem", "can't read", "downdraft keys")
    damaged = tmp_path / "damaged.creds"
    damaged.write_text("-----BEGIN NATS USER JWT-----\nabc.def.ghi\n------END NATS USER JWT------\n")
    (await examine_broker(broker, "--creds", str(damaged))).saw("credentials.file", "problem", "damaged")


async def test_it_finds_that_credentials_are_of_a_role_that_sees_less(broker: Broker) -> None:
    seen = await examine_broker(broker, "--creds", broker.creds(Role.VIEWER))
    seen.saw("credentials.role", "warning", "viewer")
    seen.saw("streams.all", "unchecked", "these credentials may not look at the streams", "operator.creds")
    seen.saw("leader.answers", "unchecked", "may not")
    seen.saw("broker.version", "ok")


async def test_an_operator_of_an_older_cluster_is_told_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator = PERMISSIONS[Role.OPERATOR]
    publish = tuple(subject for subject in operator.publish if ".INFO" not in subject and "DIRECT" not in subject)
    older = PERMISSIONS | {Role.OPERATOR: operator._replace(publish=publish)}
    monkeypatch.setattr("broker.credentials.PERMISSIONS", older)
    async with running_broker(tmp_path / "broker") as broker, coordinator(broker) as one:
        await one.until_leading()
        seen = await examine_broker(broker)
    seen.saw("streams.all", "unchecked", "may not look at the streams", "downdraft keys")
    seen.saw("broker.limits", "unchecked", "may not")
    seen.saw("leader.answers", "ok")


async def test_it_finds_that_everything_died_while_up_json_stands(tmp_path: Path) -> None:
    with running_up(tmp_path) as up:
        pids = up.info["pids"]
        up.process.kill()
        up.process.wait()
        for pid in pids.values():
            if psutil.pid_exists(pid):
                os.kill(pid, signal.SIGKILL)
        seen = await examine(tmp_path)
    assert seen.code == 1
    seen.saw("cluster.processes", "problem", "stale", "downdraft up")
    seen.saw("broker.reached", "problem", "no nats-server answers")
    seen.saw("leader.answers", "unchecked", "the broker can't be reached")


@contextmanager
def node_process(broker: Broker, name: str) -> Iterator["subprocess.Popen[bytes]"]:
    settings = {
        "DOWNDRAFT_NATS_URL": broker.url,
        "DOWNDRAFT_NATS_CREDS": broker.creds(Role.NODE, name),
        "DOWNDRAFT_COORDINATOR_HEARTBEAT_INTERVAL_S": "0.2",
        "DOWNDRAFT_NODE_DOWNLOADS": str(broker.folder / name / "downloads"),
        "DOWNDRAFT_NODE_STATE": str(broker.folder / name / "state"),
    }
    with (broker.folder / f"{name}.out").open("wb") as out:
        process = subprocess.Popen(
            [*COMMAND, "node", "--id", name], env=environment() | settings, stdout=out, stderr=out
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def test_it_finds_a_node_that_was_killed(broker: Broker, led: RunningCoordinator) -> None:

    def is_online(name: str) -> bool:
        return led.term.fleet.is_online(name, anyio.current_time(), led.term.settings.node_lost_after_s)

    with node_process(broker, "attic") as attic:
        async with scripted_node(broker, "cellar"):
            await eventually(lambda: is_online("attic") and is_online("cellar"), within_s=40)
            attic.send_signal(signal.SIGKILL)
            await eventually(lambda: not is_online("attic"), within_s=20)
            seen = await examine_broker(broker)
    seen.saw("nodes.online", "warning", "attic offline, 1 online")


async def test_it_finds_a_task_that_no_node_can_take(broker: Broker, led: RunningCoordinator) -> None:
    async with scripted_node(broker, "attic", tags=("ssd",)) as attic, producer(broker) as ada:
        task = await ada.submit(tags=["tape"])
        await attic.gets(await ada.submit(tags=["ssd"]))
        await eventually(lambda: led.term.book.top(task), what="the task in the table")
        seen = await examine_broker(broker)
    seen.saw("queue.placeable", "warning", "1 of 1 queued tasks", "tag tape")


@pytest.mark.parametrize(
    ("fields", "check", "status", "word"),
    [
        ({"version": "0.0.1"}, "nodes.version", "warning", "attic (0.0.1)"),
        ({"disk_free_bytes": 40 * MIB}, "nodes.disk", "problem", "attic (40 MiB)"),
        ({"disk_free_bytes": 900 * MIB}, "nodes.disk", "warning", "attic (900 MiB)"),
    ],
)
async def test_it_finds_a_node_that_says_it_is_old_or_full(
    broker: Broker, led: RunningCoordinator, fields: dict[str, Any], check: str, status: str, word: str
) -> None:
    async with broker.connected(Role.NODE, "attic") as connection, anyio.create_task_group() as tasks:

        async def beat() -> None:
            for number in range(1, 10_000):
                told = a_heartbeat("attic", number, **fields)
                await connection.publish(s.heartbeat("attic"), codec.encode(told))
                await anyio.sleep(0.1)

        tasks.start_soon(beat)
        await eventually(lambda: led.term.fleet.get("attic"))
        (await examine_broker(broker)).saw(check, status, word)
        tasks.cancel_scope.cancel()


async def test_it_finds_a_binary_that_is_not_where_the_setting_says(tmp_path: Path) -> None:
    seen = await examine(tmp_path, DOWNDRAFT_NODE_ARIA2_BINARY="/nowhere/aria2c")
    assert seen.code == 1
    seen.saw("binaries.aria2c", "problem", "/nowhere/aria2c", "node.aria2_binary")
    seen.saw("binaries.nats-server", "ok")


@pytest.mark.skipif(sys.platform == "win32", reason="a shell script stands in for the binary")
async def test_it_finds_a_nats_server_that_is_too_old(tmp_path: Path) -> None:
    old = tmp_path / "nats-server"
    old.write_text("#!/bin/sh\necho 'nats-server: v2.9.3'\n")
    old.chmod(0o755)
    seen = await examine(tmp_path, DOWNDRAFT_NATS_SERVER_BINARY=str(old))
    seen.saw("binaries.nats-server", "problem", "2.9.3", "2.11 is the oldest")


async def test_it_finds_a_variable_that_is_misspelt(tmp_path: Path) -> None:
    seen = await examine(tmp_path, DOWNDRAFT_NODE_SLOT="4")
    seen.saw("settings.variables", "warning", "DOWNDRAFT_NODE_SLOT is no setting", "DOWNDRAFT_NODE_SLOTS")


async def test_it_finds_every_mistake_in_the_settings_and_checks_the_rest(tmp_path: Path) -> None:
    (tmp_path / "downdraft.toml").write_text('[node]\nslots = "many"\nslot = 4\n')
    seen = await examine(tmp_path)
    assert seen.code == 1
    said = [finding["found"] for finding in seen.findings if finding["check"] == "settings.values"]
    assert len(said) == 2
    seen.saw("binaries.aria2c", "ok")
    (tmp_path / "downdraft.toml").write_text("[node\n")
    (await examine(tmp_path)).saw("settings.values", "problem", "downdraft.toml")


async def test_it_finds_a_broker_without_jetstream_and_with_small_messages(tmp_path: Path) -> None:
    async with running_broker(tmp_path / "broker", with_streams=False) as broker:
        conf = broker.folder / "nats.conf"
        text = conf.read_text().replace("max_payload: 1MB", "max_payload: 64KB")
        conf.write_text(text[: text.index("jetstream {")] + text[text.index("# A request is at most") :])
        await broker.restart()
        seen = await examine_broker(broker)
    seen.saw("broker.jetstream", "problem", "nats.conf")
    seen.saw("broker.payload", "problem", "64 KiB")
    seen.saw("streams.all", "unchecked", "JetStream is not enabled")


async def test_a_password_in_the_address_is_not_shown(tmp_path: Path) -> None:
    seen = await examine(tmp_path, "--server", "nats://me:hunter2@127.0.0.1:9")
    assert "hunter2" not in json.dumps(seen.findings)
    seen.saw("cluster.named", "ok", "nats://127.0.0.1:9", "--server")
