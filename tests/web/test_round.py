"""The whole round of somebody who looks after a cluster, and what is dropped, typed and scrolled on the way."""

import re

import pytest
from playwright.async_api import Browser, Page, expect

from tests.harness.browser import PHONE, Visit, visiting
from tests.harness.metalinks import Entry, meta4
from tests.harness.processes import Up
from tests.harness.tracker import make
from tests.integration.node.origin import Origin
from tests.web.adding import add

NODE = "node-2"


@pytest.mark.timeout(300)
async def test_somebody_goes_the_whole_round(up: Up, browser: Browser, origin: Origin) -> None:
    gateway = up.info["gateway"]
    async with visiting(browser, gateway["url"]) as visit:
        await visit.go("")
        await visit.page.get_by_label("API key").fill(gateway["key"])
        await visit.page.get_by_role("button", name="Sign in").click()
        await adds_ten_and_sees_them_complete(visit, origin)
        await steers_one(visit, origin)
        await drains_a_node_while_the_gateway_restarts(visit, up)
        await edits_the_policy(visit)
        assert (visit.own_problems, visit.foreign) == ([], [])


async def adds_ten_and_sees_them_complete(visit: Visit, origin: Origin) -> None:
    page = visit.page
    await page.get_by_role("link", name="Tasks").first.click()
    await add(page, *(f"{origin.url('file/small.bin')}?round={n}" for n in range(10)))
    rows = page.get_by_role("row").filter(has_text="small.bin")
    await expect(rows.filter(has_text="completed")).to_have_count(10)
    await visit.sound()


async def steers_one(visit: Visit, origin: Origin) -> None:
    page = visit.page
    await add(page, origin.url("file/steered.bin?round"), limit="500K")
    await page.get_by_label("Search tasks").fill("steered")
    row = page.get_by_role("row").filter(has_text="steered.bin")
    await expect(row).to_have_count(1)
    await expect(page.get_by_role("row").filter(has_text="small.bin")).to_have_count(0)
    await expect(row).to_contain_text("running")
    await row.get_by_role("link", name="steered.bin").click()
    standing = page.locator("header .badge")
    await page.get_by_role("button", name="Pause").click()
    await expect(standing).to_have_text("paused")
    await page.get_by_role("button", name="Resume").click()
    await expect(standing).to_have_text(re.compile("running|waiting|placed"))
    await page.get_by_role("button", name="Cancel", exact=True).click()
    await page.get_by_role("button", name="Undo").click()
    await expect(page.get_by_text("Not cancelled")).to_be_visible()
    await page.get_by_role("button", name="Cancel", exact=True).click()
    await expect(standing).to_have_text("cancelled")
    await expect(page.get_by_role("listitem").filter(has_text="Resumed")).to_be_visible()
    await visit.sound()


async def drains_a_node_while_the_gateway_restarts(visit: Visit, up: Up) -> None:
    page = visit.page
    await page.get_by_role("link", name="Nodes").first.click()
    await page.get_by_role("link", name=re.compile(NODE)).click()
    badge = page.locator(".page-head .badge").first
    await expect(badge).to_have_text("online")
    up.kill("gateway")
    offline = page.get_by_role("alert").filter(has_text="Offline.")
    await expect(offline).to_be_visible()
    await expect(offline).not_to_be_visible()
    await page.get_by_role("button", name="Drain", exact=True).click()
    await page.get_by_role("dialog").get_by_role("button", name="Drain", exact=True).click()
    await expect(badge).to_have_text("drained")
    await page.get_by_role("button", name="Open again").click()
    await expect(badge).to_have_text("online")


async def edits_the_policy(visit: Visit) -> None:
    page = visit.page
    await page.get_by_role("link", name="Policy").first.click()
    await page.get_by_role("radio", name="Round robin").check()
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_text("The policy is set")).to_be_visible()
    await page.reload()
    await expect(page.get_by_role("radio", name="Round robin")).to_be_checked()
    await visit.sound()


async def drop(page: Page, **files: bytes) -> None:
    """Files let go over the dialog, named `list_txt` for `list.txt`."""
    named = [[name.replace("_", "."), list(body)] for name, body in files.items()]
    dropped = await page.evaluate_handle(
        """files => {
          const dropped = new DataTransfer();
          for (const [name, body] of files) dropped.items.add(new File([new Uint8Array(body)], name));
          return dropped;
        }""",
        named,
    )
    await page.get_by_role("dialog").locator("header").dispatch_event("drop", {"dataTransfer": dropped})


async def test_lists_torrents_and_metalinks_are_dropped_onto_the_dialog(visit: Visit, origin: Origin) -> None:
    page, small = visit.page, origin.url("file/small.bin")
    await visit.go("tasks?text=dropped")
    await page.get_by_role("button", name="Add downloads").first.click()
    dialog = page.get_by_role("dialog", name="Add downloads")
    await drop(
        page,
        list_txt=f"# two\n{small}?dropped=1\n{small}?dropped=2\n".encode(),
        three_meta4=meta4(Entry("dropped-by-metalink.bin", [small], origin.files["small.bin"])),
        four_torrent=make("dropped-by-torrent", {"a.bin": bytes(9000)}, "http://127.0.0.1:9/announce").torrent,
    )
    await expect(dialog.get_by_role("button", name="Remove four.torrent")).to_be_visible()
    await visit.sound()
    await dialog.get_by_role("button", name="Add 4 downloads").click()
    await expect(dialog).not_to_be_visible()
    rows = page.get_by_role("row")
    await expect(rows.filter(has_text="small.bin").filter(has_text="completed")).to_have_count(2)
    await visit.go("tasks")
    await expect(rows.filter(has_text="three").filter(has_text="completed")).to_have_count(1)
    await expect(rows.filter(has_text="four")).to_have_count(1)
    await page.get_by_role("button", name="Add downloads").first.click()
    await drop(page, photo_png=b"\x89PNG")
    await expect(dialog.get_by_text("photo.png is no list of addresses")).to_be_visible()


async def test_everything_is_reached_by_keyboard(visit: Visit, origin: Origin) -> None:
    page = visit.page
    press = page.keyboard.press
    await visit.go("tasks")
    await expect(page.get_by_role("heading", level=1, name="Tasks")).to_be_visible()
    await press("Tab")
    await expect(page.get_by_text("Skip to the content")).to_be_focused()
    await press("Enter")
    await expect(page.locator("main")).to_be_focused()
    await press("Tab")
    await expect(page.get_by_role("button", name="Add downloads").first).to_be_focused()
    await press("Enter")
    dialog = page.get_by_role("dialog", name="Add downloads")
    await expect(dialog).to_be_visible()
    await dialog.get_by_label("Addresses").focus()
    await page.keyboard.insert_text(origin.url("file/small.bin?keys"))
    for _ in range(12):
        await press("Tab")
        if await dialog.get_by_role("button", name="Add download").evaluate("it => it === document.activeElement"):
            break
    await press("Enter")
    await expect(dialog).not_to_be_visible()
    await expect(page.get_by_role("button", name="Add downloads").first).to_be_focused()
    await press("/")
    await expect(page.get_by_label("Search tasks")).to_be_focused()
    await page.keyboard.type("keys")
    row = page.get_by_role("row").filter(has_text="small.bin")
    await expect(row).to_have_count(1)
    menu = row.get_by_role("button", name=re.compile("^Do something to"))
    await menu.focus()
    await press("Enter")
    items = page.get_by_role("menuitem")
    for key, there in (("", items.first), ("ArrowUp", items.last), ("ArrowDown", items.first), ("End", items.last)):
        if key:
            await press(key)
        await expect(there).to_be_focused()
    await press("Escape")
    await expect(menu).to_be_focused()
    await press("ArrowDown")
    await page.get_by_role("menuitem", name="Open").press("Tab")
    await expect(items).to_have_count(0)
    await row.get_by_role("link", name="small.bin").focus()
    await press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_be_focused()


async def test_the_other_pages_of_a_phone_keep_the_focus_and_give_it_back(up: Up, browser: Browser) -> None:
    gateway = up.info["gateway"]
    async with visiting(browser, gateway["url"], gateway["key"], size=PHONE) as visit:
        page = visit.page
        await visit.go("overview")
        more = page.get_by_role("button", name="More", exact=True)
        await more.click()
        first = page.get_by_role("dialog", name="More pages").get_by_role("link").first
        await expect(first).to_be_focused()
        await page.keyboard.press("Shift+Tab")
        await expect(page.get_by_role("dialog").get_by_role("link", name="Licences")).to_be_focused()
        await page.keyboard.press("Tab")
        await expect(first).to_be_focused()
        await visit.sound()
        await page.keyboard.press("Escape")
        await expect(more).to_be_focused()
        await more.click()
        await page.get_by_role("dialog").get_by_role("link", name="Policy").press("Enter")
        await expect(page.get_by_role("heading", level=1, name="Policy")).to_be_focused()
