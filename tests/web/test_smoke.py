"""One visit from signing in to a task's details, in both looks: what every change of the page is seen through."""

import re

from playwright.async_api import Browser, expect

from tests.harness.browser import DESK, PHONE, visiting
from tests.harness.processes import Up
from tests.integration.node.origin import Origin


async def test_somebody_signs_in_adds_a_download_and_sees_it_complete_in_both_looks(
    up: Up, browser: Browser, origin: Origin
) -> None:
    gateway = up.info["gateway"]
    for size, dark, name in ((DESK, False, "desk"), (PHONE, True, "phone")):
        async with visiting(browser, gateway["url"], size=size, dark=dark) as visit:
            page = visit.page
            await visit.go("")
            await page.get_by_label("API key").fill(gateway["key"])
            await page.get_by_label("API key").press("Enter")
            await expect(page.get_by_role("heading", level=1, name="Overview")).to_be_visible()
            await visit.sound()
            await visit.go("tasks")
            await page.get_by_role("button", name="Add downloads").first.click()
            await page.get_by_role("dialog").get_by_label("Addresses").fill(origin.url(f"file/small.bin?{name}"))
            await page.get_by_role("dialog").get_by_role("button", name="Add download").click()
            row = page.get_by_role("row").filter(has_text="small.bin").filter(has_text="completed").first
            await expect(row).to_be_visible()
            await visit.sound()
            await row.get_by_role("link", name="small.bin").click()
            await expect(page.get_by_role("heading", level=1)).to_contain_text("small.bin")
            await expect(page.get_by_role("listitem").filter(has_text=re.compile("^Completed"))).to_be_visible()
            await visit.sound()
            assert (visit.own_problems, visit.foreign) == ([], [])
