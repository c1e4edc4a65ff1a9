"""One cluster and one browser for the tests of a file."""

from collections.abc import AsyncIterator, Iterator

import pytest
from playwright.async_api import Browser, expect

from tests.harness.browser import PATIENCE_MS, Visit, chromium, open_browser, visiting
from tests.harness.processes import Up, running_up
from tests.integration.node.origin import Origin, serve

LARGE = ("steered.bin", "cancelled.bin", "together.bin", "measured.bin")
"""Files that take half a minute where they are dripped."""

expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """Of the whole file: its browser lives in one loop."""
    return "asyncio"


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    chromium()  # or there is no need to start anything
    folder = tmp_path_factory.mktemp("web")
    with running_up(folder, "--nodes", "2", "--node-tag", "node-2:archive", gateway=True) as running:
        yield running


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with open_browser() as opened:
        yield opened


@pytest.fixture(scope="module")
async def origin() -> AsyncIterator[Origin]:
    async with serve() as serving:
        large = bytes(64 << 20)
        serving.files = {"small.bin": bytes(4096)} | dict.fromkeys(LARGE, large)
        yield serving


@pytest.fixture
async def visit(up: Up, browser: Browser) -> AsyncIterator[Visit]:
    """A tab of somebody who may do everything. Nothing may go wrong in it."""
    async with visiting(browser, up.info["gateway"]["url"], up.info["gateway"]["key"]) as tab:
        yield tab
        assert tab.own_problems == []
        assert tab.foreign == []
