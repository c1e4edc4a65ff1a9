"""What the simulation found once: a direct test of each, in simulated time."""

import random
from collections.abc import Awaitable, Callable

import anyio

from broker.connection import Connection
from broker.errors import Unanswered
from broker.service import service
from tests.sim.broker.client import sim_connection
from tests.sim.broker.link import Link
from tests.sim.broker.server import SimServer
from tests.sim.loop import SimLoop


def in_simulated_time(work: Callable[[], Awaitable[None]]) -> None:
    loop = SimLoop(random.Random(1))
    try:
        loop.run_until_complete(work())
    finally:
        loop.close()


async def _echo(subject: str, body: bytes) -> bytes:
    return body


async def _answer(caller: Connection) -> bytes:
    """Ask until the service is there again."""
    with anyio.fail_after(10):
        while True:
            try:
                return (await caller.request("ask", b"?")).data
            except Unanswered:
                await anyio.sleep(0.1)


def test_a_service_that_starts_while_the_broker_is_silent_answers_once_it_speaks() -> None:
    """A flush that timed out ended the whole process of a new leader or node."""

    async def work() -> None:
        server, link = SimServer(), Link()
        async with sim_connection(server, "service", link) as serving, sim_connection(server, "caller") as caller:
            link.freeze()
            async with service(serving, name="s", version="1.0.0", description="", endpoints={"ask": _echo}):
                link.thaw()
                assert await _answer(caller) == b"?"

    in_simulated_time(work)
