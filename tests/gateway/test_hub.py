"""One reading of the log for many: nothing missed, nothing twice, and nobody queued for."""

import json
from datetime import UTC, datetime

import anyio
import pytest

from broker.roles import Role
from gateway import hub as hub_module
from gateway import sse
from gateway.eventfilter import EventFilter, TraitBook
from gateway.hub import Kept
from gateway.logreader import LogReader, reading_log
from gateway.pouring import Write
from gateway.problems import ProblemError
from schemas import subjects as s
from schemas.event import Resumed
from schemas.lifecycle import State
from schemas.view import TaskView
from tests.examples import a_task
from tests.gateway.hubs import NoModel, running, write
from tests.harness.broker import Broker
from tests.harness.waiting import eventually

WITHIN_S = 60


async def names(reader: LogReader, count: int) -> list[str]:
    """Of the next events, so many."""
    found: list[str] = []
    with anyio.fail_after(WITHIN_S):
        while len(found) < count:
            found += [kept.event.name for kept in await reader.next(7)]
    return found


def named(start: int, end: int) -> list[str]:
    return [f"n{number}" for number in range(start, end)]


async def test_whoever_listens_is_told_of_each_event_once(broker: Broker) -> None:
    async with running(broker) as (hub, _, log):
        await write(log, 1)
        heard: list[Kept] = []
        also: list[Kept] = []
        with hub.listening(heard.append), hub.listening(also.append):
            await hub.until_ready()
            await write(log, 2, 3)
            await eventually(lambda: [kept.event.name for kept in heard] == named(2, 4))
        await write(log, 4)
        assert heard == also


async def test_a_reader_goes_from_the_log_to_what_happens_without_a_gap(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "KEPT_MAX", 10)
    async with running(broker) as (hub, connection, log):
        await write(log, *range(1, 40))
        async with reading_log(hub, connection, 0) as reader, anyio.create_task_group() as tasks:
            tasks.start_soon(write, log, *range(40, 80))
            assert await names(reader, 79) == named(1, 80)
            await eventually(lambda: hub.position == 79)
            await write(log, *range(80, 120))  # more than is kept, while nobody reads
            await eventually(lambda: hub.first > 100)
            assert reader.is_behind
            assert await names(reader, 40) == named(80, 120)


async def test_readers_go_on_when_the_broker_restarts(broker: Broker) -> None:
    async with running(broker) as (hub, connection, log), reading_log(hub, connection, None) as reader:
        await write(log, 1, 2)
        assert await names(reader, 2) == named(1, 3)
        await broker.restart()
        await write(log, 3, 4)
        assert await names(reader, 2) == named(3, 5)


async def test_the_log_is_read_only_while_somebody_follows_it(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "LINGER_S", 0.1)
    async with running(broker) as (hub, connection, log), broker.connected(Role.ADMIN) as admin:

        async def consumers() -> int:
            return int((await admin.api("STREAM.INFO.EVENTS"))["state"]["consumer_count"])

        assert await consumers() == 0
        with hub.used():
            await hub.until_ready()
            assert await consumers() == 1

        async def has_ended() -> bool:
            return await consumers() == 0

        await eventually(has_ended)
        await write(log, 1)
        async with reading_log(hub, connection, None) as reader:
            await write(log, 2)
            assert await names(reader, 1) == ["n2"]


class Written(Write):
    """Takes what is sent, as slowly as it is told."""

    def __init__(self, waited_s: float) -> None:
        self.waited_s = self._each_s = waited_s
        self.text = ""

    async def __call__(self, data: bytes) -> None:
        self.text += data.decode()
        self.waited_s = self._each_s

    def kinds(self) -> list[str]:
        return [line.removeprefix("event: ") for line in self.text.splitlines() if line.startswith("event: ")]


def may_read() -> None:
    """Always."""


async def test_a_reader_that_takes_nothing_for_long_is_dropped_with_a_reason(broker: Broker) -> None:
    async with running(broker) as (hub, connection, _), reading_log(hub, connection, None) as reader:
        written = Written(waited_s=sse.SLOW_S + 1)
        stream = sse.EventStream(written, hub, reader, EventFilter(), TraitBook(NoModel()), may_read)
        with anyio.fail_after(WITHIN_S):
            assert await stream.run(progress=False)
        assert written.kinds()[-1] == "dropped"
        reason = json.loads(written.text.splitlines()[-2].removeprefix("data: "))["reason"]
        assert "nothing was read" in reason


async def test_a_reader_that_falls_behind_what_is_kept_is_dropped_if_it_is_slow(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "KEPT_MAX", 10)
    async with running(broker) as (hub, connection, log), reading_log(hub, connection, None) as reader:
        written = Written(waited_s=sse.SLOWISH_S + 1)

        class Falling(sse.EventStream):
            async def _news(self) -> list[bytes]:
                await write(log, *range(40))
                await eventually(lambda: hub.position == 40)
                return []

        stream = Falling(written, hub, reader, EventFilter(), TraitBook(NoModel()), may_read)
        with anyio.fail_after(WITHIN_S):
            assert await stream.run(progress=False)
        assert written.kinds()[-1] == "dropped"


async def test_a_stream_ends_when_its_reader_may_not_read_any_more(broker: Broker) -> None:
    def may_not() -> None:
        raise ProblemError(401, "no more")

    async with running(broker) as (hub, connection, _), reading_log(hub, connection, None) as reader:
        written = Written(0)
        assert await sse.EventStream(written, hub, reader, EventFilter(), TraitBook(NoModel()), may_not).run(
            progress=False
        )
        assert written.kinds() == ["position", "dropped"]


async def test_who_wants_few_events_is_told_all_the_same_how_far_the_log_is(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sse, "POSITION_EVERY", 5)
    async with running(broker) as (hub, connection, log), reading_log(hub, connection, None) as reader:
        written = Written(0)
        stream = sse.EventStream(
            written, hub, reader, EventFilter(owners=frozenset(("ann",))), TraitBook(NoModel()), may_read
        )
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: stream.run(progress=False))
            await eventually(lambda: written.kinds() == ["position"])
            await write(log, *range(20), owner="bob")
            await eventually(lambda: len(written.kinds()) > 1)
            assert set(written.kinds()) == {"position"}
            hub.close()


async def test_what_is_missing_is_told_with_an_id_before_the_events_that_are_not(broker: Broker) -> None:
    async with running(broker) as (hub, connection, log), broker.connected(Role.ADMIN) as admin:
        await write(log, *range(40))
        await admin.api(f"STREAM.PURGE.{s.EVENTS_STREAM}", {"seq": 21})
        async with reading_log(hub, connection, 5) as reader, anyio.create_task_group() as tasks:
            written = Written(0)
            stream = sse.EventStream(written, hub, reader, EventFilter(), TraitBook(NoModel()), may_read)
            tasks.start_soon(lambda: stream.run(progress=False))
            await eventually(lambda: written.kinds().count("queued") == 20, within_s=WITHIN_S)
            hub.close()
        ids = [int(line.removeprefix("id: ")) for line in written.text.splitlines() if line.startswith("id: ")]
        assert written.kinds()[:2] == ["position", "gap"]
        assert ids == [5, *range(20, 41)], "who leaves after the gap, and comes again, misses nothing"


async def test_who_chooses_by_tags_waits_until_they_are_known(broker: Broker) -> None:
    class Model(NoModel):
        is_ready = False

        async def get(self, task: str) -> TaskView | None:
            tags = ("eu",) if self.is_ready else ()
            return TaskView(task=task, owner="default", state=State.QUEUED, tags=tags)

    model = Model()
    async with running(broker) as (hub, connection, log), reading_log(hub, connection, 0) as reader:
        written = Written(0)
        wanted = EventFilter(tags=frozenset(("eu",)), kinds=frozenset(("resumed",)))
        stream = sse.EventStream(written, hub, reader, wanted, TraitBook(model), may_read)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: stream.run(progress=False))
            await log.report(Resumed(task=a_task(1), owner="default", time=datetime.now(UTC)))
            await eventually(lambda: hub.position == 1)
            assert written.kinds() == ["position"]
            model.is_ready = True
            await eventually(lambda: written.kinds()[1:] == ["resumed"])
            hub.close()
