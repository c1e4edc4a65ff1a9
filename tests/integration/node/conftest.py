"""Real things for the node's tests: an origin, and a binary to download from it with."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from broker.binaries import find_aria2c
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
