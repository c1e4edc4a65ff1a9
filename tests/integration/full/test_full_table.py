"""The table is full: nothing more is claimed, what runs ends, and all goes on when there is room."""

import anyio
import pytest

from broker.cluster import open_client
from broker.roles import Role
from coordinator import headroom, intake
from coordinator.headroom import FULL_SHARE
from schemas import subjects as s
from schemas.lifecycle import State
from schemas.task import FailureClass
from tests.harness.broker import STEADY, Broker
from tests.harness.leader import coordinator
from tests.harness.producing import producer
from tests.harness.recorder import recording
from tests.harness.scripted import scripted_node
from tests.harness.waiting import eventually, stays
from tests.integration.control.steps import answering
from tests.integration.full.limits import empty_inbox, fill_up, info, limit, stats

MIB = 1 << 20


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(headroom, "LOOK_EVERY_S", 0.2)
    monkeypatch.setattr(intake, "FULL_RETRY_S", 0.2)


async def test_a_burst_of_large_requests_leaves_the_table_room_to_work_in(broker: Broker) -> None:
    async with producer(broker) as ann, broker.connected(Role.ADMIN) as admin, scripted_node(broker) as node:
        await limit(admin, s.TASKS_STREAM, 4 * MIB)
        for _ in range(30):
            await ann.submit(uris=[f"http://origin.invalid/{mirror}" + "x" * 8_000 for mirror in range(25)])
        async with coordinator(broker, settings=STEADY) as leader:
            await eventually(lambda: len(node.rows) >= 14)
            # A row takes 200 KiB, and while it moves to a node twice that: only what was claimed is bounded.
            await stays(lambda: len(leader.term.book) <= FULL_SHARE * 4 * MIB // 200_000 + 1, for_s=1.5)
            while not (await empty_inbox(admin) and not node.rows):
                for _, row in tuple(node.rows.values()):
                    if row.state is State.ASSIGNED:  # an ending row stands where the task stood
                        await node.complete(row)
                    node.rows.pop(row.task)
                await anyio.sleep(0.05)


async def test_a_table_without_any_room_is_taken_over_and_worked_off(broker: Broker) -> None:
    """Not a byte more: no row can be moved, and no marker written. Completions are what makes room."""
    async with (
        producer(broker) as ann,
        broker.connected(Role.ADMIN) as admin,
        scripted_node(broker, slots=2) as node,
        recording(broker) as seen,
        open_client(broker.url, broker.creds(Role.OPERATOR)) as client,
    ):
        async with coordinator(broker, "before") as before:
            ids = [await ann.submit() for _ in range(8)]
            await eventually(lambda: len(node.rows) == 3 and before.leads and len(before.term.book) == 8)
            await eventually(lambda: empty_inbox(admin))
        held = [row for _, row in node.rows.values()]
        await fill_up(admin, s.TASKS_STREAM)
        async with coordinator(broker, "after", STEADY) as after:
            await answering(after, client)
            waits = await ann.submit()
            await node.fail(held[0], FailureClass.PERMANENT)
            await stays(lambda: after.leads and not seen.outcomes(), for_s=0.5, what="no row can be won for an end")
            table = next(store for store in (await stats(client)).stores if store.stream == s.TASKS_STREAM)
            assert table.share == 1
            node.rows.pop(held[0].task)
            while len(seen.outcomes()) < len(ids) + 1:  # each end makes room for the next step
                for _, row in tuple(node.rows.values()):
                    await node.complete(row)
                    node.rows.pop(row.task)
                await anyio.sleep(0.02)
            assert sorted(event.task for event in seen.outcomes()) == sorted([*ids, waits])
            assert [event.task for event in seen.outcomes() if event.kind == "finished.failed"] == [held[0].task]
            assert (await info(admin, s.TASKS_STREAM))["config"]["max_bytes"] == table.max_bytes


async def test_a_leader_survives_a_full_table_and_an_audit_of_it(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    from coordinator import feed

    monkeypatch.setattr(feed, "AUDIT_EVERY_S", 0.1)
    async with (
        producer(broker) as ann,
        broker.connected(Role.ADMIN) as admin,
        scripted_node(broker) as node,
        recording(broker) as seen,
        coordinator(broker, settings=STEADY) as leader,
    ):
        task = await ann.submit()
        row = await node.gets(task)
        term = leader.term
        await fill_up(admin, s.TASKS_STREAM)
        await node.fail(row, FailureClass.PERMANENT)
        await stays(lambda: leader.leads and leader.term is term, for_s=1.0, what="the term goes on")
        await limit(admin, s.TASKS_STREAM, MIB)
        assert (await seen.outcome(task)).kind == "finished.failed"
        assert leader.term is term
