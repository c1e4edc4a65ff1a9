"""The in-memory broker's own faults: what a cut, a frozen or a refused connection loses, and what it does not."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest

from broker import topology
from broker.connection import Connection
from broker.errors import Unanswered
from broker.listen import Heard, listening
from broker.table import Table
from schemas import subjects as s
from schemas.settings import BrokerSettings
from tests.harness.waiting import eventually
from tests.sim.broker.client import sim_connection
from tests.sim.broker.frames import ToClient, ToServer
from tests.sim.broker.jetstream import NO_ANSWER, Trouble, Write
from tests.sim.broker.link import Link
from tests.sim.broker.server import SimServer
from tests.sim.contract.raw import EXPLICIT, consumer, fate, info, reading
from tests.sim.contract.test_conditions import TASK, a_row

ROW = s.task_write("a", TASK)
ANYWHERE = s.task_anywhere(TASK)


class SlowLink(Link):
    """Each frame takes its time."""

    def __init__(self, delay_s: float) -> None:
        super().__init__()
        self.delay = delay_s

    def delay_s(self, frame: ToServer | ToClient) -> float:
        return self.delay


@asynccontextmanager
async def connected(server: SimServer, link: Link | None = None) -> AsyncIterator[Connection]:
    async with sim_connection(server, "one", link) as connection:
        await topology.ensure(connection, BrokerSettings())
        yield connection


async def test_frames_of_one_connection_keep_their_order_however_slow_the_first() -> None:
    server, link = SimServer(), SlowLink(0.0)
    heard: list[Heard] = []
    async with connected(server) as ear, sim_connection(server, "two", link) as mouth:
        async with listening(ear, "some.*", heard.append):
            for number in range(5):
                link.delay = 0.1 if number == 0 else 0.0
                await mouth.publish(f"some.{number}", b"")
            await eventually(lambda: len(heard) == 5)
        assert [one.subject for one in heard] == [f"some.{number}" for number in range(5)]


async def test_a_cut_loses_what_is_in_flight_and_the_client_comes_back() -> None:
    server, link = SimServer(), SlowLink(0.0)
    returns: list[bool] = []
    async with connected(server, link) as connection:
        connection.on_reconnect(lambda: returns.append(True))
        link.delay = 0.1
        await connection.publish(ROW, b"lost")
        link.cut()
        link.delay = 0.0
        assert not connection.is_connected
        await connection.publish(s.task_write("b", TASK), b"kept")
        await eventually(lambda: returns == [True])
        assert await fate(connection, ROW, expected="1", of=ANYWHERE) == 2, "only what was sent after the cut is there"


async def test_a_frozen_link_delivers_late_or_is_given_up_by_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.sim.broker.client.PING_EVERY_S", 0.1)
    server, link = SimServer(), Link()
    async with connected(server, link) as connection, sim_connection(server, "two") as other:
        link.freeze()
        await connection.publish(ROW, b"late")
        await anyio.sleep(0.15)
        link.thaw()
        await eventually(lambda: len(server.jetstream.streams[s.TASKS_STREAM].messages) == 1)
        link.freeze()
        await connection.publish(ROW, b"never")
        await eventually(lambda: not connection.is_connected, what="unanswered pings")
        assert server.is_heard(f"{connection._exchange._prefix}1"), "the server has not noticed yet"
        link.thaw()
        await eventually(lambda: connection.is_connected)
        assert await fate(other, ROW, expected="1", of=ANYWHERE) == 2


async def test_a_severed_client_stays_away_until_it_may_come_back() -> None:
    server, link = SimServer(), Link()
    async with connected(server, link) as connection:
        link.sever()
        await anyio.sleep(0.5)
        assert not connection.is_connected
        link.is_reachable = True
        await eventually(lambda: connection.is_connected)


async def test_an_ack_may_be_lost_or_say_what_is_not_known_with_the_write_stored_or_not_or_later() -> None:
    server = SimServer()
    planned: list[Trouble] = []

    def trouble(write: Write) -> Trouble | None:
        return planned.pop() if planned and write.stream == s.TASKS_STREAM else None

    server.before_answer = trouble
    async with connected(server) as connection:
        stored = server.jetstream.streams[s.TASKS_STREAM]
        for number, (is_stored, answer) in enumerate(((True, 10164), (False, 10158), (True, 10008), (False, 10164))):
            planned.append(Trouble(is_stored, answer))
            with pytest.raises(Unanswered):
                await connection.store(s.task_write("a", f"{number}"), b"")
        assert [one.subject[-1] for one in stored.messages.values()] == ["0", "2"]
        planned.append(Trouble(is_stored=True, answer=10164, after_s=0.1))
        with pytest.raises(Unanswered):
            await connection.store(s.task_write("a", "4"), b"")
        assert len(stored.messages) == 2
        await eventually(lambda: len(stored.messages) == 3)
        planned += [Trouble(is_stored=False, answer=10008), Trouble(is_stored=True, answer=10164)]
        assert await Table(connection).write(a_row(nonce="mine"), 0) == 4, "read back by its nonce"
        planned.append(Trouble(is_stored=True, answer=NO_ANSWER))
        with pytest.raises(Unanswered, match="no answer in time"):
            await connection.request(s.task_write("a", "5"), timeout_s=0.05)


async def test_a_crash_may_forget_the_last_acks_but_takes_nothing_from_a_work_queue_back() -> None:
    server = SimServer()
    async with connected(server) as connection:
        for subject in (s.event_write("t", "released", "n"), s.REQUESTS):
            await connection.store(subject, b"")
            await connection.store(subject, b"")
        for stream in (s.EVENTS_STREAM, s.REQUESTS_STREAM):
            await consumer(connection, stream, "c", **EXPLICIT)
            async with reading(connection, stream, "c") as reader:
                for one in await reader.all(2):
                    await reader.answer(one, b"+ACK")
        await connection.client.flush()
        server.crash(forgets_acks_of_s=60)
        server.start()
        await eventually(lambda: connection.is_connected)
        counts = [await info(connection, stream, "c") for stream in (s.EVENTS_STREAM, s.REQUESTS_STREAM)]
        assert [(one["un_acked"], one["floor"]) for one in counts] == [(2, 0), (0, 2)]


async def test_an_ack_that_waits_in_the_server_is_overtaken_by_calls() -> None:
    server = SimServer()
    server.ack_delay_s = lambda: 0.1
    async with connected(server) as connection:
        await connection.store(s.REQUESTS, b"")
        await consumer(connection, s.REQUESTS_STREAM, "c", **EXPLICIT)
        async with reading(connection, s.REQUESTS_STREAM, "c") as reader:
            (one,) = await reader.all(1)
            await reader.answer(one, b"+ACK")
            assert (await info(connection, s.REQUESTS_STREAM, "c"))["un_acked"] == 1

        async def settled() -> bool:
            return (await info(connection, s.REQUESTS_STREAM, "c"))["un_acked"] == 0

        await eventually(settled)


async def test_what_waits_for_a_connection_is_bounded() -> None:
    server, link = SimServer(), Link()
    async with connected(server, link) as connection:
        link.sever()
        with pytest.raises(Unanswered):
            for _ in range(10):
                await connection.publish("some.subject", b"x" * 500_000)
