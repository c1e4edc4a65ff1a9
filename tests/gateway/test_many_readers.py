"""Two hundred clients follow two hundred events a second, and each is told all of them."""

import re
import socket
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import anyio
import anyio.to_thread
import psutil
import pytest
from yarl import URL

from broker.connection import connect
from broker.eventlog import EventLog
from gateway.hub import KEPT_BYTES_MAX
from gateway.sse import SLOW_S
from schemas.event import Queued
from tests.examples import a_task
from tests.gateway.streams import EVENTS, calling, key_of, url_of
from tests.harness.processes import Up, running_up
from tests.harness.waiting import eventually

READERS = 200
RATE = 200
MIB = 1 << 20


class Reader:
    """Keeps what it is told, and how late the events were."""

    def __init__(self) -> None:
        self.text = bytearray()
        self.late_s: list[float] = []

    async def read(self, session: aiohttp.ClientSession, count: int, ready: anyio.CapacityLimiter) -> None:
        async with session.get(EVENTS, params={"type": "queued"}) as answer:
            assert answer.status == 200, await answer.text()
            seen = 0
            async for chunk in answer.content.iter_any():
                if not self.text:
                    ready.release_on_behalf_of(self)
                self.text += chunk
                now = datetime.now(UTC)
                told = re.findall(rb'"time":"([^"]+)"', chunk)
                seen += chunk.count(b"\nevent: queued")
                if told:
                    self.late_s.append((now - datetime.fromisoformat(told[0].decode())).total_seconds())
                if seen >= count:
                    return


async def follow(up: Up, readers: int, seconds: float) -> list[Reader]:
    """So many readers, told RATE events a second for so long."""
    count = int(seconds * RATE)
    followers = [Reader() for _ in range(readers)]
    began = anyio.CapacityLimiter(readers)
    for one in followers:
        await began.acquire_on_behalf_of(one)
    async with (
        connect(up.url, up.creds("coordinator"), name="test") as connection,
        calling(up, within_s=100) as session,
        anyio.create_task_group() as tasks,
    ):
        for one in followers:
            tasks.start_soon(one.read, session, count, began)
        with anyio.fail_after(60):
            while began.borrowed_tokens:
                await anyio.sleep(0.05)
        log = EventLog(connection, "coordinator")
        start = anyio.current_time()
        for number in range(count):
            await log.emit(Queued(task=a_task(number + 1), owner="default", time=datetime.now(UTC), name=f"n{number}"))
            await anyio.sleep_until(start + (number + 1) / RATE)
    return followers


def check(followers: list[Reader], seconds: float) -> None:
    expected = [f"n{number}" for number in range(int(seconds * RATE))]
    for one in followers:
        assert re.findall(r'"name":"(n\d+)"', one.text.decode()) == expected
    late = sorted(late for one in followers for late in one.late_s)
    print(f"late: p50 {late[len(late) // 2]:.3f} s, p99 {late[len(late) * 99 // 100]:.3f} s, max {late[-1]:.3f} s")


@pytest.mark.slow
async def test_two_hundred_readers_are_told_everything_at_two_hundred_events_a_second(tmp_path: Path) -> None:
    with running_up(tmp_path, "--nodes", "1", gateway=True) as up:
        gateway = psutil.Process(up.pid("gateway"))
        before, busy = gateway.memory_info().rss, sum(gateway.cpu_times()[:2])
        followers = await follow(up, READERS, 3)
        used = sum(gateway.cpu_times()[:2]) - busy
        print(f"the gateway took {used:.1f} s of CPU, and {(gateway.memory_info().rss - before) / MIB:.0f} MiB more")
        check(followers, 3)


@pytest.mark.slow
async def test_they_are_for_a_minute(tmp_path: Path) -> None:
    with running_up(tmp_path, "--nodes", "1", gateway=True) as up:
        check(await follow(up, READERS, 60), 60)


@pytest.mark.slow
async def test_a_reader_that_stops_reading_costs_little_and_is_told_why_it_was_dropped(tmp_path: Path) -> None:
    with running_up(tmp_path, "--nodes", "1", gateway=True) as up:
        gateway = psutil.Process(up.pid("gateway"))
        url = URL(url_of(up))
        with socket.socket() as stuck:
            stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            stuck.connect((url.host or "", url.port or 0))
            stuck.sendall(f"GET {EVENTS} HTTP/1.1\r\nHost: x\r\nX-API-Key: {key_of(up)}\r\n\r\n".encode())
            assert await anyio.to_thread.run_sync(stuck.recv, 4096)
            before = gateway.memory_info().rss
            async with connect(up.url, up.creds("coordinator"), name="test") as connection:
                log = EventLog(connection, "coordinator")
                for number in range(30_000):
                    about = {"task": a_task(number + 1), "owner": "default", "name": "x" * 2000}
                    await log.emit(Queued(time=datetime.now(UTC), **about))  # type: ignore[arg-type]
                    if number % 100 == 0:
                        await anyio.sleep(0.01)

            def is_noticed() -> bool:
                return "an event stream was ended" in up.log("gateway")

            await anyio.sleep(SLOW_S)  # what is waited for begins once the client reads again
            more = gateway.memory_info().rss - before
            text = bytearray()
            stuck.settimeout(30)
            while chunk := await anyio.to_thread.run_sync(stuck.recv, 1 << 20):
                text += chunk
                if text.endswith(b"0\r\n\r\n"):
                    break
            assert b"event: dropped" in text[-1000:]
            await eventually(is_noticed)
            print(f"a stuck reader: {more / MIB:.0f} MiB more, {len(text) / MIB:.1f} MiB were on their way")
            assert more < 2 * KEPT_BYTES_MAX + 32 * MIB
