"""Streams: made once, made again after they vanished, never silently changed."""

from broker import topology
from broker.roles import Role
from schemas import subjects as s
from schemas.settings import BrokerSettings
from tests.harness.broker import Broker
from tests.harness.leader import coordinator
from tests.harness.producing import producer
from tests.harness.scripted import scripted_node
from tests.harness.waiting import eventually


async def test_ensuring_twice_changes_and_reports_nothing(broker: Broker) -> None:
    async with broker.connected(Role.COORDINATOR) as connection:
        assert await topology.ensure(connection, BrokerSettings()) == []
        assert await topology.ensure(connection, BrokerSettings()) == []


async def test_a_stream_that_differs_is_reported_and_left_as_it_is(broker: Broker) -> None:
    async with broker.connected(Role.ADMIN) as admin, broker.connected(Role.COORDINATOR) as connection:
        info = await admin.api(f"STREAM.INFO.{s.EVENTS_STREAM}")
        await admin.api(f"STREAM.UPDATE.{s.EVENTS_STREAM}", info["config"] | {"max_age": 3600 * 10**9})
        (drift,) = await topology.ensure(connection, BrokerSettings())
        assert drift == f"EVENTS.max_age is {3600 * 10**9}, declared {30 * 24 * 3600 * 10**9}"
        after = await admin.api(f"STREAM.INFO.{s.EVENTS_STREAM}")
        assert after["config"]["max_age"] == 3600 * 10**9


async def test_a_broker_that_came_back_empty_gets_its_streams_again(broker: Broker) -> None:
    import shutil

    async with scripted_node(broker) as node, producer(broker) as ann, coordinator(broker) as leader:
        await leader.until_leading()
        await broker.kill()
        shutil.rmtree(broker.folder / "jetstream")
        await broker.start()
        await eventually(lambda: ann.connection.is_connected)

        async def submitted() -> str | None:
            from broker.errors import BrokerError

            try:
                return await ann.submit(id="after the loss")
            except BrokerError:
                return None

        task = await eventually(submitted, within_s=20)
        assert task is not None
        await node.gets(task, within_s=20)


async def test_a_new_request_is_stored_and_read_under_the_names_of_the_contract(broker: Broker) -> None:
    async with broker.connected(Role.ADMIN) as admin:
        for stream, subject, stored_as in (
            (s.TASKS_STREAM, s.task_write("queued", "t"), s.task("queued", "t")),
            (s.EVENTS_STREAM, s.event_write("t", "queued", "w"), "downloads.events.t.queued.w"),
            (s.REQUESTS_STREAM, s.REQUESTS, s.REQUESTS),
        ):
            await admin.store(subject, b"{}")
            found = await admin.api(f"STREAM.MSG.GET.{stream}", {"last_by_subj": stored_as})
            assert found["message"]["subject"] == stored_as
