"""Reading TASKS and EVENTS into the read model: whole at the start and after a loss, live in between."""

from typing import Protocol
from uuid import uuid4

import anyio
import msgspec
import structlog

from broker import pull
from broker.connection import Connection
from broker.errors import ApiRefused, BrokerError, Unanswered
from broker.follow import OUTCOMES, following
from broker.listen import Heard, listening
from broker.table import MARKER, decode_row
from schemas import codec
from schemas import subjects as s
from schemas.event import Dismissed, Finished
from schemas.heartbeat import Heartbeat, Progress
from schemas.task import StoredRow

log = structlog.get_logger()

RETRY_S = 0.5
BATCH = 500


class Model(Protocol):
    """What is told of everything that is read."""

    progress: dict[str, Progress]
    heartbeats: dict[str, Heartbeat]
    is_ready: bool

    def row_came(self, stored: StoredRow) -> None: ...
    def ended_came(self, event: Finished) -> None: ...
    def dismissed_came(self, event: Dismissed) -> None: ...


class Feed:
    """Reads for one model."""

    def __init__(self, connection: Connection, model: Model) -> None:
        self._connection = connection
        self._model = model
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
                async with following(self._connection, 0, kinds=(OUTCOMES, "dismissed")) as follower:
                    while True:
                        if follower.is_caught_up:
                            self._outcomes_read.set()
                        if (found := await follower.next()) is None:
                            continue
                        if isinstance(found.event, Finished):
                            self._model.ended_came(found.event)
                        elif isinstance(found.event, Dismissed):
                            self._model.dismissed_came(found.event)
            except (ApiRefused, Unanswered) as error:
                log.warning("reading the log was interrupted, reading it again", problem=str(error))
                await anyio.sleep(RETRY_S)

    async def _follow_rows(self) -> None:
        name = f"rows-{uuid4().hex[:12]}"
        info = await pull.create_consumer(
            self._connection,
            s.TASKS_STREAM,
            name,
            (s.TASKS_ALL,),
            deliver_policy="last_per_subject",
            ack_policy="none",
            inactive_threshold=pull.EPHEMERAL_FOR_S * pull.NS,
            mem_storage=True,
            num_replicas=1,
        )
        left = int(info["num_pending"])
        reconnects = self._connection.reconnects
        async with pull.reading(self._connection, s.TASKS_STREAM, name, batch=BATCH) as reader:
            while reconnects == self._connection.reconnects:
                if left <= 0:
                    self._model.is_ready = True
                if (delivery := await reader.next()) is None:
                    continue
                left = min(left - 1, delivery.pending)
                if s.task_in(delivery.subject) != MARKER and (stored := decode_row(delivery)) is not None:
                    self._model.row_came(stored)

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
        self._model.progress[progress.task] = progress

    def _beat_came(self, heard: Heard) -> None:
        try:
            beat = codec.decode(heard.data, Heartbeat)
        except msgspec.MsgspecError:
            return
        self._model.heartbeats[beat.node] = beat
