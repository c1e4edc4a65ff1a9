"""A cluster that has no node yet."""

from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from tests.harness.browser import PHONE, visiting
from tests.harness.processes import running_up

# A browser takes two cores for minutes.
pytestmark = pytest.mark.slow


async def test_without_a_node_each_page_says_how_to_start_one(browser: Browser, tmp_path: Path) -> None:
    with running_up(tmp_path, "--nodes", "0", gateway=True) as up:
        gateway = up.info["gateway"]
        async with visiting(browser, gateway["url"], gateway["key"], size=PHONE) as visit:
            page = visit.page
            await visit.go("overview")
            await expect(page.get_by_role("heading", name="There is no node yet")).to_be_visible()
            await expect(page.get_by_text("downdraft node", exact=True)).to_be_visible()
            await expect(page.get_by_role("heading", name="No node yet", exact=True)).to_be_visible()
            await visit.sound()
            await visit.go("nodes")
            await expect(page.get_by_role("heading", level=1, name="Nodes")).to_be_visible()
            await expect(page.get_by_text("downdraft node").first).to_be_visible()
            await visit.sound()
            assert (visit.own_problems, visit.foreign) == ([], [])
