"""Real things for the node's tests: an origin, and a binary to download from it with."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from broker.binaries import find_aria2c
from tests.harness.bad_origin import BadOrigin, misbehaving
from tests.harness.broker import Broker
from tests.harness.node import Rig, rig
from tests.integration.node.origin import Origin, serve


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def origin() -> AsyncIterator[Origin]:
    async with serve() as serving:
        yield serving


@pytest.fixture(scope="session")
def aria2c() -> Path:
    return find_aria2c("")


@pytest.fixture
async def bad() -> AsyncIterator[BadOrigin]:
    async with misbehaving() as origin:
        yield origin


@pytest.fixture
async def node(broker: Broker, tmp_path: Path) -> AsyncIterator[Rig]:
    async with rig(broker, tmp_path) as running:
        yield running
