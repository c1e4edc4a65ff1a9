"""What the page holds on to: where answers get lost, where much goes on at once, and where much is chosen."""

import json
import os
import re
import signal
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.async_api import Browser, Page, Route, expect

from schemas.apikey import Scope
from tests.harness.browser import Visit, visiting
from tests.harness.processes import Up
from tests.harness.waiting import eventually
from tests.harness.web import browsing, make_key
from tests.integration.node.origin import Origin
from tests.web.adding import UNDONE_WITHIN_MS, add

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
        asked = json.loads(route.request.post_data or "")
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
    await page.clock.install()
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
    await page.clock.fast_forward(UNDONE_WITHIN_MS)
    await expect(page.get_by_text("2 cancelled")).to_be_visible()
    first, second = actions.of("cancel")
    assert (len(first), second) == (2, first[1:])


class LongList:
    """Tasks that there are not, page by page as the gateway gives them; those behind the first fail while asked to."""

    COUNT, STEP = 400, 50

    def __init__(self, like: dict[str, Any]) -> None:
        self.like = like
        self.is_failing = False
        self.failed = 0

    async def answer(self, route: Route) -> None:
        start = int(parse_qs(urlsplit(route.request.url).query).get("after", ["0"])[0])
        if start and self.is_failing:
            self.failed += 1
            await route.fulfill(status=500, json={"title": "Error", "status": 500, "detail": "the disk is gone"})
            return
        end = min(start + self.STEP, self.COUNT)
        tasks = [self.like | {"task": f"{n:016x}", "name": f"file-{n:03}"} for n in range(start, end)]
        await route.fulfill(json={"tasks": tasks, "after": str(end) if end < self.COUNT else ""})


@pytest.fixture
async def long_list(visit: Visit, up: Up, origin: Origin) -> LongList:
    async with browsing(up) as web:
        await web.ask("POST", "/api/v1/tasks", json={"uris": [origin.url("file/small.bin?long")]})

        async def found() -> list[dict[str, Any]]:
            tasks: list[dict[str, Any]] = (await web.get("/api/v1/tasks", params={"text": "small"})).json["tasks"]
            return tasks

        listed = LongList((await eventually(found))[0])
    await visit.page.route(re.compile(r"/api/v1/tasks\?"), listed.answer)
    return listed


async def to_the_end(page: Page) -> None:
    await page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")


async def test_a_page_of_the_list_that_fails_is_asked_for_again_with_pauses_and_by_hand(
    visit: Visit, long_list: LongList
) -> None:
    page = visit.page
    visit.expected = ("status of 500",)
    long_list.is_failing = True
    await visit.go("tasks")
    await expect(page.get_by_role("row").filter(has_text="file-000")).to_be_visible()
    await to_the_end(page)
    alert = page.get_by_role("alert").filter(has_text="Not all of the list could be read")
    await expect(alert).to_contain_text("The disk is gone.")
    await expect(page.get_by_text(re.compile("Trying again in [12] s"))).to_be_visible()
    await visit.sound()
    before = long_list.failed
    assert before < 4
    await page.get_by_role("button", name="Try now").click()
    await eventually(lambda: long_list.failed > before)
    long_list.is_failing = False
    await expect(alert).not_to_be_visible()
    await expect(page.get_by_role("row").filter(has_text="file-055")).to_have_count(1)


async def test_all_that_match_can_be_chosen_also_after_more_of_them_came(visit: Visit, long_list: LongList) -> None:
    page = visit.page
    await visit.go("tasks")
    await expect(page.get_by_role("row").filter(has_text="file-000")).to_be_visible()
    all_that_match = page.get_by_role("button", name="choose all that match")
    await page.get_by_role("checkbox", name="Choose all that are loaded").check()
    await expect(all_that_match).to_be_visible()
    await to_the_end(page)
    await expect(page.get_by_role("row").filter(has_text="file-055")).to_have_count(1)
    await all_that_match.click()
    await expect(page.get_by_text("All that match", exact=True)).to_be_visible()
    await choose(page, 5)
    await expect(all_that_match).to_have_count(0)


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


def patched(**more: Any) -> Callable[[Route], Awaitable[None]]:
    """What the gateway answers, with some of it otherwise."""

    async def answer(route: Route) -> None:
        told = await (await route.fetch()).json()
        await route.fulfill(json=told | {name: change(told) for name, change in more.items()})

    return answer


def in_trouble(reply: dict[str, Any]) -> list[dict[str, Any]]:
    """The first node has a full disk, the other one is set aside."""
    first, other = reply["nodes"]
    full = first["heartbeat"] | {"trouble": "the disk is full: 12 MiB free, takes tasks again at 1 GiB"}
    return [
        first | {"standing": "trouble", "heartbeat": full},
        other | {"standing": "set aside", "set_aside": "it fails what others finish"},
    ]


async def test_whatever_needs_attention_comes_with_what_to_do(visit: Visit, long_list: LongList) -> None:
    page = visit.page
    ended = [
        long_list.like | {"state": "failed", "uris": ["https://gone.example/a"], "reason": "it answered 404"},
        long_list.like | {"state": "rejected", "reason": "alice has 10 tasks already"},
    ]
    await page.route(re.compile("/api/v1/status$"), patched(cooling=lambda _: {"busy.example:443": 200.0}))
    await page.route(re.compile("/api/v1/nodes$"), patched(nodes=in_trouble))
    await page.route(re.compile("/api/v1/tasks.*limit=500"), lambda route: route.fulfill(json={"tasks": ended}))
    await visit.go("overview")
    await page.get_by_role("button", name="Show 1 more").click()
    for title, remedy, link in (
        ("Node node-1 takes no tasks", "downdraft rm TASK --files", "Show its largest files"),
        ("Node node-2 is set aside", "downdraft uncordon node-2", "Look at the node"),
        ("1 download from gone.example failed", "downdraft retry --state failed --origin gone.example", "Look at them"),
        ("1 request was refused", "submit them anew", "Look at them"),
        ("busy.example:443 asks to be left alone", "downdraft policy set --origin busy.example:443", "Limit it in"),
    ):
        matter = page.get_by_role("listitem").filter(has=page.get_by_role("heading", name=title))
        await expect(matter).to_contain_text(remedy)
        await expect(matter.get_by_role("link", name=link)).to_be_visible()
    await visit.sound()


async def test_a_key_of_one_owner_is_told_what_is_the_owners_and_what_the_clusters(
    up: Up, browser: Browser, long_list: LongList
) -> None:
    assert long_list.like["owner"] == "default"
    key = await make_key(up, "alice", Scope.READ)
    async with visiting(browser, up.info["gateway"]["url"], key) as visit:
        page = visit.page
        await visit.go("overview")
        await expect(page.get_by_role("heading", name="Tasks of alice")).to_be_visible()
        await expect(page.get_by_role("heading", name="Download speed of the whole cluster")).to_be_visible()
        done = page.get_by_role("link", name=re.compile("Done today"))
        await expect(done).to_contain_text("0 in 10 min")
        await visit.sound()


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


def last_minutes(_: dict[str, Any]) -> list[dict[str, Any]]:
    """What a node said in the last two minutes: more than the shortest window, less than the longest."""
    figures = dict.fromkeys(("bytes_per_s", "running", "cpu_percent", "memory_bytes", "disk_free_bytes"), 1)
    now = datetime.now(UTC)
    return [figures | {"time": (now - timedelta(seconds=10 * ago)).isoformat()} for ago in range(12, 0, -1)]


async def test_a_graph_is_drawn_on_and_not_made_anew_while_its_window_grows(visit: Visit) -> None:
    page = visit.page
    await page.clock.install()
    await page.route(re.compile("/history$"), patched(samples=last_minutes))
    await visit.go("nodes/node-1")
    canvas = page.get_by_role("img", name=re.compile("^Speed: now")).locator("canvas")
    await expect(canvas).to_be_visible()
    for _ in range(2):
        async with page.expect_response(re.compile("/api/v1/nodes$")):
            await canvas.evaluate("canvas => { window.first ??= canvas; }")
            await page.clock.fast_forward(3000)
    assert await canvas.evaluate("canvas => canvas === window.first")
