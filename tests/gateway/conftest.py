"""A cluster with a gateway that the tests of a file share.

A file may say `ARGUMENTS = ("--nodes", "2")` of `downdraft up`, and `SETTINGS = {"DOWNDRAFT_GATEWAY_JSONP": "true"}`.
"""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.harness.processes import Up, running_up
from tests.harness.web import Web, browsing
from tests.integration.node.origin import Origin, serve


@pytest.fixture(scope="module")
def up(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """A cluster of one node, unless the file says otherwise, with a gateway."""
    arguments = getattr(request.module, "ARGUMENTS", ("--nodes", "1"))
    settings = getattr(request.module, "SETTINGS", {})
    with running_up(tmp_path_factory.mktemp("gateway"), *arguments, gateway=True, **settings) as running:
        yield running


@pytest.fixture
async def web(up: Up) -> AsyncIterator[Web]:
    """Its gateway, with the first key, which may do everything."""
    async with browsing(up) as open_web:
        yield open_web


@pytest.fixture
async def stranger(up: Up) -> AsyncIterator[Web]:
    """Its gateway, without any key."""
    async with browsing(up, "") as open_web:
        yield open_web


@pytest.fixture
async def origin() -> AsyncIterator[Origin]:
    async with serve() as serving:
        yield serving
