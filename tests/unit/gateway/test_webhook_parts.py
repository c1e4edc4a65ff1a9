"""Webhooks: signing, where they may go, and how far they are."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import anyio
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook as Verifier

from broker.standing import Found
from gateway.hub import Kept
from gateway.webhooks.book import state_of
from gateway.webhooks.delivery import is_gone
from gateway.webhooks.positions import Positions
from gateway.webhooks.posting import posting
from schemas import codec
from schemas.errors import RequestInvalid, SettingInvalid
from schemas.event import Queued
from schemas.webhook import (
    Network,
    Webhook,
    WebhookState,
    check_secret,
    check_url,
    make_webhook_secret,
    networks,
    signature,
    why_not_sent_to,
)
from tests.harness.waiting import eventually

SECRET = make_webhook_secret(bytes(range(24)))
NOON = datetime(2031, 5, 1, 12, tzinfo=UTC)


def test_a_signature_is_what_the_standard_s_own_library_makes() -> None:
    now = datetime.now(UTC)
    body = b'{"type":"queued"}'
    expected = Verifier(SECRET).sign("id-1", now, body.decode())
    assert signature(SECRET, "id-1", int(now.timestamp()), body) == expected


@pytest.mark.parametrize("secret", ["", "short", "whsec_", "whsec_!!!!", "whsec_" + "QUJD", SECRET + "A" * 200])
def test_a_secret_that_is_none_is_refused(secret: str) -> None:
    assert check_secret(SECRET) == SECRET
    with pytest.raises(RequestInvalid):
        check_secret(secret)


@pytest.mark.parametrize(
    "address",
    [
        *(
            "127.0.0.1",
            "10.1.2.3",
            "192.168.1.1",
            "172.16.0.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",  # noqa: S104 - not bound to
            "224.0.0.1",
        ),
        *("::1", "fe80::1", "fe80::1%eth0", "fd00::1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::", "::"),
    ],
)
def test_nothing_is_sent_inside_unless_it_is_allowed(address: str) -> None:
    assert "webhook_nets" in (why_not_sent_to(address, ()) or "")
    assert why_not_sent_to(address, networks(("0.0.0.0/0", "::/0"))) is None


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700::1111", "64:ff9b::101:101"])
def test_public_addresses_are_sent_to(address: str) -> None:
    assert why_not_sent_to(address, ()) is None


@pytest.mark.parametrize(
    "url",
    [
        "ftp://a.example/",
        "http://",
        "https://u:p@a.example/",
        "http://[::1",
        "https://a.example/ä",
        "http://[fd00::1]/",
    ],
)
def test_an_address_that_can_not_be_sent_to_is_refused(url: str) -> None:
    assert check_url("https://a.example/hook?x=1", ())
    with pytest.raises(RequestInvalid):
        check_url(url, ())


def test_networks_that_are_none_are_told_of() -> None:
    with pytest.raises(SettingInvalid, match="webhook_nets"):
        networks(("nonsense",))


@given(st.lists(st.booleans(), max_size=30), st.randoms())
def test_everything_up_to_the_safe_position_is_done_whatever_the_order(wanted: list[bool], dice: object) -> None:
    positions = Positions(0)
    open_ones = []
    for sequence, is_wanted in enumerate(wanted, start=1):
        if is_wanted:
            positions.begin(sequence)
            open_ones.append(sequence)
    positions.read_to(len(wanted))
    dice.shuffle(open_ones)  # type: ignore[attr-defined]
    while open_ones:
        assert positions.safe == min(open_ones) - 1
        positions.done(open_ones.pop())
    assert positions.safe == len(wanted)


@pytest.fixture
async def receiver() -> AsyncIterator[tuple[int, list[str]]]:
    """A port on loopback, and the paths that it was asked for."""
    asked: list[str] = []

    async def receive(request: web.Request) -> web.Response:
        asked.append(request.path)
        if request.path == "/slow":
            await anyio.sleep(60)
        raise web.HTTPFound("/elsewhere") if request.path == "/moved" else web.HTTPOk()

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", receive)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield runner.addresses[0][1], asked
    await runner.cleanup()


async def posted(url: str, allowed: tuple[Network, ...]) -> str:
    """Why a post to an address failed."""
    webhook = Webhook(id="a", owner="ann", url=url, secret=SECRET, after=0, created=NOON)
    event = Queued(task="aa", owner="ann", time=NOON)
    async with posting(allowed) as poster:
        return (await poster.post(webhook, Kept(1, event, b"{}"))).problem


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1", "0x7f000001", "2130706433"])
async def test_no_way_of_writing_an_address_leads_inside(receiver: tuple[int, list[str]], host: str) -> None:
    port, asked = receiver
    problem = await posted(f"http://{host}:{port}/hook", ())
    assert "no public address" in problem or "a host is a name" in problem
    assert asked == []


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_what_is_allowed_is_sent_to(receiver: tuple[int, list[str]], host: str) -> None:
    port, asked = receiver
    assert await posted(f"http://{host}:{port}/hook", networks(("127.0.0.0/8", "::1/128"))) == ""
    assert asked == ["/hook"]


async def test_many_slow_receivers_keep_no_other_waiting(receiver: tuple[int, list[str]]) -> None:
    port, asked = receiver
    slow, quick = (
        Webhook(id="a", owner="ann", url=f"http://127.0.0.1:{port}/{path}", secret=SECRET, after=0, created=NOON)
        for path in ("slow", "quick")
    )
    kept = Kept(1, Queued(task="aa", owner="ann", time=NOON), b"{}")
    async with posting(networks(("127.0.0.0/8",))) as poster, anyio.create_task_group() as tasks:
        for _ in range(120):
            tasks.start_soon(poster.post, slow, kept)
        await eventually(lambda: len(asked) >= 100, within_s=30)
        with anyio.fail_after(10):
            assert (await poster.post(quick, kept)).problem == ""
        tasks.cancel_scope.cancel()


async def test_redirections_are_not_followed(receiver: tuple[int, list[str]]) -> None:
    port, asked = receiver
    assert "not followed" in await posted(f"http://127.0.0.1:{port}/moved", networks(("127.0.0.0/8",)))
    assert asked == ["/moved"]


def test_how_a_webhook_does_begins_anew_where_it_can_not_be_read() -> None:
    webhook = Webhook(id="1", owner="ann", url="https://h.example", secret="", after=7, created=NOON)
    stands = codec.encode(WebhookState(position=9, delivered=2))
    assert state_of(webhook, Found(stands, 1)) == WebhookState(position=9, delivered=2)
    for lost in (None, Found(b"", 1), Found(b"{", 1)):
        assert state_of(webhook, lost) == WebhookState(position=7)


@pytest.mark.parametrize(
    ("away_h", "tried_h", "is_it"), [(None, 2, False), (23, 23, False), (25, 25, True), (25, 2, True), (25, 0.5, False)]
)
def test_a_receiver_is_gone_after_a_day_whichever_process_tried(
    away_h: float | None, tried_h: float, is_it: bool
) -> None:
    now = datetime(2031, 5, 1, 12, tzinfo=UTC)
    since = None if away_h is None else now - timedelta(hours=away_h)
    assert is_gone(since, now, tried_h * 3600) is is_it
