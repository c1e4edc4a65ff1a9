"""A cluster's state as files: saved from one broker while it works, brought back to another."""

import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from nats.aio.msg import Msg

from broker import backup
from broker.backup import BackupFailed
from broker.embedded import KEYS
from broker.errors import Unanswered
from broker.roles import Role
from tests.harness.broker import Broker, running_broker
from tests.harness.leader import coordinator
from tests.harness.node import rig, working_node
from tests.harness.producing import producer
from tests.harness.recorder import recording
from tests.integration.node.origin import serve
from tools.backingup import restore_all, save_all

BODY = b"what the origin serves\n"


@asynccontextmanager
async def another(broker: Broker, folder: Path) -> AsyncIterator[Broker]:
    """A broker with the same keys and nothing in it."""
    shutil.copytree(broker.keyring.folder, folder / KEYS)
    async with running_broker(folder, with_streams=False) as other:
        yield other


async def save(broker: Broker, folder: Path) -> None:
    await save_all(broker.url, broker.creds(Role.ADMIN), folder, as_json=True)


async def restore(broker: Broker, folder: Path) -> None:
    await restore_all(broker.url, broker.creds(Role.ADMIN), folder, None, as_json=True)


async def test_a_cluster_moved_to_another_broker_goes_on_and_does_nothing_twice(broker: Broker, tmp_path: Path) -> None:
    async with serve() as origin:
        origin.files = {"one": BODY}
        async with rig(broker, tmp_path / "node-1") as before:
            done = await before.submit(origin.url("file/one"), id="done")
            await before.outcome(done)
        async with coordinator(broker) as leader, producer(broker) as submitter:
            await leader.until_leading()
            placed_later = await submitter.submit(uris=[origin.url("file/one")], id="waits")
        async with producer(broker) as submitter:
            claimed_later = await submitter.submit(uris=[origin.url("file/one")], id="unclaimed")
        await save(broker, tmp_path / "saved")

        async with another(broker, tmp_path / "other") as other:
            await restore(other, tmp_path / "saved")
            async with (
                recording(other) as recorder,
                coordinator(other),
                working_node(other, tmp_path / "node-1"),
                producer(other) as submitter,
            ):
                await recorder.outcome(placed_later)
                await recorder.outcome(claimed_later)
                assert await submitter.submit(uris=[origin.url("file/one")], id="done") == done
                last = await submitter.submit(uris=[origin.url("file/one")], id="last")
                await recorder.outcome(last)

            assert len(recorder.outcomes()) == 3
            assert recorder.kinds(done) == []


async def test_a_backup_keeps_sequences_times_and_consumers(broker: Broker, tmp_path: Path) -> None:
    async with recording(broker) as recorder, coordinator(broker), producer(broker) as submitter:
        for _ in range(3):
            await recorder.sees("queued", await submitter.submit())
    await save(broker, tmp_path / "saved")

    async with another(broker, tmp_path / "other") as other:
        await restore(other, tmp_path / "saved")
        for stream in ("REQUESTS", "TASKS", "EVENTS"):
            was, now = await _state(broker, stream), await _state(other, stream)
            assert now == was
        assert json.loads((tmp_path / "saved" / "TASKS" / backup.META).read_text())["config"]["name"] == "TASKS"


async def test_nothing_is_restored_to_a_broker_that_has_streams(broker: Broker, tmp_path: Path) -> None:
    await save(broker, tmp_path / "saved")
    async with producer(broker) as submitter:
        await submitter.submit()

    with pytest.raises(BackupFailed, match=r"has streams already \(REQUESTS\)"):
        await restore(broker, tmp_path / "saved")


async def test_a_restore_that_broke_off_goes_on(
    broker: Broker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with recording(broker) as recorder, coordinator(broker), producer(broker) as submitter:
        await recorder.sees("queued", await submitter.submit())
    await save(broker, tmp_path / "saved")
    whole = (tmp_path / "saved" / "EVENTS" / backup.DATA).read_bytes()
    (tmp_path / "saved" / "EVENTS" / backup.DATA).write_bytes(whole[: len(whole) // 2])

    async with another(broker, tmp_path / "other") as other:
        with pytest.raises(BackupFailed, match="EVENTS"):
            await restore(other, tmp_path / "saved")
        (tmp_path / "saved" / "EVENTS" / backup.DATA).write_bytes(whole)
        capsys.readouterr()
        await restore(other, tmp_path / "saved")
        told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert [each["stream"] for each in told if each["was_there"]] == ["REQUESTS", "TASKS"]
        for stream in ("REQUESTS", "TASKS", "EVENTS"):
            assert await _state(other, stream) == await _state(broker, stream)


async def test_a_backup_is_not_written_over_another(broker: Broker, tmp_path: Path) -> None:
    await save(broker, tmp_path / "saved")

    with pytest.raises(BackupFailed, match="is not empty"):
        await save(broker, tmp_path / "saved")


async def test_a_damaged_backup_is_refused_and_leaves_no_stream(broker: Broker, tmp_path: Path) -> None:
    await save(broker, tmp_path / "saved")
    data = tmp_path / "saved" / "REQUESTS" / backup.DATA
    data.write_bytes(data.read_bytes()[: data.stat().st_size // 2])

    async with another(broker, tmp_path / "other") as other:
        with pytest.raises(BackupFailed):
            await restore(other, tmp_path / "saved")
        async with other.connected(Role.ADMIN) as admin:
            assert await backup.existing(admin) == {}


async def test_a_piece_that_nobody_is_there_to_take_yet_is_handed_over_again(broker: Broker) -> None:
    taken: list[bytes] = []

    async def take(msg: Msg) -> None:
        taken.append(msg.data)
        await msg.respond(b"")

    async with broker.connected(Role.ADMIN) as admin, broker.connected(Role.ADMIN) as other:
        with pytest.raises(Unanswered, match="no responders"):
            await admin.request("pieces", b"one")
        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(backup.hand_over, admin, "pieces", b"one")
                await anyio.wait_all_tasks_blocked()
                await other.client.subscribe("pieces", cb=take)
    assert taken == [b"one"]


async def _state(broker: Broker, stream: str) -> dict[str, object]:
    """What it holds and which consumers; first and last, with their times, unless it is empty."""
    async with broker.connected(Role.ADMIN) as admin:
        state = (await admin.api(f"STREAM.INFO.{stream}"))["state"]
        names = (await admin.api(f"CONSUMER.NAMES.{stream}"))["consumers"] or []
    kept = ("messages", "bytes", "last_seq", *(("first_seq", "first_ts", "last_ts") if state["messages"] else ()))
    return {name: state[name] for name in kept} | {"consumers": sorted(names)}
