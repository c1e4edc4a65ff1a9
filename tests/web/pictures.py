"""`python -m tests.web.pictures`: the page at work, for docs/images; `--all FOLDER`: every view of it, to look at.

It takes a cluster of its own and Chromium, and ten minutes for the graph to fill (`--warm-up SECONDS`).
"""

import argparse
import re
import sys
import tempfile
from collections.abc import Awaitable, Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import anyio
from playwright.async_api import Browser, Page, expect

from tests.harness.browser import DESK, PHONE, open_browser, visiting
from tests.harness.processes import Up
from tests.harness.waiting import eventually
from tests.harness.web import Web
from tests.web.gallery import gallery, keep_busy, requests

IMAGES = Path(__file__).parents[2] / "docs" / "images"
WARM_UP_S = 600.0
LOOKED_AT_MS = 20_000
"""A task's own graph begins when somebody looks."""
View = Callable[[Page], Awaitable[None]]


async def nothing(_: Page) -> None:
    """As it comes."""


def pressing(*names: str) -> View:
    """Buttons one after the other."""

    async def press(page: Page) -> None:
        for name in names:
            await page.get_by_role("button", name=re.compile(name)).first.click()
        await page.wait_for_timeout(400)

    return press


async def add_dialog(page: Page) -> None:
    await pressing("Add downloads")(page)
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Addresses").fill(
        "https://releases.example.org/debian.iso\nhttps://mirror.example.org/a.tar https://data.example.com/a.tar"
    )


async def add_dialog_whole(page: Page) -> None:
    await add_dialog(page)
    await page.get_by_role("dialog").get_by_text("More:").click()


async def add_dialog_refused(page: Page) -> None:
    await pressing("Add downloads")(page)
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Addresses").fill("gopher://example.org/a\nnonsense")
    await dialog.get_by_role("button", name=re.compile("^Add 2")).click()
    await expect(dialog.get_by_role("alert")).to_be_visible()


async def chosen(page: Page) -> None:
    rows = page.get_by_role("row")
    await rows.nth(2).get_by_role("checkbox").click()
    await rows.nth(4).get_by_role("checkbox").click()


async def cancelling(page: Page) -> None:
    await page.get_by_role("button", name="Cancel", exact=True).first.click()
    await page.wait_for_timeout(500)


async def undone(page: Page) -> None:
    await page.get_by_role("button", name="Undo").first.click()


async def row_menu(page: Page) -> None:
    await page.get_by_role("button", name=re.compile("^Do something to")).nth(1).click()


async def policy_filled(page: Page) -> None:
    await page.get_by_role("radio", name="Spread").check()
    await page.get_by_label("Spread over the tag").fill("zone")
    await page.get_by_role("button", name="Add a window").click()
    await page.get_by_role("textbox", name="Window 1").fill("Mon-Fri 08:00-18:00 20M")
    await page.get_by_role("button", name="Add an owner").click()
    await page.get_by_role("textbox", name="Owner").fill("alice")
    await page.get_by_role("button", name="Add an origin").click()
    await page.get_by_role("textbox", name="Origin").fill("*.example.org")
    await page.wait_for_timeout(800)


async def policy_refused(page: Page) -> None:
    await policy_filled(page)
    await page.get_by_role("textbox", name="Window 1").fill("Mon-Fri 08:00-25:00 20M")
    await page.get_by_role("button", name="Save").click()
    await page.wait_for_timeout(800)


async def opened_event(page: Page) -> None:
    await page.get_by_role("table", name="Events").get_by_role("row").nth(1).get_by_role("button").click()


async def made_webhook(page: Page) -> None:
    await pressing("New webhook")(page)
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Address").fill("https://hooks.example.invalid/downloads")
    await dialog.get_by_role("button", name="Make the webhook").click()
    await expect(page.get_by_role("dialog", name=re.compile("secret"))).to_be_visible()


async def made_key(page: Page) -> None:
    await pressing("New key")(page)
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("What it is for").fill("the night watch")
    await dialog.get_by_role("button", name="Make the key").click()
    await expect(page.get_by_role("dialog", name="The new key")).to_be_visible()


async def revoking(page: Page) -> None:
    await page.get_by_role("button", name="Revoke").first.click()


def views(ids: dict[str, str]) -> dict[str, tuple[str, View]]:
    """Each by name: its route, and what is done there. `ids`: tasks by state or kind."""
    tasks = {f"task-{kind}": (f"tasks/{task}", nothing) for kind, task in ids.items()}
    return {
        "overview": ("overview", nothing),
        "tasks": ("tasks", nothing),
        "tasks-none": ("tasks?text=nothing-is-called-so", nothing),
        "tasks-chosen": ("tasks", chosen),
        "tasks-menu": ("tasks", row_menu),
        "tasks-filters": ("tasks?state=completed&origin=data.example.com", pressing("^(More )?[Ff]ilters?")),
        **tasks,
        "task-missing": ("tasks/0123456789abcdef", nothing),
        "task-cancelling": (f"tasks/{ids.get('queued', '')}", cancelling),
        "task-undone": (f"tasks/{ids.get('queued', '')}", undone),
        "add": ("tasks", add_dialog),
        "add-whole": ("tasks", add_dialog_whole),
        "add-refused": ("tasks", add_dialog_refused),
        "nodes": ("nodes", nothing),
        "nodes-list": ("nodes?view=list", nothing),
        "node": ("nodes/node-1", nothing),
        "node-drain": ("nodes/node-1", pressing("^Drain$")),
        "node-settings": ("nodes/node-1", pressing("^Settings$")),
        "node-missing": ("nodes/node-99", nothing),
        "events": ("events", nothing),
        "events-opened": ("events", opened_event),
        "policy": ("policy", nothing),
        "policy-filled": ("policy", policy_filled),
        "policy-refused": ("policy", policy_refused),
        "webhooks-none": ("webhooks", nothing),
        "webhook-new": ("webhooks", pressing("New webhook")),
        "webhook-made": ("webhooks", made_webhook),
        "webhooks": ("webhooks", nothing),
        "keys": ("keys", nothing),
        "key-new": ("keys", pressing("New key")),
        "key-made": ("keys", made_key),
        "key-revoke": ("keys", revoking),
        "nowhere": ("nowhere", nothing),
    }


async def submitted(client: Web) -> None:
    answer = await client.ask("POST", "/api/v1/tasks", json=requests())
    assert answer.status == 201, answer.text


async def kinds(client: Web) -> dict[str, str]:
    """A task of each state, once there is one."""
    found: dict[str, str] = {}

    async def each_state() -> bool:
        for state in ("active", "completed", "failed", "queued", "paused"):
            tasks = (await client.get("/api/v1/tasks", params={"state": state})).json["tasks"]
            if tasks:
                found[state] = tasks[0]["task"]
        retrying = (await client.get("/api/v1/tasks", params={"text": "export.csv"})).json["tasks"]
        odd = (await client.get("/api/v1/tasks", params={"text": "committee"})).json["tasks"]
        found.update(retrying=retrying[0]["task"], odd=odd[0]["task"])
        return len(found) == 7

    await eventually(each_state, within_s=120, what="a task of each state")
    return found


LOOKS = {
    "desk-light": (DESK, False),
    "desk-dark": (DESK, True),
    "phone-light": (PHONE, False),
    "phone-dark": (PHONE, True),
}


async def tour(browser: Browser, up: Up, client: Web, folder: Path, only: str) -> None:
    """Every view in every look."""
    ids = await kinds(client)
    async with anyio.create_task_group() as group:
        for look in LOOKS:
            group.start_soon(tour_in, browser, up, folder, look, views(ids), only)


async def tour_in(browser: Browser, up: Up, folder: Path, look: str, all_views: dict[str, Any], only: str) -> None:
    gateway = up.info["gateway"]
    size, dark = LOOKS[look]
    (folder / look).mkdir(parents=True, exist_ok=True)
    for name, (route, view) in {"sign-in": ("", nothing), **all_views}.items():
        if not re.search(only, f"{name}@{look}"):
            continue
        key = "" if name == "sign-in" else gateway["key"]
        async with visiting(browser, gateway["url"], key, size=size, dark=dark) as tab:
            await shoot(tab, route, view, folder / look / f"{name}.png")


async def shoot(tab: Any, route: str, view: View, file: Path) -> None:
    tab.page.set_default_timeout(8000)
    await tab.go(route)
    await tab.page.wait_for_timeout(1800)
    try:
        await view(tab.page)
    except Exception as error:
        print(f"{file}: {str(error)[:300]}")
    await tab.page.screenshot(path=file, animations="disabled")
    wide = await tab.overflow()
    if wide > 0 or tab.own_problems:
        print(f"{file}: {wide} px too wide; {tab.own_problems}")


LARGE = {"width": 1440, "height": 1160}
SHOWN: dict[str, tuple[str, dict[str, int], bool]] = {
    "overview-light": ("overview", LARGE, False),
    "overview-dark": ("overview", LARGE, True),
    "tasks": ("tasks?state=active&state=assigned&state=queued&state=paused", LARGE, False),
    "task": ("tasks/{active}", LARGE, True),
    "phone": ("overview", PHONE, False),
}
"""The pictures of docs/images: route, size and whether in the dark."""


def packed(png: bytes) -> bytes:
    """The same picture in 256 colours, which nobody can tell from all: a third of the bytes."""
    try:
        from PIL import Image  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        sys.stderr.write("pip install pillow, and the pictures are a third as large\n")
        return png
    whole = Image.open(BytesIO(png)).convert("RGB")
    small = BytesIO()
    whole.quantize(256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(small, "PNG", optimize=True)
    return small.getvalue()


async def shown(browser: Browser, up: Up, client: Web) -> None:
    """Into docs/images."""
    ids = await kinds(client)
    gateway = up.info["gateway"]
    IMAGES.mkdir(exist_ok=True)
    for name, (route, size, dark) in SHOWN.items():
        async with visiting(browser, gateway["url"], gateway["key"], size=size, dark=dark) as tab:
            await tab.go(route.format(**ids))
            await tab.page.wait_for_timeout(LOOKED_AT_MS)
            (IMAGES / f"{name}.png").write_bytes(packed(await tab.page.screenshot()))


async def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--all", type=Path, help="every view into this folder, and none into docs/images")
    words.add_argument("--only", default="", help="with --all: views whose name matches, as name@desk-light")
    words.add_argument("--warm-up", type=float, default=WARM_UP_S, help="seconds")
    asked = words.parse_args()
    with tempfile.TemporaryDirectory(prefix="downdraft-pictures-") as folder:
        async with open_browser() as browser, gallery(Path(folder)) as (up, client):
            await submitted(client)
            async with anyio.create_task_group() as group:
                group.start_soon(keep_busy, client)
                await anyio.sleep(asked.warm_up)
                await (tour(browser, up, client, asked.all, asked.only) if asked.all else shown(browser, up, client))
                group.cancel_scope.cancel()


if __name__ == "__main__":
    anyio.run(main)
