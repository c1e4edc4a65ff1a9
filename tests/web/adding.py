"""Adding downloads on the page, and cancelling them."""

import re

from playwright.async_api import Page, expect

UNDONE_WITHIN_MS = 5000
"""So long a cancel can be taken back."""


async def add(page: Page, *addresses: str, limit: str = "") -> None:
    """As somebody adds downloads."""
    await page.get_by_role("button", name="Add downloads").first.click()
    dialog = page.get_by_role("dialog", name="Add downloads")
    await dialog.get_by_label("Addresses").fill("\n".join(addresses))
    if limit:
        await dialog.get_by_text("More:").click()
        await dialog.get_by_label("Speed limit").fill(limit)
    await dialog.get_by_role("button", name=re.compile(r"^Add (download|\d+ downloads)$")).click()
    await expect(dialog).not_to_be_visible()
