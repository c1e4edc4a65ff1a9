"""What the page holds on to: where answers get lost, where much goes on at once, and where much is chosen."""

import os
import re
import signal
from typing import Any

import pytest
from playwright.async_api import Page, Route, expect

from tests.harness.browser import Visit
from tests.harness.processes import Up
from tests.integration.node.origin import Origin
from tests.web.adding import add

# A browser takes two cores for minutes.
pytestmark = pytest.mark.slow

LOST = ("ERR_FAILED",)
"""What Chromium writes of an answer that a test has lost."""


async def test_to_add_again_after_a_lost_answer_adds_nothing_twice(visit: Visit, origin: Origin) -> None:
    page, keys, small = visit.page, list[str](), origin.url("file/small.bin")
    visit.expected = LOST

    async def lose_the_first(route: Route) -> None:
        keys.append(route.request.headers["idempotency-key"])
        answer = await route.fetch()
        await (route.abort() if len(keys) == 1 else route.fulfill(response=answer))

    await page.route(re.compile("/api/v1/tasks$"), lose_the_first)
    await visit.go("tasks?text=small")
    await page.get_by_role("button", name="Add downloads").first.click()
    dialog = page.get_by_role("dialog", name="Add downloads")
    await dialog.get_by_label("Addresses").fill(f"{small}?lost=1")
    await dialog.get_by_role("button", name="Add download").click()
    await expect(dialog.get_by_text("The gateway can’t be reached.")).to_be_visible()
    await dialog.get_by_label("Addresses").fill(f"{small}?lost=1\n{small}?lost=2")
    await dialog.get_by_role("button", name="Add 2 downloads").click()
    await expect(dialog).not_to_be_visible()
    await expect(page.get_by_role("row").filter(has_text="completed")).to_have_count(2)
    assert keys[0] == keys[1]


class Actions:
    """What is asked to be done to many. A call does one task, and says that there is more."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    async def answer(self, route: Route) -> None:
        asked = route.request.post_data_json
        self.asked.append(asked)
        results = [{"task": task, "ok": True, "said": "done", "matched": True} for task in asked["ids"][:1]]
        done = {"done": len(results), "failed": 0, "left_alone": 0, "results": results, "after": ""}
        await route.fulfill(json=done | {"more": len(asked["ids"]) > 1})

    def of(self, verb: str) -> list[list[str]]:
        """The tasks of each call."""
        return [asked["ids"] for asked in self.asked if asked["verb"] == verb]


async def choose(page: Page, *rows: int) -> None:
    for row in rows:
        await page.get_by_role("row").nth(row).get_by_role("checkbox").click()


async def test_a_cancel_is_taken_back_by_keyboard_while_much_else_is_said_or_else_goes_on_to_the_last_task(
    visit: Visit, origin: Origin
) -> None:
    page, actions = visit.page, Actions()
    await visit.go("tasks?text=many")
    await add(page, *(origin.url(f"file/small.bin?many={n}") for n in range(2)))
    await expect(page.get_by_role("row").filter(has_text="completed")).to_have_count(2)
    await page.route(re.compile("/api/v1/tasks/actions$"), actions.answer)
    bar = page.get_by_role("region", name="Chosen tasks")
    await choose(page, 1, 2)
    await bar.get_by_role("button", name="Cancel").click()
    for _ in range(4):
        await choose(page, 1)
        await bar.get_by_role("button", name="Pause").click()
        await expect(bar).not_to_be_visible()
    await expect(page.get_by_role("button", name="Undo")).to_be_visible()
    await page.get_by_label("Search tasks").focus()
    await page.keyboard.press("Alt+KeyZ")
    await expect(page.get_by_text("Not cancelled")).to_be_visible()
    assert actions.of("cancel") == []
    await choose(page, 1, 2)
    await bar.get_by_role("button", name="Cancel").click()
    await expect(page.get_by_text("2 cancelled")).to_be_visible()
    first, second = actions.of("cancel")
    assert (len(first), second) == (2, first[1:])


async def test_what_is_not_heard_any_more_looks_it_while_the_leader_or_the_broker_is_away(visit: Visit, up: Up) -> None:
    page = visit.page
    visit.expected = ("status of 503",)
    since = page.locator("main").get_by_text(re.compile(r"^not heard since \d\d:\d\d:\d\d$"))
    doctor = page.get_by_text("downdraft doctor", exact=True)
    await visit.go("overview")
    await expect(page.locator(".tile").first).to_contain_text("online")
    await expect(since).to_have_count(0)
    os.kill(up.pid("up"), signal.SIGSTOP)  # it would start others
    try:
        os.kill(up.pid("coordinator"), signal.SIGKILL)
        await expect(page.get_by_role("heading", name="No coordinator leads")).to_be_visible()
        await expect(page.locator(".tile.old")).to_have_count(2)
        await expect(since).to_have_count(1)
        await expect(page.locator(".figures.old")).to_have_count(0)
        await visit.sound()
        os.kill(up.pid("nats-server"), signal.SIGKILL)
        await expect(page.get_by_role("heading", name="The broker is away")).to_be_visible()
        await expect(page.get_by_role("heading", name="No coordinator leads")).to_have_count(0)
        await expect(doctor).to_be_visible()
        await expect(since).to_have_count(2)
        await expect(page.get_by_role("status").filter(has_text="Figures are not live")).to_have_count(1)
        await expect(page.get_by_role("link", name=re.compile("Running"))).to_contain_text("(not live)")
        await visit.sound()
        await page.reload()
        await visit.go("policy")
        await expect(doctor).to_be_visible()
    finally:
        os.kill(up.pid("up"), signal.SIGCONT)
    await visit.go("overview")
    await expect(page.get_by_text("All is well")).to_be_visible()
    await expect(since).to_have_count(0)


COUNTED = """
  window.listeners = 0;
  const { addEventListener, removeEventListener } = document;
  const count = (name, by) => (window.listeners += name === "visibilitychange" ? by : 0);
  document.addEventListener = (...all) => (count(all[0], 1), addEventListener.apply(document, all));
  document.removeEventListener = (...all) => (count(all[0], -1), removeEventListener.apply(document, all));
"""
"""Counts who listens for the page to come to the front."""


async def test_a_page_that_was_left_listens_no_more(visit: Visit) -> None:
    page, counts = visit.page, list[int]()
    await page.add_init_script(COUNTED)
    for _ in range(2):
        await visit.go("overview")
        await expect(page.get_by_role("heading", name="Ended last")).to_be_visible()
        counts.append(await page.evaluate("window.listeners"))
        await visit.go("policy")
        await expect(page.get_by_role("heading", name="Bandwidth")).to_be_visible()
    assert counts[0] == counts[1]
