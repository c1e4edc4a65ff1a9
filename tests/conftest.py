"""Fixtures for every suite: real nats-servers on random ports, real processes, nothing mocked."""

import os
import signal
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


def pytest_configure() -> None:
    """What was started in the background ignores Ctrl-C, and so would every process that tests begin and interrupt."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


LONGEST_FIRST = ("e2e/test_examples.py", "sim/test_", "chaos/", "web/", "gateway/", "e2e/", "integration/")
"""Where the tests are that take longest: begun first, they leave no worker alone with one at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files in an order that keeps all workers busy; `--no-loadscope-reorder` has them handed out in it."""

    def rank(item: pytest.Item) -> int:
        within = item.path.relative_to(Path(__file__).parent).as_posix()
        return next((rank for rank, long in enumerate(LONGEST_FIRST) if within.startswith(long)), len(LONGEST_FIRST))

    items.sort(key=rank)


def required(part: str) -> bool:
    """Whether a missing part is a failure here (DOWNDRAFT_REQUIRE) rather than a skip."""
    return part in os.environ.get("DOWNDRAFT_REQUIRE", "").split(",")
