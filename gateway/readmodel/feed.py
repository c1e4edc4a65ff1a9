"""Reading TASKS and EVENTS into the read model: whole at the start and after a loss, live in between."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol, TypeVar

import anyio
import msgspec
import structlog

from broker import consumers, pull
from broker.connection import Connection
from broker.errors import BrokerError, Unanswered
from broker.follow import OUTCOMES, Follower, following
from broker.listen import Heard, listening
from broker.outcomes import start_of_latest
from broker.table import MARKER, decode_row
from gateway.readmodel.store import Store
from schemas import codec
from schemas import subjects as s
from schemas.event import Dismissed, Finished
from schemas.heartbeat import Heartbeat, Progress
from schemas.task import StoredRow

log = structlog.get_logger()

RETRY_S = 0.5
BATCH = 500
MORE = 50_000
"""So many outcomes beyond those that are kept are read rather than have the broker count where to begin: 5 s."""
_DISMISSED = s.events_of("*", "dismissed")
AUDIT_EVERY_S = 300.0
"""Both streams are looked over again: what left them without a word is forgotten."""
T = TypeVar("T")


class Model(Protocol):
    """What is told of everything that is read."""

    is_ready: bool

    @property
    def is_behind(self) -> bool: ...
    async def settle(self) -> None: ...
    async def using(self, work: Callable[[Store], T], *, is_long: bool = False) -> T: ...
    def row_came(self, stored: StoredRow) -> None: ...
    def row_seen(self, task: str) -> None: ...
    def ended_came(self, task: str, body: bytes, sequence: int) -> None: ...
    def dismissed_came(self, task: str, sequence: int) -> None: ...
    def progress_came(self, progress: Progress) -> None: ...
    def beat_came(self, beat: Heartbeat) -> None: ...


class Feed:
    """Reads for one model."""

    def __init__(self, connection: Connection, model: Model, history_max: int) -> None:
        self._connection = connection
        self._model = model
        self._history_max = history_max
        self._outcomes_read = anyio.Event()

    async def run(self) -> None:
        """Read until cancelled."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._follow_outcomes)
            await self._outcomes_read.wait()  # an outcome outweighs a row, so it comes first
            tasks.start_soon(self._hear)
            while True:
                try:
                    await self._follow_rows()
                except BrokerError as error:
                    log.warning("reading the table was interrupted, reading it again", problem=str(error))
                    await anyio.sleep(RETRY_S)

    async def _follow_outcomes(self) -> None:
        while True:
            try:
                await self._look_at_log()
                await self._read_history()
                start = await self._model.using(lambda store: store.log_read_to)
                async with following(self._connection, start, kinds=(OUTCOMES, "dismissed")) as follower:
                    await self._read_outcomes(follower)
            except BrokerError as error:
                log.warning("reading the log was interrupted, reading it again", problem=str(error))
                await anyio.sleep(RETRY_S)

    async def _read_history(self) -> None:
        """What is stored is read in bulk, as far back as it is kept. Raises BrokerError.

        Outcomes first, and then what was dismissed of them: of two kinds at once the server takes six times as long to
        find the next one.
        """
        start = await self._model.using(lambda store: store.log_read_to)
        since = await self._model.using(Store.begin_history)
        async with self._stored(s.OUTCOMES_ALL, start) as found:
            is_kept = found.pending <= self._history_max + MORE
            if is_kept:
                await self._take_outcomes(found)
        if not is_kept:
            start = max(start, await start_of_latest(self._connection, self._history_max))
            async with self._stored(s.OUTCOMES_ALL, start) as found:
                await self._take_outcomes(found)
        async with self._stored(_DISMISSED, since) as found:
            await self._take_dismissals(found)
        await self._model.using(Store.end_history)

    def _stored(self, events: str, start: int) -> AbstractAsyncContextManager[pull.Snapshot]:
        return pull.snapshot(self._connection, s.EVENTS_STREAM, events, after=start)

    @asynccontextmanager
    async def _without_orders(self, coming: int) -> AsyncIterator[None]:
        """While so much is read."""
        await self._model.using(lambda store: store.put_off_orders(coming))
        try:
            yield
        finally:
            with anyio.CancelScope(shield=True):
                await self._model.using(Store.make_orders, is_long=True)

    async def _take_outcomes(self, found: pull.Snapshot) -> None:
        async with self._without_orders(found.pending):
            async for batch in found.batches():
                for delivery in batch:
                    self._model.ended_came(s.task_of_event(delivery.subject), delivery.data, delivery.sequence)
                if self._model.is_behind:
                    await self._model.settle()
            await self._model.settle()

    async def _take_dismissals(self, found: pull.Snapshot) -> None:
        """As far as outcomes were read: whoever follows the log from there on finds the rest."""
        read_to = await self._model.using(lambda store: store.log_read_to)
        async for batch in found.batches():
            for delivery in batch:
                if delivery.sequence <= read_to:
                    self._model.dismissed_came(s.task_of_event(delivery.subject), delivery.sequence)
            await self._model.settle()

    async def _read_outcomes(self, follower: Follower) -> None:
        """Until it is time to look the log over again."""
        end_at = anyio.current_time() + AUDIT_EVERY_S
        while anyio.current_time() < end_at or not follower.is_caught_up:
            found = await follower.next()
            if found is not None and isinstance(found.event, Finished):
                self._model.ended_came(found.event.task, codec.encode(found.event), found.sequence)
            elif found is not None and isinstance(found.event, Dismissed):
                self._model.dismissed_came(found.event.task, found.sequence)
            if self._model.is_behind:
                await self._model.settle()
            if follower.is_caught_up and not self._outcomes_read.is_set():
                await self._model.settle()
                self._outcomes_read.set()

    async def _look_at_log(self) -> None:
        """What the log does not hold any more is forgotten; all of it, where the log was made anew."""
        info = await self._connection.api(f"STREAM.INFO.{s.EVENTS_STREAM}")
        created, first = str(info["created"]), int(info["state"]["first_seq"])

        def compare(store: Store) -> None:
            if store.fact("log_created") != created:
                store.forget_ended()
                store.note("log_created", created)
            store.forget_before(first)

        await self._model.using(compare)

    async def _look_at_table(self) -> None:
        """Before it is read whole: where the table was made anew, nothing is left of the old one."""
        created = str((await self._connection.api(f"STREAM.INFO.{s.TASKS_STREAM}"))["created"])

        def compare(store: Store) -> None:
            if store.fact("table_created") != created:
                store.forget_live()
                store.note("table_created", created)
            store.begin_reading()

        await self._model.using(compare)

    async def _follow_rows(self) -> None:
        """Read the table whole, then what comes, until it is to be read whole again."""
        await self._look_at_table()
        made = consumers.short_lived(
            self._connection, s.TASKS_STREAM, (s.TASKS_ALL,), kind="rows", deliver_policy="last_per_subject"
        )
        reconnects = self._connection.reconnects
        async with made as (name, info), pull.reading(self._connection, s.TASKS_STREAM, name, batch=BATCH) as reader:
            left = int(info["num_pending"])
            async with self._without_orders(left):
                number, read_to = await self._read_whole(reader) if left else (0, 0)
            gone = await self._model.using(lambda store: store.finish_reading(read_to))
            if gone:
                log.info("tasks that left the table without an outcome are forgotten", tasks=gone)
            self._model.is_ready = True
            end_at = anyio.current_time() + AUDIT_EVERY_S
            while reconnects == self._connection.reconnects and anyio.current_time() < end_at:
                if (delivery := await reader.next()) is None:
                    continue
                number += 1
                if delivery.number != number:
                    log.debug("rows were lost on the way: the table is read again", expected=number)
                    return
                await self._take_row(delivery)

    async def _read_whole(self, reader: pull.Pull) -> tuple[int, int]:
        """All rows there are: how many deliveries those were, and the sequence of the last.

        Rows that change meanwhile come as they are then, so it is over when nothing is pending, not after a count.
        Raises Unanswered where some were lost on the way.
        """
        number = 0
        while (delivery := await reader.next()) is not None:
            number += 1
            if delivery.number != number:
                break
            if (task := s.task_in(delivery.subject)) != MARKER:
                self._model.row_seen(task)
            await self._take_row(delivery)
            if delivery.pending == 0:
                return number, delivery.sequence
        raise Unanswered("some rows were lost on the way")

    async def _take_row(self, delivery: pull.Delivery) -> None:
        if s.task_in(delivery.subject) != MARKER and (stored := decode_row(delivery)) is not None:
            self._model.row_came(stored)
        if self._model.is_behind:
            await self._model.settle()

    async def _hear(self) -> None:
        async with (
            listening(self._connection, s.PROGRESS_ALL, self._progress_came),
            listening(self._connection, s.HEARTBEATS_ALL, self._beat_came),
        ):
            await anyio.sleep_forever()

    def _progress_came(self, heard: Heard) -> None:
        try:
            progress = codec.decode(heard.data, Progress)
        except msgspec.MsgspecError:
            return
        self._model.progress_came(progress)

    def _beat_came(self, heard: Heard) -> None:
        try:
            beat = codec.decode(heard.data, Heartbeat)
        except msgspec.MsgspecError:
            return
        self._model.beat_came(beat)
