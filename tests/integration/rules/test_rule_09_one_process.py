"""Rule 9: one process for each node id; a crashed one's successor need not wait."""

from pathlib import Path

import anyio
import pytest

from broker.connection import Connection, connect
from broker.lease import stands
from broker.roles import Role
from node.lock import NodeIdTaken, NodeLock, own_state_folder
from schemas import subjects as s
from tests.harness.broker import Broker
from tests.harness.link import linked
from tests.harness.waiting import eventually


def test_a_state_folder_has_one_owner(tmp_path: Path) -> None:
    with (
        own_state_folder(tmp_path, "node-1", "first"),
        pytest.raises(NodeIdTaken, match="another process runs as node 'node-1'"),
        own_state_folder(tmp_path, "node-1", "second"),
    ):
        pass


def test_a_state_folder_remembers_who_ran_there_before(tmp_path: Path) -> None:
    for instance in ("first", "second"):
        with own_state_folder(tmp_path, "node-1", instance):
            pass
    with own_state_folder(tmp_path, "node-1", "third") as before:
        assert before == {"first", "second"}


async def test_the_second_process_of_an_id_is_turned_away_and_told_who_has_it(broker: Broker) -> None:
    async with broker.connected(Role.NODE, "node-1") as one, broker.connected(Role.NODE, "node-1") as two:
        await NodeLock(one, "node-1", "first").acquire(frozenset())
        with pytest.raises(NodeIdTaken, match=r"node 'node-1' runs already on .* \(pid \d+\)"), anyio.fail_after(5):
            await NodeLock(two, "node-1", "second").acquire(frozenset())


async def test_the_successor_of_a_crashed_process_takes_its_key_at_once(broker: Broker) -> None:
    async with broker.connected(Role.NODE, "node-1") as one, broker.connected(Role.NODE, "node-1") as two:
        await NodeLock(one, "node-1", "crashed").acquire(frozenset())
        with anyio.fail_after(2):
            await NodeLock(two, "node-1", "successor").acquire(frozenset({"crashed"}))


async def test_it_knows_whether_that_had_let_it_go(broker: Broker) -> None:
    async with broker.connected(Role.NODE, "node-1") as one, broker.connected(Role.NODE, "node-1") as two:
        first = NodeLock(one, "node-1", "first")
        await first.acquire(frozenset())
        second = NodeLock(two, "node-1", "second")
        await second.acquire(frozenset({"first"}))
        await second.release()
        third = NodeLock(one, "node-1", "third")
        await third.acquire(frozenset({"first", "second"}))
        assert [lock.took_over for lock in (first, second, third)] == [False, True, False]


async def test_a_lock_is_sure_for_its_life_from_before_it_was_asked_for_and_new_once_it_ran_out(broker: Broker) -> None:
    async with linked(broker.server.port) as link:
        url, creds = f"nats://{link.address}", broker.creds(Role.NODE, "node-1")
        async with connect(url, creds, name="node", timeout_s=10) as connection, anyio.create_task_group() as tasks:
            lock = NodeLock(connection, "node-1", "i", lost_after_s=2)
            asked_at = anyio.current_time()
            await lock.acquire(frozenset())
            first = lock.acquired_at
            assert asked_at + lock.ttl_s <= lock.sure_until <= anyio.current_time() + lock.ttl_s
            tasks.start_soon(lock.keep)
            await eventually(lambda: lock.sure_until > first + 1.5 * lock.ttl_s, what="renewed")
            assert lock.acquired_at == first, "it has been ours all the time"
            link.silence()
            await eventually(lambda: anyio.current_time() > lock.sure_until)
            async with broker.connected(Role.COORDINATOR) as leader:
                await eventually(lambda: _is_free(leader), within_s=1.5, what="the key runs out soon after")
            await link.mend()
            await eventually(lambda: lock.sure_until > anyio.current_time(), what="ours again")
            assert lock.acquired_at > first
            tasks.cancel_scope.cancel()


async def _is_free(leader: Connection) -> bool:
    return not await stands(leader, s.node_lock_key("node-1"))


async def test_a_process_that_lost_its_key_to_another_ends(broker: Broker) -> None:
    async with broker.connected(Role.NODE, "node-1") as one, broker.connected(Role.NODE, "node-1") as two:
        frozen = NodeLock(one, "node-1", "frozen", lost_after_s=1)
        await frozen.acquire(frozenset())
        await NodeLock(two, "node-1", "other").acquire(frozenset({"frozen"}))
        with pytest.raises(NodeIdTaken), anyio.fail_after(5):
            await frozen.keep()
