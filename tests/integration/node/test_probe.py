"""The look at an address before aria2 gets it, against a real origin on loopback."""

from collections.abc import AsyncIterator
from email.utils import formatdate
from functools import partial

import aiohttp
import anyio
import pytest

from node import probe as module
from node.addresses import Reach, Unresolved, check_addresses, reach_of
from node.probe import Probed, new_session, probe, retry_after_s
from schemas.errors import SettingInvalid
from tests.harness.bad_origin import BadOrigin, Manner
from tests.harness.waiting import eventually
from tests.integration.node.origin import Origin

pytestmark = pytest.mark.anyio

NOW = 1_800_000_000.0
LOOPBACK = reach_of(["127.0.0.0/8"])


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with new_session() as opened:
        yield opened


async def test_an_origin_tells_the_size_and_what_it_can_do(session: aiohttp.ClientSession, origin: Origin) -> None:
    origin.files["a"] = b"x" * 1234
    found = await probe(session, origin.url("file/a"), {"X-Mine": "yes"}, LOOPBACK, NOW)
    assert (found.size, found.status) == (1234, 200)
    assert found.final_uri == origin.url("file/a")
    (asked,) = origin.asked
    assert (asked.method, asked.headers["X-Mine"]) == ("HEAD", "yes")
    assert asked.headers["Accept-Encoding"] == "identity"


async def test_a_refusal_is_told_with_when_to_come_back(session: aiohttp.ClientSession, origin: Origin) -> None:
    origin.retry_after = "120"
    found = await probe(session, origin.url("status/429"), {}, LOOPBACK, NOW)
    assert (found.size, found.status, found.retry_after_s) == (None, 429, 120.0)


@pytest.mark.parametrize("status", [405, 500, 302])
async def test_an_origin_that_does_not_answer_head_leaves_the_size_unknown(
    session: aiohttp.ClientSession, origin: Origin, status: int
) -> None:
    found = await probe(session, origin.url(f"status/{status}"), {}, LOOPBACK, NOW)
    assert (found.size, found.status, found.refused) == (None, status, "")


async def test_an_origin_that_is_not_there_leaves_the_size_unknown(session: aiohttp.ClientSession) -> None:
    assert await probe(session, "http://127.0.0.1:9/x", {}, LOOPBACK, NOW) == Probed()


async def test_a_silent_origin_costs_no_more_than_the_time_out(session: aiohttp.ClientSession, origin: Origin) -> None:
    with anyio.fail_after(2):
        assert await probe(session, origin.url("silent"), {}, LOOPBACK, NOW, within_s=0.2) == Probed()


async def test_an_origin_that_is_silent_keeps_nobody_from_asking_another(
    session: aiohttp.ClientSession, origin: Origin, bad: BadOrigin
) -> None:
    origin.files["a"], bad.manners["f"] = b"x" * 10, Manner(is_silent=True)
    async with anyio.create_task_group() as tasks:
        for _ in range(2 * module.PROBES_OF_ONE_MAX):
            tasks.start_soon(partial(probe, session, bad.url("f"), {}, LOOPBACK, NOW, within_s=30))
        await eventually(lambda: len(bad.asked) == module.PROBES_OF_ONE_MAX, what="as many questions as it is asked")
        assert (await probe(session, origin.url("file/a"), {}, LOOPBACK, NOW)).size == 10
        tasks.cancel_scope.cancel()


async def test_redirects_are_followed_to_the_file(session: aiohttp.ClientSession, origin: Origin) -> None:
    origin.files["a"] = b"x" * 10
    found = await probe(session, origin.url("to?/to?/file/a"), {}, LOOPBACK, NOW)
    assert (found.size, found.final_uri) == (10, origin.url("file/a"))


async def test_endless_redirects_end(session: aiohttp.ClientSession, origin: Origin) -> None:
    origin_loop = origin.url("to?" + "/to?" * 20)
    assert await probe(session, origin_loop, {}, LOOPBACK, NOW) == Probed()
    assert len(origin.asked) == 2 * (module.REDIRECTS_MAX + 1), "by HEAD and by GET"


async def test_credentials_go_to_the_origin_they_were_meant_for_alone(
    session: aiohttp.ClientSession, origin: Origin
) -> None:
    origin.files["a"] = b"x"
    secret = {"Authorization": "Bearer s", "cookie": "s", "X-Mine": "yes"}
    elsewhere = origin.url("file/a", host="localhost")
    await probe(session, origin.url(f"to?/to?{elsewhere}"), secret, reach_of(["127.0.0.0/8", "::1"]), NOW)
    carried = [("Authorization" in one.headers, "X-Mine" in one.headers) for one in origin.asked]
    assert carried == [(True, True), (True, True), (False, True)]
    assert not {"cookie", "Cookie"} & set(origin.asked[-1].headers)


async def test_a_cookie_of_one_task_is_not_sent_for_another(session: aiohttp.ClientSession, origin: Origin) -> None:
    session.cookie_jar.update_cookies({"a": "1"})
    await probe(session, origin.url("file/a"), {}, LOOPBACK, NOW)
    assert "Cookie" not in origin.asked[0].headers


async def test_loopback_is_refused_before_anything_is_sent(session: aiohttp.ClientSession, origin: Origin) -> None:
    found = await probe(session, origin.url("file/a"), {}, Reach(), NOW)
    assert found.refused == (
        "127.0.0.1 is a loopback address and this node does not download from there; "
        "start it with --allow-net 127.0.0.0/8 if that is meant"
    )
    assert origin.asked == []


async def test_a_redirect_to_a_refused_address_is_refused(session: aiohttp.ClientSession, origin: Origin) -> None:
    found = await probe(session, origin.url("to?http://169.254.169.254/latest/"), {}, LOOPBACK, NOW)
    assert found.refused.startswith("169.254.169.254 is a link-local address")
    assert found.final_uri == "http://169.254.169.254/latest/"


@pytest.mark.parametrize("scheme", ["ftp", "sftp", "FTP"])
async def test_other_schemes_get_the_address_check_alone(
    session: aiohttp.ClientSession, origin: Origin, scheme: str
) -> None:
    uri = f"{scheme}://127.0.0.1:{origin.port}/file"
    assert (await probe(session, uri, {}, Reach(), NOW)).refused
    assert await probe(session, uri, {}, LOOPBACK, NOW) == Probed()
    assert origin.asked == []


async def test_a_name_that_leads_nowhere_is_told_as_such(session: aiohttp.ClientSession) -> None:
    assert await probe(session, "http://nowhere.invalid/", {}, Reach(), NOW) == Probed()
    assert await probe(session, f"http://{'x' * 80}.invalid/", {}, Reach(), NOW) == Probed()


@pytest.mark.parametrize(
    ("host", "kind"),
    [
        ("127.0.0.1", "a loopback"),
        ("127.1", "a loopback"),
        ("2130706433", "a loopback"),
        ("localhost", "a loopback"),
        ("::1", "a loopback"),
        ("::ffff:127.0.0.1", "a loopback"),
        ("64:ff9b::7f00:1", "a loopback"),
        ("2002:7f00:1::", "a loopback"),
        ("169.254.169.254", "a link-local"),
        ("fe80::1", "a link-local"),
        ("0", "the unspecified"),
        ("::", "the unspecified"),
        ("224.0.0.1", "a multicast"),
        ("ff02::1", "a multicast"),
        ("240.0.0.1", "a reserved"),
        ("255.255.255.255", "a reserved"),
        ("::127.0.0.1", "a reserved"),
    ],
)
async def test_addresses_that_are_no_origins_are_refused_and_can_be_allowed(host: str, kind: str) -> None:
    refused = await check_addresses(host, 80, Reach())
    assert refused is not None
    assert f" is {kind} address and this node does not download from there" in refused
    net = refused.partition("--allow-net ")[2].partition(" ")[0]
    still = await check_addresses(host, 80, reach_of([net, "::1"]))
    assert still is None


@pytest.mark.parametrize("host", ["10.0.0.1", "192.168.1.1", "172.16.0.1", "fd00::1", "93.184.215.14"])
async def test_private_and_public_addresses_are_fine(host: str) -> None:
    assert await check_addresses(host, 80, Reach()) is None


async def test_allowing_one_network_allows_no_other() -> None:
    assert await check_addresses("169.254.169.254", 80, LOOPBACK) is not None


async def test_an_unresolved_host_is_an_error_of_its_own() -> None:
    with pytest.raises(Unresolved):
        await check_addresses("nowhere.invalid", 80, Reach())


def test_a_network_that_is_none_is_a_wrong_setting() -> None:
    with pytest.raises(SettingInvalid, match=r"node\.allow_nets: 'here'"):
        reach_of(["here"])


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("7", 7.0),
        ("999999999", module.RETRY_AFTER_MAX_S),
        (formatdate(NOW + 90, usegmt=True), 90.0),
        (formatdate(NOW - 90, usegmt=True), 0.0),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("٣", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(text: str, seconds: float | None) -> None:
    assert retry_after_s(text, NOW) == seconds
