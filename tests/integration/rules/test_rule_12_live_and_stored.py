"""Rule 12: live subscriptions die silently when a server restarts; nothing may hang on one."""

import pytest

from broker import consumers
from tests.harness.broker import Broker
from tests.harness.leader import coordinator
from tests.harness.producing import producer
from tests.harness.recorder import recording
from tests.harness.scripted import scripted_node
from tests.harness.waiting import eventually


@pytest.mark.parametrize("times", [1, 2])
async def test_everything_goes_on_after_the_broker_was_killed_and_restarted(broker: Broker, times: int) -> None:
    async with (
        recording(broker) as seen,
        scripted_node(broker) as node,
        producer(broker) as ann,
        coordinator(broker) as leader,
    ):
        await leader.until_leading()
        held = await ann.submit()
        row = await node.gets(held)
        for _ in range(times):
            await broker.restart()
            await eventually(lambda: ann.connection.is_connected and node.connection.is_connected)
        # The inbox, the table's feed, the facts and the placing all have to work again.
        fresh = await ann.submit()
        await node.complete(await node.gets(fresh, within_s=20))
        await node.complete(row)
        await eventually(lambda: leader.leads and len(leader.term.book) == 0, within_s=20)
        await eventually(lambda: {event.task for event in seen.outcomes()} == {held, fresh})


async def test_a_feed_whose_consumer_vanished_is_replaced(broker: Broker) -> None:
    from broker.roles import Role
    from schemas import subjects as s

    async with broker.connected(Role.ADMIN) as admin, producer(broker) as ann, coordinator(broker) as leader:
        await leader.until_leading()
        await eventually(lambda: _consumers(admin, "feed-"))
        for stream in (s.TASKS_STREAM, s.REQUESTS_STREAM, s.EVENTS_STREAM):
            listed = await admin.api(f"CONSUMER.NAMES.{stream}")
            for name in listed["consumers"] or ():
                await consumers.delete(admin, stream, name)
        async with scripted_node(broker) as node:
            task = await ann.submit()
            await node.complete(await node.gets(task, within_s=20))
            await eventually(lambda: len(leader.term.book) == 0, within_s=20)


async def _consumers(admin, prefix: str) -> bool:  # type: ignore[no-untyped-def]
    listed = await admin.api("CONSUMER.NAMES.TASKS")
    return any(name.startswith(prefix) for name in listed["consumers"] or ())
