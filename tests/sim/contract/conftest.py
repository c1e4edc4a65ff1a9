"""One real nats-server for all cases, its streams made anew for each; and a new in-memory one for each."""

from collections.abc import AsyncIterator

import pytest

from tests.harness.broker import Broker, running_broker
from tests.sim.contract.brokers import IN_MEMORY, REAL, AnyBroker, SimBroker, begin


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """For the whole suite: the server's process belongs to the loop that started it."""
    return "asyncio"


@pytest.fixture(scope="session")
async def nats_server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Broker]:
    async with running_broker(tmp_path_factory.mktemp("contract")) as running:
        yield running


@pytest.fixture(params=[REAL, IN_MEMORY])
async def broker(request: pytest.FixtureRequest, nats_server: Broker) -> AnyBroker:
    chosen = nats_server if request.param == REAL else SimBroker()
    await begin(chosen)
    return chosen
