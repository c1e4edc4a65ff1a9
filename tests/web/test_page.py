"""The web page, as somebody uses it in a real browser."""

import re
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from schemas.apikey import Scope
from schemas.options import ALLOWED
from tests.harness.broker import Broker
from tests.harness.browser import DESK, PHONE, Visit, visiting
from tests.harness.gateway import GatewayProcess
from tests.harness.processes import Up
from tests.harness.waiting import eventually
from tests.harness.web import browsing, make_key
from tests.integration.node.origin import Origin
from tests.web.adding import UNDONE_WITHIN_MS, add

# A browser takes two cores for minutes.
pytestmark = pytest.mark.slow

PAGES = {
    "overview": "Overview",
    "tasks": "Tasks",
    "tasks?text=nothing-is-called-so": "Tasks",
    "nodes": "Nodes",
    "nodes/node-1": "node-1",
    "events": "Events",
    "policy": "Policy",
    "webhooks": "Webhooks",
    "keys": "API keys",
}
"""Routes, with what stands above each."""


async def open_task(visit: Visit, name: str) -> None:
    await visit.go("tasks")
    await visit.page.get_by_role("row").get_by_role("link", name=name, exact=True).first.click()
    await expect(visit.page.get_by_role("heading", level=1)).to_contain_text(name)


async def test_a_wrong_key_is_refused_and_a_good_one_lets_in(up: Up, browser: Browser) -> None:
    async with visiting(browser, up.info["gateway"]["url"]) as visit:
        page = visit.page
        await visit.go("")
        await page.get_by_label("API key").fill("dd_00000000_" + "x" * 32)
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_text("not valid")).to_be_visible()
        await page.get_by_label("API key").fill(up.info["gateway"]["key"])
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_role("heading", level=1, name="Overview")).to_be_visible()
        await page.reload()
        await expect(page.get_by_role("heading", level=1, name="Overview")).to_be_visible()
        await page.get_by_role("button", name="Sign out").click()
        await expect(page.get_by_label("API key")).to_be_visible()
        assert await page.evaluate("sessionStorage.length") == 0


async def test_ten_addresses_are_added_at_once_and_seen_to_complete(visit: Visit, origin: Origin) -> None:
    await visit.go("tasks?state=completed")
    await add(visit.page, *(f"{origin.url('file/small.bin')}?ten={n}" for n in range(10)))
    await expect(visit.page.get_by_role("row").filter(has_text="small.bin")).to_have_count(10)
    await expect(visit.page.get_by_role("button", name="Completed")).to_contain_text("10")


async def test_a_running_task_is_paused_and_resumed_and_its_progress_moves(visit: Visit, origin: Origin) -> None:
    page = visit.page
    await visit.go("tasks")
    await add(page, origin.url("file/steered.bin"), limit="500K")
    await open_task(visit, "steered.bin")
    bar = page.get_by_role("progressbar", name="Progress")
    before = int(await bar.get_attribute("aria-valuenow") or 0)

    async def moved() -> bool:
        return int(await bar.get_attribute("aria-valuenow") or 0) > before

    await eventually(moved, within_s=30, what="the progress bar moves")
    await page.get_by_role("button", name="Pause").click()
    await expect(page.locator("header .badge")).to_have_text("paused")
    await page.get_by_role("button", name="Resume").click()
    await expect(page.locator("header .badge")).to_have_text(re.compile("running|waiting|placed"))


async def test_a_cancelled_task_is_taken_back_within_five_seconds_and_cancelled_after(
    visit: Visit, origin: Origin
) -> None:
    page = visit.page
    await page.clock.install()
    await visit.go("tasks")
    await add(page, origin.url("file/cancelled.bin"), limit="500K")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    await open_task(visit, "cancelled.bin")
    await page.get_by_role("button", name="Cancel", exact=True).click()
    await page.get_by_role("button", name="Undo").click()
    await expect(page.get_by_text("Not cancelled")).to_be_visible()
    await expect(page.locator("header .badge")).to_have_text(re.compile("running|waiting|placed"))
    await page.get_by_role("button", name="Cancel", exact=True).click()
    await page.clock.fast_forward(UNDONE_WITHIN_MS)
    await expect(page.locator("header .badge")).to_have_text("cancelled")
    assert sum(url.endswith("/tasks/actions") for url in asked) == 1  # what was taken back was never sent


async def test_the_options_that_there_are_are_told_and_put_into_the_field(visit: Visit) -> None:
    page = visit.page
    await visit.go("tasks")
    await page.get_by_role("button", name="Add downloads").first.click()
    dialog = page.get_by_role("dialog", name="Add downloads")
    await dialog.get_by_text("More: folder").click()
    field = dialog.get_by_label("Other aria2 options")
    await field.fill("split=4")
    await dialog.get_by_text("Which options there are").click()
    await expect(dialog.get_by_text(ALLOWED["referer"].about.partition(";")[0])).to_be_visible()
    for name in ("referer", "referer", "split"):
        await dialog.get_by_role("button", name=name, exact=True).click()
    await expect(field).to_have_value("split=4\nreferer=")
    await visit.sound()


async def test_many_are_chosen_and_steered_together(visit: Visit, origin: Origin) -> None:
    page = visit.page
    await page.clock.install()
    await visit.go("tasks?text=together")
    await add(page, *(f"{origin.url('file/together.bin')}?together={n}" for n in range(3)), limit="500K")
    rows = page.get_by_role("row").filter(has_text="together.bin")
    await expect(rows).to_have_count(3)
    await rows.nth(0).get_by_role("checkbox").click()
    await rows.nth(2).get_by_role("checkbox").click(modifiers=["Shift"])
    await expect(page.get_by_text("3 chosen")).to_be_visible()
    await page.get_by_role("region", name="Chosen tasks").get_by_role("button", name="Pause").click()
    await expect(page.get_by_text("3 tasks paused")).to_be_visible()
    await expect(rows.filter(has_text="paused")).to_have_count(3)
    await page.get_by_role("checkbox", name="Choose all that are loaded").check()
    await page.get_by_role("region", name="Chosen tasks").get_by_role("button", name="Cancel").click()
    await page.clock.fast_forward(UNDONE_WITHIN_MS)
    await expect(rows.filter(has_text="cancelled")).to_have_count(3)


async def test_what_is_searched_for_stands_in_the_address(visit: Visit, origin: Origin) -> None:
    page = visit.page
    await visit.go("tasks")
    await add(page, origin.url("file/small.bin?needle"))
    await page.get_by_label("Search tasks").fill("needle")
    await expect(page.get_by_role("row").filter(has_text="small.bin")).to_have_count(1)
    assert "text=needle" in page.url
    await page.get_by_role("button", name="Failed").click()
    await expect(page.get_by_text("No task matches")).to_be_visible()
    await page.go_back()
    await expect(page.get_by_role("row").filter(has_text="small.bin")).to_have_count(1)
    await page.reload()
    await expect(page.get_by_label("Search tasks")).to_have_value("needle")


async def test_what_is_typed_stays_as_it_is_written_and_searches_only_where_it_was_typed(visit: Visit) -> None:
    page = visit.page
    await visit.go("tasks")
    search = page.get_by_label("Search tasks")
    await search.press_sequentially("two ")
    await page.wait_for_url(re.compile("text=two$"))
    await search.press_sequentially("words")
    await page.wait_for_url(re.compile("text=two(\\+|%20)words$"))
    await search.fill("left behind")
    await page.get_by_role("link", name="Overview").click()
    await expect(page.get_by_role("heading", level=1, name="Overview")).to_be_visible()
    async with page.expect_response(re.compile("/status$")):
        pass  # by then it would have been searched for
    assert page.url.endswith("#/overview")


NO_CLIPBOARD = "Object.defineProperty(navigator, 'clipboard', { value: undefined })"
"""As where the page comes from another host without https."""


async def test_commands_are_copied_without_https_too_or_it_is_said_that_they_are_not(visit: Visit) -> None:
    page = visit.page
    await page.add_init_script(NO_CLIPBOARD)
    await visit.go("nodes/nobody")
    button = page.get_by_role("button", name="Copy the command")
    await button.click()
    await expect(button).to_be_focused()
    await visit.go("tasks")
    await page.get_by_label("Search tasks").focus()
    await page.keyboard.press("Control+KeyV")
    await expect(page.get_by_label("Search tasks")).to_have_value("downdraft node --id nobody")
    await visit.go("nodes/nobody")
    await page.evaluate("document.execCommand = () => false")
    await button.click()
    await expect(page.get_by_text("select the text, and copy it yourself")).to_be_visible()


async def test_a_failed_task_tells_why_and_what_happened(visit: Visit, origin: Origin) -> None:
    page = visit.page
    await visit.go("tasks?state=failed")
    await add(page, origin.url("status/404"))
    await page.get_by_role("row").get_by_role("link", name="404").click()
    await expect(page.get_by_text("It failed.")).to_be_visible()
    await expect(page.get_by_text("404").first).to_be_visible()
    await expect(page.get_by_role("listitem").filter(has_text="Attempt failed")).to_be_visible()
    await page.get_by_role("link", name="Downdraft").first.click()
    await expect(
        page.get_by_role("heading", name=re.compile(r"download(s)? from 127.0.0.1:\d+ failed"))
    ).to_be_visible()


async def test_a_long_reason_breaks_where_it_must(up: Up, browser: Browser, origin: Origin) -> None:
    gateway = up.info["gateway"]
    async with (
        browsing(up) as web,
        visiting(browser, gateway["url"], gateway["key"], size=PHONE, dark=True) as visit,
    ):
        asked = {"uris": [origin.url("file/small.bin?tampered")], "checksum": "sha-256=" + "0" * 64}
        task = (await web.ask("POST", "/api/v1/tasks", json=asked)).json["task"]
        await visit.go(f"tasks/{task}")
        await expect(visit.page.get_by_text("It failed.")).to_be_visible()
        await expect(visit.page.get_by_role("listitem").filter(has_text="00000000…").first).to_be_visible()
        await visit.sound()


async def test_without_a_leader_the_page_says_so_with_the_remedy(
    browser: Browser, broker: Broker, tmp_path: Path
) -> None:
    process = GatewayProcess(broker, tmp_path / "gateway")
    async with process.running(), visiting(browser, process.web.url, process.key) as visit:
        remedy = visit.page.get_by_text("downdraft coordinator", exact=True)
        await visit.go("overview")
        await expect(visit.page.get_by_role("heading", name="No coordinator leads")).to_be_visible()
        await expect(remedy).to_be_visible()
        await visit.go("nodes")
        await expect(visit.page.get_by_role("heading", level=1, name="Nodes")).to_be_visible()
        await expect(remedy).to_be_visible()
        await visit.sound()


async def test_the_page_says_that_it_is_offline_while_the_gateway_is_away_and_fills_the_gap(
    visit: Visit, up: Up, origin: Origin
) -> None:
    page = visit.page
    await visit.go("tasks?text=meanwhile")
    await expect(page.get_by_text("No task matches")).to_be_visible()
    before = up.pid("gateway")
    up.kill("gateway")
    banner = page.get_by_role("alert").filter(has_text="Offline.")
    await expect(banner).to_contain_text("Last seen")
    await expect(banner).not_to_contain_text("Trying")  # or a screen reader would read each second of it
    result = await up.arun("submit", origin.url("file/small.bin?meanwhile"))
    assert result.returncode == 0, result.stderr
    await expect(banner).not_to_be_visible()
    await expect(page.get_by_role("row").filter(has_text="small.bin")).to_have_count(1)
    assert up.pid("gateway") != before


async def test_who_may_only_look_is_offered_nothing_else(up: Up, browser: Browser, origin: Origin) -> None:
    key = await make_key(up, "default", Scope.READ)
    await up.arun("submit", origin.url("file/small.bin?looked-at"))
    async with visiting(browser, up.info["gateway"]["url"], key) as visit:
        await visit.go("tasks")
        await expect(visit.page.get_by_role("row").nth(1)).to_be_visible()
        await expect(visit.page.get_by_role("button", name="Add downloads")).to_have_count(0)
        await expect(visit.page.get_by_role("checkbox")).to_have_count(0)
        await expect(visit.page.get_by_role("link", name="API keys")).to_have_count(0)
        await visit.go("keys")
        await expect(visit.page.get_by_text("Your key may not do that")).to_be_visible()


async def test_who_may_only_submit_is_offered_to_add_downloads_and_nothing_else(
    up: Up, browser: Browser, origin: Origin
) -> None:
    key = await make_key(up, "default", Scope.SUBMIT)
    async with visiting(browser, up.info["gateway"]["url"], size=PHONE) as visit:
        page = visit.page
        visit.expected = ("status of 403",)
        await visit.go("")
        await page.get_by_label("API key").fill(key)
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_role("heading", level=1, name="Add downloads")).to_be_visible()
        await expect(page.get_by_role("link", name=re.compile("Tasks|Nodes|Events|Policy|Webhooks"))).to_have_count(0)
        await expect(page.get_by_text("Offline")).to_have_count(0)
        await visit.sound()
        await add(page, origin.url("file/small.bin?blind"))
        await expect(page.get_by_text("1 download added")).to_be_visible()
        assert visit.own_problems == []


LONG_NAME = "a-name-without-an-end-" + "x" * 230


async def test_a_very_long_name_and_many_tags_fit_on_a_phone(up: Up, browser: Browser, origin: Origin) -> None:
    gateway = up.info["gateway"]
    async with (
        browsing(up) as web,
        visiting(browser, gateway["url"], gateway["key"], size=PHONE, dark=True) as visit,
    ):
        asked = {
            "uris": [origin.url("file/small.bin?" + "long=" * 60)],
            "name": LONG_NAME,
            "tags": [f"a-tag-that-no-node-has={number}" for number in range(30)] + ["t" * 60],
            "labels": {f"label-{number}": "value" * 20 for number in range(20)},
        }
        answer = await web.ask("POST", "/api/v1/tasks", json=asked)
        assert answer.status == 201, answer.text
        await visit.go("tasks?text=without-an-end")
        await expect(visit.page.get_by_role("row").filter(has_text="a-name-without-an-end")).to_be_visible()
        await visit.sound()
        await visit.go(f"tasks/{answer.json['task']}")
        await expect(visit.page.get_by_role("heading", level=1)).to_contain_text("a-name-without-an-end")
        await expect(visit.page.get_by_role("heading", name="Placement")).to_be_visible()
        await visit.sound()


async def test_the_way_in_is_sound_for_all_who_read_it(up: Up, browser: Browser) -> None:
    for size, dark in ((DESK, False), (PHONE, True)):
        async with visiting(browser, up.info["gateway"]["url"], size=size, dark=dark) as visit:
            await visit.go("")
            await visit.page.get_by_text("Where do I find a key?").click()
            await visit.page.get_by_role("button", name="Sign in").click()
            await expect(visit.page.get_by_text("Write or paste a key")).to_be_visible()
            await visit.sound()


async def test_a_finished_file_is_downloaded_from_its_node(visit: Visit, origin: Origin) -> None:
    page = visit.page
    await visit.go("tasks?text=fetched")
    await add(page, origin.url("file/small.bin?fetched"))
    await page.get_by_role("row").get_by_role("link", name="small.bin").click()
    async with page.expect_download() as coming:
        await page.get_by_role("button", name="Download", exact=True).click()
    download = await coming.value
    assert download.suggested_filename.startswith("small")
    assert Path(await download.path()).read_bytes() == origin.files["small.bin"]


@pytest.mark.parametrize("look", ["desk", "phone in the dark"])
async def test_each_page_is_sound_for_all_who_read_it(up: Up, browser: Browser, look: str) -> None:
    gateway, is_desk = up.info["gateway"], look == "desk"
    size = DESK if is_desk else PHONE
    async with visiting(browser, gateway["url"], gateway["key"], size=size, dark=not is_desk) as tab:
        for name, title in PAGES.items():
            await tab.go(name)
            await expect(tab.page.get_by_role("heading", level=1, name=title)).to_be_visible()
            await expect(tab.page.get_by_text("Live", exact=True).filter(visible=True)).to_have_count(1)
            assert await tab.violations() == [], name
            assert await tab.overflow() <= 0, name
        assert (tab.own_problems, tab.foreign) == ([], [])
