"""Nodes, policy, events, keys and webhooks, as an operator sees and changes them in a real browser."""

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from playwright.async_api import Browser, Locator, Page, expect

from broker.cluster import open_client
from schemas import codec
from schemas.apikey import Scope
from schemas.heartbeat import Heartbeat
from schemas.subjects import heartbeat
from tests.harness.browser import PHONE, Visit, visiting
from tests.harness.processes import Up
from tests.harness.waiting import eventually
from tests.harness.web import Web, browsing, make_key
from tests.integration.node.origin import Origin

# A browser takes two cores for minutes.
pytestmark = pytest.mark.slow

NODE = "node-2"
REFUSED = ("status of 422",)
MANY = 500
CONFLICT = ("status of 412",)


@pytest.fixture
async def web(up: Up) -> AsyncIterator[Web]:
    """The same gateway without the page: what somebody else does meanwhile, and what really holds."""
    async with browsing(up) as opened:
        yield opened


@pytest.fixture
async def night(up: Up, browser: Browser) -> AsyncIterator[Visit]:
    """The same operator on a phone, in the dark."""
    gateway = up.info["gateway"]
    async with visiting(browser, gateway["url"], gateway["key"], size=PHONE, dark=True) as tab:
        yield tab
        assert (tab.own_problems, tab.foreign) == ([], [])


def standing(page: Page) -> Locator:
    return page.locator(".page-head .badge").first


async def wishes(web: Web) -> dict[str, Any]:
    found: dict[str, Any] = (await web.get(f"/api/v1/nodes/{NODE}")).json
    return found


async def test_a_node_is_drained_and_opened_again(visit: Visit, web: Web) -> None:
    page = visit.page
    await visit.go("nodes?view=list")
    await page.get_by_role("link", name=NODE).click()
    await expect(standing(page)).to_have_text("online")
    await expect(page.get_by_role("img", name=re.compile("^Speed: "))).to_be_visible()
    await visit.sound()
    await page.get_by_role("button", name="Drain", exact=True).click()
    dialog = page.get_by_role("dialog", name=f"Drain {NODE}")
    await dialog.get_by_label("Why").fill("new disk")
    await visit.sound()
    await dialog.get_by_role("button", name="Drain", exact=True).click()
    await expect(standing(page)).to_have_text("drained")
    await expect(page.get_by_text("new disk")).to_be_visible()
    assert (await wishes(web))["wishes"] == {"draining": True, "reason": "new disk"}
    await page.get_by_role("button", name="Open again").click()
    await expect(standing(page)).to_have_text("online")


LINE = """(graph) => {
  const canvas = graph.querySelector("canvas");
  if (!canvas) return null;
  const { width, height } = canvas;
  const copy = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  copy.drawImage(canvas, 0, 0);
  const { data } = copy.getImageData(0, 0, width, height);
  const isAccent = (at) => data[at + 3] > 200 && data[at + 2] - data[at] > 100;
  const columns = new Set();
  for (let at = 0; at < data.length; at += 4) if (isAccent(at)) columns.add((at / 4) % width);
  return { from: Math.min(...columns), columns: columns.size, width };
}"""
"""Where the line of a graph is drawn: in the accent's colour, and nothing else is."""


async def test_a_nodes_graph_shows_what_was_before_somebody_looked(visit: Visit, web: Web) -> None:
    async def is_known() -> bool:
        return len((await web.get(f"/api/v1/nodes/{NODE}/history")).json["samples"]) > 1

    await eventually(is_known, within_s=40)
    await visit.go(f"nodes/{NODE}")
    graph = visit.page.get_by_role("img", name=re.compile("^Speed: "))

    async def line() -> Any:
        found = await graph.evaluate(LINE)
        return found if found and found["columns"] else None

    drawn = await eventually(line)
    assert drawn["columns"] > drawn["width"] / 10, "ten seconds at least of a minute"
    assert drawn["from"] > 74, "the scale beside it has another colour"


async def test_a_nodes_slots_and_tags_are_set_and_what_cannot_be_is_refused_at_its_field(
    night: Visit, web: Web
) -> None:
    page = night.page
    night.expected = REFUSED
    await night.go(f"nodes/{NODE}")
    await page.get_by_role("button", name="Settings").click()
    dialog = page.get_by_role("dialog", name=f"Settings of {NODE}")
    await dialog.get_by_label("Download limit").fill("a lot")
    await dialog.get_by_role("button", name="Save").click()
    limit = dialog.get_by_label("Download limit")
    await expect(limit).to_have_attribute("aria-invalid", "true")
    await expect(limit).to_have_accessible_description(re.compile("a lot"))
    await night.sound()
    await limit.fill("5M")
    await dialog.get_by_label("Slots").fill("7")
    await dialog.get_by_label("Tags").fill("archive, eu")
    await dialog.get_by_role("button", name="Save").click()
    await expect(dialog).not_to_be_visible()
    await expect(page.get_by_text("0 of 7")).to_be_visible()
    has = (await wishes(web))["wishes"]
    assert (has["slots"], sorted(has["tags"]), has["download_limit"]) == (7, ["archive", "eu"], 5 << 20)
    await night.sound()


async def test_the_policy_is_edited_and_what_is_not_valid_is_told_at_its_field(night: Visit, web: Web) -> None:
    page = night.page
    night.expected = REFUSED
    await night.go("policy")
    await page.get_by_role("radio", name="Spread").check()
    await page.get_by_label("Spread over the tag").fill("zone")
    await page.get_by_role("button", name="Add a window").click()
    window = page.get_by_role("textbox", name="Window 1")
    await window.fill("Mon-Fri 08:00-25:00 20M")
    await page.get_by_role("button", name="Add an owner").click()
    await page.get_by_role("textbox", name="Owner").fill("alice")
    await page.get_by_role("textbox", name="Weight").fill("2")
    await page.get_by_role("button", name="Save").click()
    await expect(window).to_have_accessible_description(re.compile("25:00"))
    await night.sound()
    await window.fill("Mon-Fri 08:00-18:00 200M")
    await expect(page.get_by_role("img", name=re.compile("^The week: "))).to_be_visible()
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_text("The policy is set")).to_be_visible()
    policy = (await web.get("/api/v1/policy")).json["policy"]
    assert (policy["strategy"], policy["spread_tag"], policy["owners"]) == ("spread", "zone", {"alice": {"weight": 2}})
    assert policy["bandwidth"] == ["Mon-Fri 08:00-18:00 200M"]
    await night.sound()


async def test_who_leaves_a_policy_that_is_not_saved_is_asked(visit: Visit) -> None:
    page = visit.page
    await visit.go("nodes")
    await page.get_by_role("link", name="Policy").first.click()
    await page.get_by_label("Time zone").fill("Europe/Vaduz")
    question = page.get_by_role("dialog", name="Leave without saving?")
    for leave in (page.get_by_role("link", name="Overview").first.click, page.go_back):
        await leave()
        await expect(question).to_be_visible()
        assert page.url.endswith("#/policy")
        await visit.sound()
        await question.get_by_role("button", name="Stay here").click()
        await expect(page.get_by_label("Time zone")).to_have_value("Europe/Vaduz")
    await page.get_by_role("link", name="Tasks").first.click()
    await question.get_by_role("button", name="Leave").click()
    await expect(page.get_by_role("heading", level=1, name="Tasks")).to_be_visible()
    await page.get_by_role("link", name="Policy").first.click()
    await expect(page.get_by_label("Time zone")).not_to_have_value("Europe/Vaduz")


async def test_what_somebody_else_set_meanwhile_is_shown_and_not_lost(visit: Visit, web: Web) -> None:
    page = visit.page
    visit.expected = CONFLICT
    await visit.go("policy")
    await page.get_by_role("button", name="Add an origin").click()
    await page.get_by_role("textbox", name="Origin").fill("mine.example.org")
    await page.get_by_role("textbox", name="Downloads at once").fill("3")
    stands = (await web.get("/api/v1/policy")).json["policy"]
    theirs = stands | {"strategy": "round-robin", "origins": {"theirs.example.org": {"running": 9}}}
    assert await web.status("PUT", "/api/v1/policy", json=theirs) == 200
    await page.get_by_role("button", name="Save").click()
    conflict = page.get_by_role("alert").filter(has_text="Somebody else changed the policy")
    await expect(conflict).to_contain_text("round-robin")
    await visit.sound()
    await conflict.get_by_role("button", name="Put my changes on top").click()
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_text("The policy is set")).to_be_visible()
    policy = (await web.get("/api/v1/policy")).json["policy"]
    assert policy["strategy"] == "round-robin"
    assert policy["origins"] == {"theirs.example.org": {"running": 9}, "mine.example.org": {"running": 3}}


async def submit(web: Web, *uris: str, **more: Any) -> None:
    answer = await web.ask("POST", "/api/v1/tasks", json=[{"uris": [uri]} | more for uri in uris])
    assert answer.status == 201, answer.text


async def test_events_come_as_they_happen_narrowed_and_wait_while_paused(
    visit: Visit, web: Web, origin: Origin
) -> None:
    page = visit.page
    await visit.go("events?type=finished&label=watched")
    await expect(page.get_by_text("No such event yet")).to_be_visible()
    rows = page.get_by_role("table", name="Events").get_by_role("row")
    await submit(web, origin.url("file/small.bin?other"))
    await submit(web, origin.url("file/small.bin?first"), labels={"watched": "yes"})
    await expect(rows).to_have_count(1)
    await expect(rows).to_contain_text("Completed")
    await page.get_by_role("button", name="Pause").click()
    await submit(web, origin.url("file/small.bin?second"), labels={"watched": "yes"})
    await expect(page.get_by_text("Paused: 1 new event")).to_be_visible()
    await expect(rows).to_have_count(1)
    await page.get_by_role("button", name="Resume").click()
    await expect(rows).to_have_count(2)
    await rows.first.get_by_role("button").click()
    await expect(page.get_by_label("The event as JSON")).to_contain_text('"finished.completed"')
    await visit.sound()


async def test_events_that_happen_while_the_gateway_is_away_are_shown_once_each_when_it_is_back(
    visit: Visit, up: Up, web: Web, origin: Origin
) -> None:
    page = visit.page
    await visit.go("events?type=finished&label=away")
    await expect(page.get_by_text("No such event yet")).to_be_visible()
    rows = page.get_by_role("table", name="Events").get_by_role("row")
    await submit(web, origin.url("file/small.bin?before"), labels={"away": "0"}, name="before")
    await expect(rows).to_have_count(1)
    up.kill("gateway")
    await expect(page.get_by_text("Reconnecting …")).to_be_visible()
    added = await up.arun("submit", "--label", "away=1", origin.url("file/small.bin?away"))
    assert added.returncode == 0, added.stderr
    await expect(rows.filter(has_text="small.bin")).to_have_count(1)
    await expect(rows.filter(has_text="before")).to_have_count(1)
    await expect(page.get_by_text("2 events", exact=True)).to_be_visible(timeout=1000)


async def test_a_key_is_made_told_once_and_revoked(night: Visit, up: Up, browser: Browser) -> None:
    page = night.page
    night.expected = REFUSED
    await night.go("keys")
    await page.get_by_role("button", name="New key").click()
    dialog = page.get_by_role("dialog", name="New key")
    await dialog.get_by_label("What it is for").fill("the night watch")
    await dialog.get_by_role("textbox", name="Owner").fill("Not An Owner")
    await dialog.get_by_role("button", name="Make the key").click()
    await expect(dialog.get_by_role("textbox", name="Owner")).to_have_accessible_description(
        re.compile("is not an owner")
    )
    await night.sound()
    await dialog.get_by_role("textbox", name="Owner").fill("alice")
    await dialog.get_by_role("radio", name="May look").check()
    await dialog.get_by_role("button", name="Make the key").click()
    told = page.get_by_role("dialog", name="The new key")
    key = await told.get_by_role("region", name="the key").inner_text()
    await night.sound()
    await told.get_by_role("button", name="I have kept it").click()
    row = page.get_by_role("listitem").filter(has_text="the night watch")
    await expect(row).to_contain_text("may look")
    assert key not in await page.content()
    async with browsing(up, key) as web:
        assert (await web.get("/api/v1/me")).json["owner"] == "alice"
        await row.get_by_role("button", name="Revoke").click()
        await page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
        await expect(row).to_have_count(0)

        async def is_refused() -> bool:
            return await web.status("GET", "/api/v1/me") == 401

        await eventually(is_refused, what="the revoked key opens nothing")


async def test_a_webhook_is_made_stopped_and_deleted(visit: Visit, web: Web, origin: Origin) -> None:
    page = visit.page
    visit.expected = REFUSED
    await visit.go("webhooks")
    await page.get_by_role("button", name="New webhook").click()
    dialog = page.get_by_role("dialog", name="New webhook")
    await dialog.get_by_label("Address").fill("http://127.0.0.1/hook")
    await dialog.get_by_role("button", name="Make the webhook").click()
    await expect(dialog.get_by_label("Address")).to_have_accessible_description(re.compile("127.0.0.1"))
    await dialog.get_by_label("Address").fill("https://hooks.invalid/downloads")
    await dialog.get_by_text("Every event").click()
    await visit.sound()
    await dialog.get_by_role("button", name="Make the webhook").click()
    told = page.get_by_role("dialog", name="The webhook’s secret")
    await expect(told.get_by_role("region", name="the secret")).to_contain_text("whsec_")
    await told.get_by_role("button", name="I have kept it").click()
    hook = page.get_by_role("listitem").filter(has_text="hooks.invalid")
    await submit(web, origin.url("file/small.bin?hook"))
    await expect(hook).to_contain_text("failing for")
    await visit.sound()
    await hook.get_by_role("button", name="Disable").click()
    await expect(hook).to_contain_text("Nothing is sent")
    assert not (await web.get("/api/v1/webhooks")).json["webhooks"][0]["enabled"]
    await hook.get_by_role("button", name="Enable").click()
    await expect(hook).not_to_contain_text("Nothing is sent")
    await hook.get_by_role("button", name=re.compile("^More for")).click()
    await page.get_by_role("menuitem", name="Delete").click()
    await page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    await expect(page.get_by_text("No webhook yet")).to_be_visible()


async def test_who_may_only_look_can_change_no_node_policy_or_webhook(up: Up, browser: Browser) -> None:
    key = await make_key(up, "default", Scope.READ)
    async with visiting(browser, up.info["gateway"]["url"], key) as visit:
        page = visit.page
        await visit.go(f"nodes/{NODE}")
        await expect(standing(page)).to_have_text("online")
        for name in ("Drain", "Cordon", "Pause", "Settings"):
            await expect(page.get_by_role("button", name=name, exact=True)).to_have_count(0)
        await visit.go("policy")
        await expect(page.get_by_role("radio", name="Least loaded")).to_be_disabled()
        await expect(page.get_by_label("Time zone")).to_be_disabled()
        await expect(page.get_by_role("button", name=re.compile("^(Add|Save)"))).to_have_count(0)
        await visit.go("webhooks")
        await expect(page.get_by_text("No webhook yet")).to_be_visible()
        await expect(page.get_by_role("button", name="New webhook")).to_have_count(0)
        assert visit.own_problems == []


async def many_nodes(up: Up, *, leaving: bool) -> None:
    """Five hundred are heard that take nothing; or say goodbye."""
    async with open_client(up.url, up.creds("admin")) as client:
        for number in range(MANY):
            beat = Heartbeat(
                node=f"rack-{number:03}", instance="one", beat=1 + leaving, version="1", slots=8, running=0, waiting=0,
                tags=("rack", f"row={number % 20}"), trouble="the disk can’t be written", leaving=leaving,
            )  # fmt: skip
            await client.connection.publish(heartbeat(beat.node), codec.encode(beat))


async def test_five_hundred_nodes_are_a_list_of_which_only_what_is_seen_is_drawn(visit: Visit, up: Up) -> None:
    """The last of this file: they are remembered."""
    page = visit.page
    await visit.go("nodes")
    await expect(page.get_by_text("All 2", exact=True)).to_be_visible()
    await many_nodes(up, leaving=False)
    table = page.get_by_role("table", name="Nodes")
    await expect(table).to_have_attribute("aria-rowcount", str(2 + MANY + 1))
    assert await table.get_by_role("row").count() < 60
    await visit.sound()
    await page.get_by_label("Search nodes").fill("row=7")
    await expect(table).to_have_attribute("aria-rowcount", str(MANY // 20 + 1))
    await page.get_by_role("link", name="rack-007").click()
    await expect(page.get_by_role("heading", name="It takes no tasks")).to_be_visible()
    await expect(page.get_by_text("The disk can’t be written.")).to_be_visible()
    await many_nodes(up, leaving=True)
    await expect(standing(page)).to_have_text("gone")
