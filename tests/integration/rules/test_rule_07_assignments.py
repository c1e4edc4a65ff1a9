"""Rule 7: an assignment is state: a node that missed every message still finds its work, and drops what left."""

import anyio

from broker import pull
from broker.connection import Connection
from broker.eventlog import EventLog
from broker.roles import Role
from coordinator import moves
from node.assignments import Assignments
from node.reader import Reader
from schemas import subjects as s
from tests.harness.broker import Broker
from tests.harness.leader import bare_term
from tests.harness.waiting import eventually
from tests.integration.rules.test_rule_02_places import TASK, a_row


class FakeAgent:
    """Stands where the agent stands: it keeps what it was told."""

    def __init__(self) -> None:
        self.holds: dict[str, int] = {}

    def tasks(self) -> frozenset[str]:
        return frozenset(self.holds)

    def take(self, changes) -> None:  # type: ignore[no-untyped-def]
        for task, assigned in changes:
            if assigned is None:
                self.holds.pop(task, None)
            else:
                self.holds[task] = assigned.row.attempt


def reader_of(connection: Connection, agent: FakeAgent) -> Reader:
    log = EventLog(connection, "node-1")
    return Reader(connection, "node-1", Assignments("node-1"), agent, has_ended=log.has_ended)  # type: ignore[arg-type]


async def test_a_node_finds_what_was_placed_while_it_was_away(broker: Broker) -> None:
    async with bare_term(broker) as term:
        created = await term.cas(a_row(), 0)
        assert created is not None
        await term.move(moves.placed(created.row, "node-1", "i"), created.sequence)
    agent = FakeAgent()
    async with broker.connected(Role.NODE, "node-1") as connection, anyio.create_task_group() as tasks:
        tasks.start_soon(reader_of(connection, agent).run)
        await eventually(lambda: agent.holds == {TASK: 1})
        tasks.cancel_scope.cancel()


async def test_a_hint_makes_a_node_drop_at_once_what_was_given_away(broker: Broker) -> None:
    agent = FakeAgent()
    async with (
        broker.connected(Role.NODE, "node-1") as connection,
        bare_term(broker) as term,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(reader_of(connection, agent).run)
        created = await term.cas(a_row(), 0)
        assert created is not None
        placed = await term.move(moves.placed(created.row, "node-1", "i"), created.sequence)
        assert placed is not None
        await eventually(lambda: TASK in agent.holds)
        change = moves.given_back(placed.row, "it was lost")
        assert isinstance(change, moves.Requeue)
        assert await term.apply(placed, change)
        await eventually(lambda: TASK not in agent.holds, within_s=2)
        tasks.cancel_scope.cancel()


async def test_a_reading_finds_rows_of_this_node_alone_in_a_large_table(broker: Broker) -> None:
    async with bare_term(broker) as term:
        for index in range(300):
            created = await term.cas(a_row(f"{index + 1:016x}"), 0)
            assert created is not None
            await term.move(moves.placed(created.row, f"node-{index % 3}", "i"), created.sequence)
    async with broker.connected(Role.NODE, "node-1") as connection:
        async with pull.snapshot(connection, s.TASKS_STREAM, s.node_tasks("node-1"), name="node-1") as reading:
            assert len(await reading.all()) == 100
        assert reading.authoritative, "one server: there is no replica to lag"


async def test_a_node_may_not_read_another_nodes_rows(broker: Broker) -> None:
    import pytest

    from broker.errors import PermissionRefused

    with pytest.raises(PermissionRefused):
        async with broker.connected(Role.NODE, "node-1") as connection:
            with anyio.move_on_after(5):
                async with pull.snapshot(connection, s.TASKS_STREAM, s.node_tasks("node-2"), name="node-1"):
                    pass
