"""Clusters of real processes for one test each."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import structlog

from schemas.settings import LogSettings
from tests.chaos.cluster import Cluster, chaos_cluster
from tests.conftest import required
from tests.harness.hosts import Network, network, usable
from tools.logs import configure


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    """Two nodes and one coordinator, with default settings."""
    async with chaos_cluster(tmp_path) as running:
        yield running


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Cluster]:
    """Two nodes and two coordinators, with default settings."""
    async with chaos_cluster(tmp_path, coordinators=2) as running:
        yield running


@pytest.fixture(autouse=True)
def quiet_log() -> Iterator[None]:
    """The test's own connections lose their broker all the time: what they say of it is noise."""
    configure(LogSettings(level="error"))
    structlog.configure(cache_logger_on_first_use=False)  # kept, a logger would be as quiet in the tests after these
    yield
    structlog.reset_defaults()


@pytest.fixture
def hosts() -> Iterator[Network]:
    """A network of hosts, where this machine allows one."""
    if (why := usable()) and not required("netns"):
        pytest.skip(why)
    with network() as made:
        yield made
