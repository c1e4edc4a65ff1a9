"""A cluster of real processes that the tests of a module share, and a real origin."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.harness.processes import Up, running_up
from tests.integration.node.origin import Origin, serve


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """Two nodes; `node-2` has the tag `archive`."""
    folder: Path = tmp_path_factory.mktemp("cluster")
    with running_up(folder, "--node-tag", "node-2:archive") as up:
        yield up


@pytest.fixture
async def origin() -> AsyncIterator[Origin]:
    async with serve() as serving:
        yield serving
