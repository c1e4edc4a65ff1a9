"""Chromium as somebody sits at it. Nothing outside this machine is asked: whatever tries is noted."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, ConsoleMessage, Page, Request, async_playwright

from tests.conftest import required

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--no-sandbox",  # as root, in containers
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
DESK = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}
AXE = Path(__file__).parents[2] / "gateway" / "ui" / "node_modules" / "axe-core" / "axe.min.js"
PATIENCE_MS = 30_000
"""This machine may run four other tests beside this one."""
WHILE_AWAY = (
    "ERR_CONNECTION_REFUSED",
    "ERR_INCOMPLETE_CHUNKED_ENCODING",
    "ERR_CONNECTION_RESET",
    "ERR_EMPTY_RESPONSE",
    "ERR_NETWORK_CHANGED",  # other tests give this machine interfaces and take them away
)
"""What Chromium itself writes to the console where a server, or the network, is gone."""


def find_chromium() -> str | None:
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def chromium() -> str:
    """Where it is; skips the test where there is none, unless DOWNDRAFT_REQUIRE names `web`."""
    found = find_chromium()
    if found is None:
        assert not required("web"), (
            "DOWNDRAFT_REQUIRE names web, and there is no Chromium: install the package chromium"
        )
        pytest.skip("needs Chromium")
    return found


@asynccontextmanager
async def open_browser() -> AsyncIterator[Browser]:
    path = chromium()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=FLAGS)
        try:
            yield browser
        finally:
            await browser.close()


class Visit:
    """One tab, and what went wrong in it."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.problems: list[str] = []
        """Errors of the console, and what was not caught."""
        self.expected: tuple[str, ...] = ()
        """What Chromium writes of what the test has refused on purpose: `status of 422`."""
        self.foreign: list[str] = []
        """Addresses of other hosts that were asked."""
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("request", self._asked)

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.problems.append(f"{message.text} [{message.location.get('url', '')}]")

    def _asked(self, request: Request) -> None:
        if urlsplit(request.url).netloc != urlsplit(self.url).netloc:
            self.foreign.append(request.url)

    async def go(self, path: str) -> None:
        """A hash route: `tasks?state=active`."""
        await self.page.goto(f"{self.url}/#/{path}")

    @property
    def own_problems(self) -> list[str]:
        """Without what Chromium says of a gateway that is away, and of what is `expected`."""
        passed_over = (*WHILE_AWAY, *self.expected)
        return [problem for problem in self.problems if not any(part in problem for part in passed_over)]

    async def violations(self) -> list[str]:
        """What axe-core finds serious, each with the first element at fault."""
        if not await self.page.evaluate("'axe' in window"):
            await self.page.evaluate(AXE.read_text())
        found = await self.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        serious = [each for each in found["violations"] if each["impact"] in ("serious", "critical")]
        return [
            f"{each['id']}: {each['nodes'][0]['html'][:300]} {each['nodes'][0]['failureSummary']}" for each in serious
        ]

    async def sound(self) -> None:
        """What stands there now can be read by all, and fits."""
        found, wide = await self.violations(), await self.overflow()
        assert not found, "\n".join(found)
        assert wide <= 0, f"{wide} px wider than the window"

    async def overflow(self) -> int:
        """How many pixels the page is wider than its window."""
        return int(await self.page.evaluate("document.documentElement.scrollWidth - innerWidth"))


@asynccontextmanager
async def visiting(
    browser: Browser, url: str, key: str = "", *, size: dict[str, int] | None = None, dark: bool = False
) -> AsyncIterator[Visit]:
    """A tab of its own, signed in where a key is given."""
    context = await browser.new_context(
        viewport=size or DESK,  # type: ignore[arg-type]
        color_scheme="dark" if dark else "light",
        reduced_motion="reduce",  # what fades in is judged as it stands then
    )
    context.set_default_timeout(PATIENCE_MS)
    if key:
        await context.add_init_script(f"sessionStorage.setItem('downdraft.key', '{key}')")
    page = await context.new_page()
    try:
        yield Visit(page, url)
    finally:
        # A test's stand-in for an answer may be at work as the page goes.
        await page.unroute_all(behavior="ignoreErrors")
        await context.close()
