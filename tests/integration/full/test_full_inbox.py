"""The inbox is full: producers are told, what was accepted is kept, and it goes on when there is room."""

import json
import subprocess

import anyio.to_thread
import pytest

from broker.errors import StoreFull
from broker.roles import Role
from schemas import subjects as s
from tests.harness.broker import Broker
from tests.harness.leader import coordinator
from tests.harness.processes import COMMAND, environment
from tests.harness.producing import producer
from tests.harness.recorder import recording
from tests.harness.scripted import scripted_node
from tests.harness.waiting import eventually
from tests.integration.full.limits import empty_inbox, fill_up, info, limit


async def submit(broker: Broker, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [*COMMAND, "submit", "http://origin.invalid/f", *arguments]
    command += ["--server", broker.url, "--creds", broker.creds(Role.PRODUCER)]
    return await anyio.to_thread.run_sync(
        lambda: subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=60, check=False)
    )


async def test_a_producer_is_refused_in_so_many_words_and_may_try_again_later(broker: Broker) -> None:
    async with producer(broker) as ann, broker.connected(Role.ADMIN) as admin, recording(broker) as seen:
        accepted = [await ann.submit() for _ in range(3)]
        await fill_up(admin, s.REQUESTS_STREAM)
        with pytest.raises(StoreFull, match="maximum bytes exceeded"):
            await ann.submit()
        refused = await submit(broker)
        assert refused.returncode == 1
        assert "the inbox is full: try again when the cluster has caught up" in refused.stderr
        async with scripted_node(broker) as node, coordinator(broker):
            await eventually(lambda: empty_inbox(admin), what="claiming makes room, though the limit stays")
            later = await submit(broker, "--json")
            assert later.returncode == 0, later.stderr
            for task in (*accepted, json.loads(later.stdout)["task"]):
                await node.complete(await node.gets(task))
                await seen.outcome(task)
        assert len(seen.outcomes()) == 4


async def test_a_publish_that_asks_for_no_answer_is_not_accepted_and_gets_none(broker: Broker) -> None:
    """That is what `nats pub` without `--jetstream` does: only an acknowledgement is a promise."""
    async with producer(broker) as ann, broker.connected(Role.ADMIN) as admin:
        await ann.submit()
        await fill_up(admin, s.REQUESTS_STREAM)
        await ann.connection.publish(s.REQUESTS, b'{"uris": ["http://origin.invalid/f"]}')
        with pytest.raises(StoreFull):
            await ann.submit()
        assert (await info(admin, s.REQUESTS_STREAM))["state"]["messages"] == 1
        await limit(admin, s.REQUESTS_STREAM, 1 << 20)
        await ann.submit()
