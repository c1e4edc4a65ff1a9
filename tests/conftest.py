"""Fixtures for every suite: real nats-servers on random ports, real processes, nothing mocked."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.harness.broker import Broker, running_broker


@pytest.fixture
def anyio_backend() -> str:
    """nats-py is asyncio only."""
    return "asyncio"


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Broker]:
    """A nats-server of this test's own, with streams and credentials."""
    async with running_broker(tmp_path / "broker") as running:
        yield running


def required(part: str) -> bool:
    """Whether a missing part is a failure here (DOWNDRAFT_REQUIRE) rather than a skip."""
    return part in os.environ.get("DOWNDRAFT_REQUIRE", "").split(",")
