"""How a node learns what stands at its place: a live subscription for speed, whole readings for truth (rule 7)."""

import random
from collections.abc import Awaitable, Callable, Sequence

import anyio
import msgspec
import structlog

from broker import pull
from broker.connection import Connection
from broker.errors import BrokerError
from broker.listen import Heard, listening
from broker.table import decode_row
from node.agent import Agent
from node.assignments import Assignments, Change
from schemas import codec
from schemas import subjects as s
from schemas.task import StoredRow, TaskRow

log = structlog.get_logger()

READ_EVERY_S = (15.0, 30.0)
"""Spread, so that a fleet does not read in step."""
RETRY_S = 0.5
ASKED_AT_ONCE = 32
"""Tasks of which it is asked whether they have ended; a node holds some thousands at most."""


class Reader:
    """Feeds one agent from the table."""

    def __init__(
        self,
        connection: Connection,
        node: str,
        assignments: Assignments,
        agent: Agent,
        *,
        has_ended: Callable[[str], Awaitable[bool]],
        dice: random.Random | None = None,
    ) -> None:
        """`has_ended`: whether a task's outcome is stored. `dice` spread the readings; a simulation throws its own."""
        self._connection = connection
        self._node = node
        self._assignments = assignments
        self._agent = agent
        self._has_ended = has_ended
        self.has_read = False
        """Whether it is known what stands here."""
        self.read_at = 0.0
        """When the last whole reading began, monotonic seconds."""
        self._again = anyio.Event()
        self._dice = dice or random.Random()  # noqa: S311 - spreads readings, keeps no secrets

    async def run(self) -> None:
        """Read until cancelled: at once, after each reconnect and every half minute."""
        interrupted = False
        async with listening(self._connection, s.node_tasks(self._node), self._hear):
            while True:
                self._again = anyio.Event()
                stop_watching = self._connection.on_reconnect(self._again.set)
                try:
                    await self._read()
                    interrupted = False
                    with anyio.move_on_after(self._dice.uniform(*READ_EVERY_S)):
                        await self._again.wait()
                except BrokerError as error:
                    # Said once: a broker may be away for long.
                    say = log.debug if interrupted else log.warning
                    say("reading the table was interrupted, trying again", problem=str(error))
                    interrupted = True
                    await anyio.sleep(RETRY_S)
                finally:
                    stop_watching()

    def read_again(self) -> None:
        """Read now, not when it is time."""
        self._again.set()

    async def _read(self) -> None:
        began_at = anyio.current_time()
        known = self._assignments.known()
        mine = s.node_tasks(self._node)
        async with pull.snapshot(self._connection, s.TASKS_STREAM, mine, name=self._node) as reading:
            rows = [stored for delivery in await reading.all() if (stored := decode_row(delivery)) is not None]
        changes = self._assignments.take_reading(
            rows, known_before=known, seen_to=reading.at_least, authoritative=reading.authoritative
        )
        held = self._agent.tasks()
        self._agent.take([(task, row) for task, row in changes if row is None or task in held])
        await self._take_up([(task, row) for task, row in changes if row is not None and task not in held])
        self.has_read, self.read_at = True, began_at

    async def _take_up(self, found: Sequence[Change]) -> None:
        """Begin what was not heard of when it was stored, unless it has ended.

        A broker that was killed brings rows back of which a newer one was deleted since. This process knows what it
        finished; one that was started anew would do it again.
        """
        ended: set[str] = set()
        limiter = anyio.CapacityLimiter(ASKED_AT_ONCE)

        async def ask(task: str) -> None:
            async with limiter:
                try:
                    if await self._has_ended(task):
                        ended.add(task)
                except BrokerError as error:  # then it is begun: two outcomes there can't be
                    log.warning("it is not known whether a task has ended", task=task, problem=str(error))

        async with anyio.create_task_group() as asking:
            for task, _ in found:
                asking.start_soon(ask, task)
        for task in ended:
            log.info("a task of the past stands here again: it has ended, nothing is done", task=task)
            self._assignments.settle_for_ever(task)
        known = self._assignments.known()  # meanwhile it may have left, or newer news of it come
        self._agent.take([(task, row) for task, row in found if row is not None and known.get(task) == row.sequence])

    def _hear(self, heard: Heard) -> None:
        """A row that was just stored, or a hint that one was superseded."""
        task = s.parse_task(heard.subject).task
        sequence = int(heard.headers.get(s.SEQUENCE, 0))
        if not heard.data:
            self._agent.take(self._assignments.take_hint(task, sequence))
            return
        try:
            row = codec.decode(heard.data, TaskRow)
        except msgspec.MsgspecError as error:
            log.error("a row can't be read", subject=heard.subject, sequence=sequence, problem=str(error))
            return
        self._agent.take(self._assignments.take_row(StoredRow(sequence, row, 0.0)))
