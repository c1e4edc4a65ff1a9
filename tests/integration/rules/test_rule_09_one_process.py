"""Rule 9: one process for each node id; a crashed one's successor need not wait."""

from pathlib import Path

import anyio
import pytest

from broker.roles import Role
from node.lock import NodeIdTaken, NodeLock, own_state_folder
from tests.harness.broker import Broker


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


async def test_a_process_that_lost_its_key_to_another_ends(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.lock.RENEW_EVERY_S", 0.1)
    async with broker.connected(Role.NODE, "node-1") as one, broker.connected(Role.NODE, "node-1") as two:
        frozen = NodeLock(one, "node-1", "frozen")
        await frozen.acquire(frozenset())
        await NodeLock(two, "node-1", "other").acquire(frozenset({"frozen"}))
        with pytest.raises(NodeIdTaken), anyio.fail_after(5):
            await frozen.keep()
