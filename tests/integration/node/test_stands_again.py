"""A broker that was killed brings back a row that another had replaced: its node has finished that task."""

import random
from pathlib import Path

from msgspec.structs import replace

from broker.roles import Role
from broker.table import Table
from schemas.event import Completed
from tests.harness.broker import Broker
from tests.harness.files import files_below
from tests.harness.leader import coordinator
from tests.harness.node import working_node
from tests.harness.producing import producer
from tests.harness.recorder import recording
from tests.harness.waiting import eventually, stays
from tests.integration.node.origin import Origin

MIB = 1 << 20


async def test_a_node_that_is_started_anew_does_not_begin_what_has_ended(
    broker: Broker, tmp_path: Path, origin: Origin
) -> None:
    body = origin.files["f"] = random.Random(1).randbytes(2 * MIB)
    downloads = tmp_path / "downloads"
    async with recording(broker) as seen, producer(broker) as ann, broker.connected(Role.COORDINATOR) as reader:
        table = Table(reader)

        async def is_cleared() -> bool:
            return await table.rows(task) == []

        async with working_node(broker, tmp_path), coordinator(broker, "first"):
            await ann.submit(uris=[origin.url("file/f")], paused=True)  # of a table that is empty nothing comes back
            task = str(await ann.submit(uris=[origin.url("slow/f")], out="f"))
            await eventually(lambda: seen.kinds(task).count("started") == 1)
            stands = (await table.rows(task))[-1]
            assert await table.write(replace(stands.row, nonce="again"), stands.sequence) is not None
            assert isinstance(await seen.outcome(task, within_s=30), Completed)
            await eventually(is_cleared)
            await eventually(lambda: not (downloads / ".downdraft" / task).exists(), within_s=60)
        asked = len(origin.asked)
        await broker.restart()
        assert await reader.until_connected(within_s=10)
        assert [found.sequence for found in await table.rows(task)] == [stands.sequence]
        async with working_node(broker, tmp_path):
            later = str(await ann.submit(uris=[origin.url("file/f")], out="later"))
            await stays(lambda: len(origin.asked) == asked, for_s=2, what="it is asked of the origin again")
            async with coordinator(broker, "next"):
                assert isinstance(await seen.outcome(later, within_s=30), Completed)
                await eventually(is_cleared)
        assert seen.kinds(task).count("started") == 1
        assert sorted(one.name for one in files_below(downloads) if ".downdraft" not in one.parts) == ["f", "later"]
        assert (downloads / "f").read_bytes() == body
