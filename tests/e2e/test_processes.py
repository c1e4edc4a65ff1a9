"""A coordinator and a node of their own, as a service manager would run them."""

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from anyio.abc import Process

from broker.roles import Role
from tests.harness.broker import Broker
from tests.harness.processes import COMMAND, environment
from tests.harness.waiting import eventually

READY = {Role.COORDINATOR: "leading", Role.NODE: "node ready"}


@asynccontextmanager
async def service(broker: Broker, role: Role, folder: Path) -> AsyncIterator[tuple[Process, Path]]:
    """A ready process and its log."""
    log = folder / f"{role}.log"
    arguments = [
        str(role),
        "--server",
        broker.url,
        "--creds",
        broker.creds(role, "node-1" if role is Role.NODE else ""),
    ]
    if role is Role.NODE:
        arguments += ["--id", "node-1", "--state", str(folder / "state"), "--downloads", str(folder / "files")]
    async with await anyio.open_process(
        [*COMMAND, *arguments],
        cwd=folder,
        env=environment() | {"DOWNDRAFT_LOG_FILE": str(log)},
        stdin=None,
        stdout=None,
        stderr=None,
    ) as process:
        await eventually(lambda: log.exists() and READY[role] in log.read_text(), within_s=20, what=f"{role} ready")
        yield process, log


@pytest.mark.parametrize("role", [Role.COORDINATOR, Role.NODE])
async def test_it_ends_cleanly_when_told_to(broker: Broker, tmp_path: Path, role: Role) -> None:
    async with service(broker, role, tmp_path) as (process, log):
        process.send_signal(signal.SIGTERM)
        with anyio.fail_after(10):
            assert await process.wait() == 0, log.read_text()


@pytest.mark.parametrize("role", [Role.COORDINATOR, Role.NODE])
async def test_it_ends_cleanly_while_the_broker_is_away(broker: Broker, tmp_path: Path, role: Role) -> None:
    async with service(broker, role, tmp_path) as (process, log):
        await broker.kill()
        await eventually(lambda: "lost the broker" in log.read_text())
        process.send_signal(signal.SIGTERM)
        with anyio.fail_after(10):
            assert await process.wait() == 0, log.read_text()


async def test_wrong_credentials_end_it_with_one_clear_sentence(broker: Broker, tmp_path: Path) -> None:
    creds = broker.creds(Role.VIEWER)
    with anyio.fail_after(20):
        done = await anyio.run_process(
            [*COMMAND, "coordinator", "--server", broker.url, "--creds", creds],
            cwd=tmp_path,
            env=environment(),
            check=False,
        )
    assert done.returncode == 1
    last = done.stderr.decode().strip().splitlines()[-1]
    assert "the broker refused coordinator" in last
    assert "--creds" in last


async def test_a_node_that_still_waits_for_a_broker_ends_at_once_when_told_to(tmp_path: Path) -> None:
    log = tmp_path / "node.log"
    async with await anyio.open_process(
        [*COMMAND, "node", "--server", "nats://127.0.0.1:1", "--state", "s", "--downloads", "d"],
        cwd=tmp_path,
        env=environment() | {"DOWNDRAFT_LOG_FILE": str(log), "DOWNDRAFT_LOG_LEVEL": "debug"},
        stdin=None,
        stdout=None,
        stderr=None,
    ) as process:
        await eventually(lambda: log.exists() and "broker connection" in log.read_text(), within_s=20)
        process.send_signal(signal.SIGTERM)
        with anyio.fail_after(6):
            assert await process.wait() == 0
