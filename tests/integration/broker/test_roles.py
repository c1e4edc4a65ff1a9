"""What each role may not do, tried on a real server."""

from collections.abc import Awaitable, Callable

import anyio
import pytest

from broker.connection import Connection
from broker.errors import PermissionRefused
from broker.listen import Heard, listening
from broker.roles import Role
from schemas import subjects as s
from tests.harness.broker import Broker
from tests.harness.leader import coordinator
from tests.harness.producing import producer
from tests.harness.recorder import recording
from tests.harness.scripted import scripted_node

TASK = "00000000000000aa"
Deed = Callable[[Connection], Awaitable[object]]


def publishes(subject: str) -> Deed:
    return lambda connection: connection.publish(subject, b"{}")


def reads(key: str) -> Deed:
    """A value of the bucket."""
    return publishes(f"$JS.API.DIRECT.GET.{s.BUCKET_STREAM}.{s.bucket_key(key)}")


def hears(subject: str) -> Deed:
    async def deed(connection: Connection) -> None:
        async with listening(connection, subject, lambda heard: None):
            await anyio.sleep_forever()

    return deed


FORBIDDEN: list[tuple[Role, str, Deed]] = [
    (Role.PRODUCER, "ann", publishes(s.requests("bob"))),
    (Role.PRODUCER, "ann", publishes(s.REQUESTS)),
    (Role.PRODUCER, "ann", publishes(s.control("admin", "cancel"))),
    (Role.PRODUCER, "ann", publishes(s.control("bob", "cancel"))),
    (Role.PRODUCER, "ann", publishes(s.task_write("queued", TASK))),
    (Role.PRODUCER, "ann", hears(s.EVENTS_ALL)),
    (Role.PRODUCER, "ann", hears(s.TASKS_TREE)),
    (Role.PRODUCER, "ann", hears("_INBOX.>")),
    (Role.PRODUCER, "ann", publishes(s.node_verb("node-1", "read"))),
    (Role.PRODUCER, "ann", publishes(s.node_verb("node-1", "delete"))),
    (Role.PRODUCER, "ann", publishes(f"$JS.API.STREAM.MSG.GET.{s.PAYLOADS_STREAM}")),
    (Role.PRODUCER, "ann", publishes(f"$JS.API.STREAM.PURGE.{s.PAYLOADS_STREAM}")),
    (Role.VIEWER, "", publishes(s.payload_chunks("x"))),
    (Role.NODE, "node-1", publishes(s.payload_meta("x"))),
    (Role.VIEWER, "", publishes(s.node_verb("node-1", "read"))),
    (Role.VIEWER, "", hears(s.NODE_VERBS_ALL)),
    (Role.VIEWER, "", publishes(s.REQUESTS)),
    (Role.VIEWER, "", publishes(s.event_write(TASK, "queued", "viewer"))),
    (Role.VIEWER, "", hears(s.TASKS_TREE)),
    (Role.VIEWER, "", hears(f"{s.ROOT}.write.>")),
    (Role.NODE, "node-1", publishes(s.heartbeat("node-2"))),
    (Role.NODE, "node-1", publishes(s.progress(TASK, "node-2"))),
    (Role.NODE, "node-1", publishes(s.event_write(TASK, "attempt_failed", "node-2"))),
    (Role.NODE, "node-1", publishes(s.event_write(TASK, "finished.failed", "node-1"))),
    (Role.NODE, "node-1", publishes(s.event_write(TASK, "finished", "node-1"))),
    (Role.NODE, "node-1", publishes(s.event_write(TASK, "queued", "node-1"))),
    (Role.NODE, "node-1", publishes(s.task_write("node-1", TASK))),
    (Role.NODE, "node-1", publishes(s.bucket_key(s.LEADER_KEY))),
    (Role.NODE, "node-1", publishes(s.bucket_key(s.node_lock_key("node-2")))),
    (Role.NODE, "node-1", publishes(s.bucket_key(s.POLICY_KEY))),
    (Role.NODE, "node-1", publishes(s.bucket_key(s.node_settings_key("node-1")))),
    (Role.NODE, "node-1", publishes(s.bucket_key(s.node_share_key("node-1")))),
    (Role.NODE, "node-1", reads(s.POLICY_KEY)),
    (Role.NODE, "node-1", reads(s.node_settings_key("node-2"))),
    (Role.NODE, "node-1", reads(s.node_share_key("node-2"))),
    (Role.NODE, "node-1", reads(s.PLACING_KEY)),
    (Role.NODE, "node-1", publishes(f"$JS.API.STREAM.MSG.GET.{s.BUCKET_STREAM}")),
    (Role.NODE, "node-1", publishes(s.bucket_news(s.node_settings_key("node-1")))),
    (Role.NODE, "node-1", hears(s.bucket_news(s.POLICY_KEY))),
    (Role.NODE, "node-1", hears(s.bucket_news(s.node_settings_key("node-2")))),
    (Role.NODE, "node-1", hears(s.bucket_news(s.node_share_key("*")))),
    (Role.NODE, "node-1", hears(s.node_tasks("node-2"))),
    (Role.NODE, "node-1", publishes(s.node_verb("node-2", "read"))),
    (Role.NODE, "node-1", hears(s.node_verb("node-2", "read"))),
    (Role.NODE, "node-1", hears(s.NODE_VERBS_ALL)),
    (Role.NODE, "node-1", hears("$SRV.>")),
    (Role.NODE, "node-1", hears(s.EVENTS_ALL)),
    (Role.NODE, "node-1", hears("_INBOX.coordinator.>")),
    (Role.OPERATOR, "", publishes(s.task_write("queued", TASK))),
    (Role.OPERATOR, "", hears(s.TASKS_TREE)),
    (Role.OPERATOR, "", hears(s.NODE_VERBS_ALL)),
    (Role.OPERATOR, "", publishes(s.bucket_key(s.POLICY_KEY))),
    (Role.OPERATOR, "", publishes(s.bucket_key(s.node_settings_key("node-1")))),
    (Role.OPERATOR, "", reads(s.POLICY_KEY)),
    (Role.OPERATOR, "", hears(s.bucket_news(s.POLICY_KEY))),
    (Role.PRODUCER, "ann", publishes(s.bucket_key(s.POLICY_KEY))),
    (Role.PRODUCER, "ann", publishes(s.control("admin", "policy-set"))),
    (Role.VIEWER, "", hears(s.bucket_news(s.POLICY_KEY))),
    (Role.GATEWAY, "", publishes(s.bucket_key(s.POLICY_KEY))),
    (Role.COORDINATOR, "", publishes(s.bucket_news(s.POLICY_KEY))),
    (Role.COORDINATOR, "", publishes(s.bucket_key(s.node_lock_key("node-1")))),
    (Role.COORDINATOR, "", publishes(s.node_verb("node-1", "delete"))),
    (Role.COORDINATOR, "", publishes("$JS.API.STREAM.DELETE.TASKS")),
    (Role.COORDINATOR, "", publishes("$JS.API.STREAM.PURGE.EVENTS")),
    (Role.COORDINATOR, "", publishes(s.event_write(TASK, "x", "y").replace(".write", ""))),
]


@pytest.mark.parametrize(("role", "name", "deed"), FORBIDDEN)
async def test_what_is_not_permitted_ends_the_process_at_once(
    broker: Broker, role: Role, name: str, deed: Deed
) -> None:
    with pytest.raises(PermissionRefused), anyio.fail_after(5):
        async with broker.connected(role, name) as connection:
            await deed(connection)
            await anyio.sleep_forever()


async def test_the_whole_pipeline_works_within_the_permissions_of_its_roles(broker: Broker) -> None:
    async with (
        recording(broker) as seen,
        scripted_node(broker) as node,
        producer(broker, "ann") as ann,
        coordinator(broker),
    ):
        task = await ann.submit()
        await node.fail(await node.gets(task))
        await node.complete(await node.gets(task, attempt=2))
        await seen.outcome(task)
        assert seen.kinds(task)[-1] == "finished.completed"


async def test_a_node_can_answer_nothing_that_it_was_not_asked(broker: Broker) -> None:
    heard: list[Heard] = []
    async with broker.connected(Role.OPERATOR) as operator, broker.connected(Role.NODE, "node-2") as other:
        inbox = operator.client.new_inbox()
        async with listening(operator, inbox, heard.append):
            await operator.client.flush()
            await other.publish(inbox, b"an answer in the name of node-1")
            await other.client.flush()
            await operator.client.flush()
    assert heard == []


async def test_a_client_without_credentials_is_turned_away(broker: Broker) -> None:
    from broker.connection import connect

    with pytest.raises(PermissionRefused), anyio.fail_after(10):
        async with connect(broker.url, "", name="stranger", timeout_s=8):
            pass
