"""One real aria2c, a real origin: what the node's client and daemon promise."""

import hashlib
import os
import random
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import psutil
import pytest
from anyio import CapacityLimiter

from node import aria2
from node.aria2 import Aria2, Aria2Frozen, Aria2Gone, Aria2Nonsense, Aria2Refused
from node.daemon import Daemon, DaemonFailed, Lane
from node.failures import classify
from node.files import Store
from node.staging import CONTROL_NAME, DATA_NAME
from node.transfers import Addition, Status, Tick
from schemas.task import FailureClass
from tests.harness.bad_origin import Manner, misbehaving
from tests.integration.node.origin import Origin

pytestmark = pytest.mark.anyio

WAIT_S = 10.0
SHORT_S = 0.5
"""Time-out of a client that is to find its daemon frozen."""


def gid(number: int) -> str:
    return f"{number:016x}"


class Lab:
    """A started daemon with its client and its store."""

    def __init__(self, daemon: Daemon, store: Store) -> None:
        self.daemon = daemon
        self.store = store
        self.rpc = self.client()

    def client(self, timeout_s: float = aria2.CALL_TIMEOUT_S) -> Aria2:
        return Aria2(self.daemon.port, self.daemon.secret, CapacityLimiter(4), timeout_s=timeout_s)

    def addition(self, number: int, *uris: str, **options: str) -> Addition:
        task = gid(number)
        self.store.prepare(task, split=self.daemon.lane is Lane.LARGE)
        folder = {"dir": str(self.store.staging(task)), "out": DATA_NAME}
        named = {name.replace("_", "-"): value for name, value in options.items()}
        return Addition(task, uris, {**folder, **named})

    async def until(self, holds: Callable[[Tick], bool]) -> Tick:
        with anyio.fail_after(WAIT_S):
            while not holds(tick := await self.rpc.tick()):
                await anyio.sleep(0.02)
        return tick

    async def until_ended(self, *numbers: int) -> Tick:
        ended = {Status.COMPLETE, Status.ERROR, Status.REMOVED}
        return await self.until(lambda tick: all(tick.transfers[gid(one)].status in ended for one in numbers))


@asynccontextmanager
async def running(lane: Lane, binary: Path, folder: Path, slots: int = 8) -> AsyncIterator[Lab]:
    store = Store(folder / "downloads")
    async with Daemon(lane, binary, state=folder / "state", downloads=store.downloads, slots=slots) as daemon:
        await daemon.start()
        yield Lab(daemon, store)


@pytest.fixture
async def lab(aria2c: Path, tmp_path: Path) -> AsyncIterator[Lab]:
    async with running(Lane.SMALL, aria2c, tmp_path) as started:
        yield started
        # What most tests start has nothing to save; aria2 takes a second to end nicely.
        started.daemon.kill()


async def test_a_file_is_downloaded_and_told_in_numbers(lab: Lab, origin: Origin) -> None:
    origin.files["a"] = b"x" * 1000
    assert await lab.rpc.add_many([lab.addition(1, origin.url("file/a"))]) == [None]
    transfer = (await lab.until_ended(1)).transfers[gid(1)]
    assert (transfer.status, transfer.total, transfer.done) == (Status.COMPLETE, 1000, 1000)
    assert lab.store.data(gid(1)).read_bytes() == origin.files["a"]


async def test_a_failure_is_told_with_its_code_and_message(lab: Lab, origin: Origin) -> None:
    await lab.rpc.add_many([lab.addition(1, origin.url("status/403"))])
    transfer = (await lab.until_ended(1)).transfers[gid(1)]
    assert (transfer.status, transfer.error_code) == (Status.ERROR, "22")
    assert "status=403" in transfer.error_message


async def test_many_are_added_at_once_and_each_answers_for_itself(lab: Lab, origin: Origin) -> None:
    origin.files["a"] = b"x"
    count = 2 * aria2.BATCH_ITEMS_MAX + 1
    additions = [lab.addition(number, origin.url("file/a")) for number in range(1, count + 1)]
    additions[3] = lab.addition(4, "nonsense")
    additions[300] = lab.addition(301, origin.url("file/a"), split="many")
    results = await lab.rpc.add_many(additions)
    refused = {index: str(result) for index, result in enumerate(results) if result is not None}
    assert set(refused) == {3, 300}
    assert refused[3] == "No URI to download."
    assert "--split" in refused[300]
    tick = await lab.until(lambda tick: sum(one.done for one in tick.transfers.values()) == count - 2)
    assert len(tick.transfers) == count - 2


async def test_more_than_a_request_may_hold_is_sent_in_parts(lab: Lab, origin: Origin) -> None:
    long = [origin.url(f"file/{number}{'x' * 8000}") for number in range(64)]
    additions = [lab.addition(number, *long, pause="true") for number in range(1, 41)]
    assert await lab.rpc.add_many(additions) == [None] * 40


async def test_adding_again_what_runs_or_is_complete_counts_as_added(lab: Lab, origin: Origin) -> None:
    origin.files = {"a": b"x", "b": b"y" * (4 << 20)}
    additions = [lab.addition(1, origin.url("file/a")), lab.addition(2, origin.url("slow/b"))]
    await lab.rpc.add_many(additions)
    await lab.until_ended(1)
    assert await lab.rpc.add_many(additions) == [None, None]
    assert len([one for one in origin.asked if one.path == "/file/a"]) == 1


async def test_adding_again_what_failed_tries_anew(lab: Lab, origin: Origin) -> None:
    addition = lab.addition(1, origin.url("file/late"))
    await lab.rpc.add_many([addition])
    assert (await lab.until_ended(1)).transfers[gid(1)].status is Status.ERROR
    origin.files["late"] = b"x"
    assert await lab.rpc.add_many([addition]) == [None]
    await lab.until(lambda tick: tick.transfers[gid(1)].status is Status.COMPLETE)


async def test_a_removed_download_can_be_forgotten(lab: Lab, origin: Origin) -> None:
    origin.files["a"] = b"x" * (8 << 20)
    await lab.rpc.add_many([lab.addition(1, origin.url("slow/a"))])
    await lab.until(lambda tick: tick.transfers[gid(1)].status is Status.ACTIVE)
    await lab.rpc.turn(forget=[gid(1)], remove=[gid(1), gid(99)], add=[])
    await lab.until(lambda tick: tick.transfers[gid(1)].status is Status.REMOVED)
    assert (await lab.rpc.turn(forget=[gid(1), gid(99)], remove=[gid(1)], add=[])).tick.transfers == {}


async def test_no_more_run_at_once_than_was_set(lab: Lab, origin: Origin) -> None:
    origin.files["a"] = b"x" * (8 << 20)
    await lab.rpc.set_concurrency(2)
    await lab.rpc.add_many([lab.addition(number, origin.url("slow/a")) for number in range(1, 6)])

    def states(tick: Tick) -> list[str]:
        return sorted(one.status for one in tick.transfers.values())

    await lab.until(lambda tick: states(tick) == ["active"] * 2 + ["waiting"] * 3)
    await lab.rpc.set_concurrency(4)
    await lab.until(lambda tick: states(tick) == ["active"] * 4 + ["waiting"])


async def test_speed_is_told_while_bytes_arrive(lab: Lab, origin: Origin) -> None:
    origin.files["a"] = b"x" * (8 << 20)
    await lab.rpc.add_many([lab.addition(1, origin.url("slow/a"))])
    tick = await lab.until(lambda tick: tick.speed > 0)
    assert tick.transfers[gid(1)].connections == 1


async def test_a_frozen_daemon_is_told_from_a_dead_one(lab: Lab) -> None:
    pid = lab.daemon.pid
    assert pid is not None
    impatient = lab.client(SHORT_S)
    await impatient.tick()
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(Aria2Frozen):
        await impatient.tick()
    lab.daemon.kill()
    assert await lab.daemon.wait() == -signal.SIGKILL
    with pytest.raises(Aria2Gone):
        await impatient.tick()


async def test_a_daemon_that_freezes_while_a_large_request_is_sent_is_frozen_not_dead(lab: Lab, origin: Origin) -> None:
    pid = lab.daemon.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    long = [origin.url("x" * 8000)] * 64
    additions = [lab.addition(number, *long) for number in range(1, 13)]
    with pytest.raises(Aria2Frozen):
        await lab.client(SHORT_S).add_many(additions)


async def test_a_cancelled_call_does_not_wait_for_a_frozen_daemon(lab: Lab) -> None:
    pid = lab.daemon.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    with anyio.move_on_after(SHORT_S) as scope, anyio.fail_after(2 * SHORT_S):
        await lab.client(timeout_s=2.0).tick()
    assert scope.cancelled_caught


async def test_a_wrong_secret_is_refused(lab: Lab) -> None:
    stranger = Aria2(lab.daemon.port, "guess", CapacityLimiter(1))
    with pytest.raises(Aria2Refused, match="Unauthorized"):
        await stranger.tick()


async def test_an_answer_that_is_no_json_is_nonsense(origin: Origin) -> None:
    stranger = Aria2(origin.port, "secret", CapacityLimiter(1))
    with pytest.raises(Aria2Nonsense):
        await stranger.version()


async def test_an_answer_of_any_length_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aria2, "ANSWER_BYTES_MAX", 1 << 20)
    async with misbehaving() as origin:
        origin.manners["jsonrpc"] = Manner(body=b" " * (8 << 20))
        stranger = Aria2(origin.port, "secret", CapacityLimiter(1))
        with pytest.raises(Aria2Nonsense, match="longer than"):
            await stranger.version()


async def test_an_answer_that_drips_is_not_waited_for_to_its_end() -> None:
    async with misbehaving() as origin:
        origin.manners["jsonrpc"] = Manner(body=b" " * 1000, bytes_per_s=20)
        with anyio.fail_after(WAIT_S), pytest.raises(Aria2Frozen, match="did not end its answer"):
            await Aria2(origin.port, "secret", CapacityLimiter(1), timeout_s=SHORT_S).version()
        origin.cut_all()


async def test_the_secret_is_in_no_process_list_and_no_file_once_started(lab: Lab, tmp_path: Path) -> None:
    secret = lab.daemon.secret
    shown = [process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])]
    assert not [line for line in shown if secret in " ".join(line)]
    left = [path for path in (tmp_path / "state").rglob("*") if path.is_file()]
    assert not [path for path in left if secret in path.read_text()]
    assert secret not in repr(lab.daemon) + repr(lab.rpc)


async def test_the_secret_is_given_in_a_private_file_and_not_in_the_arguments(tmp_path: Path) -> None:
    """aria2c masks its own arguments soon after it started: a stand-in notes what it is given, then fails."""
    noted = tmp_path / "noted"
    spy = tmp_path / "spy"
    conf = '"${1#--conf-path=}"'
    spy.write_text(
        f'#!/bin/sh\n{{ stat -c "mode %a" {conf}; cat {conf}; echo "$*"; }} > {noted}\necho no luck >&2\nexit 1\n'
    )
    spy.chmod(0o755)
    async with Daemon(Lane.SMALL, spy, state=tmp_path, downloads=tmp_path, slots=1) as daemon:
        with pytest.raises(DaemonFailed, match="no luck"):
            await daemon.start()
        assert not daemon.running
        mode, conf_line, arguments = noted.read_text().splitlines()
        assert (mode, conf_line) == ("mode 600", f"rpc-secret={daemon.secret}")
        assert daemon.secret not in arguments


async def test_a_file_that_changed_its_size_under_way_is_a_damaged_partial(lab: Lab, origin: Origin) -> None:
    origin.files["a"] = b"x" * (2 << 20)
    addition = lab.addition(1, origin.url("slow/a"))
    await lab.rpc.add_many([addition])
    await lab.until(lambda tick: tick.transfers[gid(1)].done > 1 << 18)
    await lab.daemon.stop()
    await lab.daemon.start()
    origin.files["a"] = b"y" * (1 << 20)
    lab.rpc = lab.client()
    await lab.rpc.add_many([addition])
    transfer = (await lab.until_ended(1)).transfers[gid(1)]
    assert classify(transfer.error_code, transfer.error_message).failure is FailureClass.DAMAGED


async def test_a_binary_that_cannot_run_is_named(tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    async with Daemon(Lane.SMALL, nowhere, state=tmp_path, downloads=tmp_path, slots=1) as daemon:
        with pytest.raises(DaemonFailed, match="nowhere can't be started"):
            await daemon.start()


async def test_a_port_that_another_program_took_is_given_up_for_another(
    origin: Origin, aria2c: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from node import daemon as module

    free = module._free_port
    ports = iter([origin.port])
    monkeypatch.setattr(module, "_free_port", lambda: next(ports, None) or free())
    async with running(Lane.SMALL, aria2c, tmp_path) as lab:
        assert lab.daemon.port != origin.port
        assert lab.daemon.generation == 2
        assert (await lab.rpc.tick()).transfers == {}


async def test_the_environments_proxies_are_not_obeyed(
    origin: Origin, aria2c: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    origin.files["a"] = b"x"
    async with running(Lane.SMALL, aria2c, tmp_path) as lab:
        await lab.rpc.add_many([lab.addition(1, origin.url("file/a"))])
        assert (await lab.until_ended(1)).transfers[gid(1)].status is Status.COMPLETE


async def test_leaving_the_block_stops_the_child_however_it_is_left(aria2c: Path, tmp_path: Path) -> None:
    started: list[Lab] = []

    async def in_trouble() -> None:
        async with running(Lane.SMALL, aria2c, tmp_path) as lab:
            started.append(lab)
            raise RuntimeError("trouble")

    with pytest.raises(RuntimeError, match="trouble"):
        await in_trouble()
    (lab,) = started
    assert repr(lab.daemon) == "<Daemon small, generation 1, not running>"
    with pytest.raises(Aria2Gone):
        await lab.rpc.tick()


async def test_a_cancelled_owner_stops_its_child(aria2c: Path, tmp_path: Path) -> None:
    with anyio.CancelScope() as scope:
        async with running(Lane.SMALL, aria2c, tmp_path) as lab:
            pid = lab.daemon.pid
            scope.cancel()
            await anyio.sleep_forever()
    assert pid is not None
    assert scope.cancelled_caught
    assert not psutil.pid_exists(pid)


async def test_a_frozen_daemon_can_be_stopped(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.daemon.STOP_GRACE_S", 0.1)
    pid = lab.daemon.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    await lab.daemon.stop()
    assert await lab.daemon.wait() == -signal.SIGKILL


async def test_the_child_is_out_of_reach_of_the_terminals_ctrl_c(lab: Lab) -> None:
    pid = lab.daemon.pid
    assert pid is not None
    assert os.getsid(pid) == pid
    assert repr(lab.daemon) == f"<Daemon small, generation 1, pid {pid} at port {lab.daemon.port}>"


async def test_a_split_download_resumes_after_a_crash_with_the_right_bytes(
    origin: Origin, aria2c: Path, tmp_path: Path
) -> None:
    body = random.Random(7).randbytes(20 << 20)
    origin.files["a"] = body
    async with running(Lane.LARGE, aria2c, tmp_path) as lab:
        control = lab.store.staging(gid(1)) / CONTROL_NAME
        await lab.rpc.add_many([lab.addition(1, origin.url("slow/a"))])
        await lab.until(lambda tick: tick.transfers[gid(1)].done > 5 << 20)
        saved = control.stat().st_mtime_ns
        await lab.until(lambda tick: control.stat().st_mtime_ns > saved)
        lab.daemon.kill()
        await lab.daemon.wait()
        await lab.daemon.start()
        assert lab.daemon.generation == 2

        origin.bytes_sent = 0
        lab.rpc = lab.client()
        assert (await lab.rpc.tick()).transfers == {}
        await lab.rpc.add_many([lab.addition(1, origin.url("slow/a"))])
        tick = await lab.until_ended(1)
        assert tick.transfers[gid(1)].status is Status.COMPLETE
        assert hashlib.sha256(lab.store.data(gid(1)).read_bytes()).digest() == hashlib.sha256(body).digest()
        assert not control.exists()
        assert origin.bytes_sent < len(body) - (4 << 20)
