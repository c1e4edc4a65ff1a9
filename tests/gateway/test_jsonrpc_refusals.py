"""What can't be done as a download stands, told in the words that clients of aria2 go by: a real one says the same."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest

from schemas.apikey import Scope
from tests.gateway.rpc import NOWHERE, ask, at, caller, post, reaches, running_aria2c
from tests.harness.processes import Up
from tests.harness.tracker import make
from tests.harness.waiting import eventually
from tests.harness.web import make_key
from tests.integration.node.origin import Origin

pytestmark = pytest.mark.timeout(90)

LONG = bytes(64 << 20)
"""What the origin drips for ten seconds at least."""
CHANGES = {"max-download-limit": "1K"}
Refusals = list[tuple[str, tuple[Any, ...], str]]
"""Methods, what they are given after the GID, and what they say."""
OVER: Refusals = [
    ("pause", (), "GID#{gid} cannot be paused now"),
    ("forcePause", (), "GID#{gid} cannot be paused now"),
    ("unpause", (), "GID#{gid} cannot be unpaused now"),
    ("remove", (), "Active Download not found for GID#{gid}"),
    ("forceRemove", (), "Active Download not found for GID#{gid}"),
    ("changePosition", (0, "POS_SET"), "GID#{gid} not found in the waiting queue."),
    ("changePosition", (0, "POS_NOWHERE"), "Illegal argument."),
    ("changeOption", (CHANGES,), "Cannot change option for GID#{gid}"),
    ("changeUri", (1, [], []), "Cannot remove URIs from GID#{gid}"),
    ("getUris", (), "No URI data is available for GID#{gid}"),
    ("getPeers", (), "No peer data is available for GID#{gid}"),
    ("getServers", (), "No active download for GID#{gid}"),
]
"""Of one that has ended."""
RUNNING: Refusals = [
    ("unpause", (), "GID#{gid} cannot be unpaused now"),
    ("changePosition", (0, "POS_SET"), "GID#{gid} not found in the waiting queue."),
    ("changePosition", (0, "POS_NOWHERE"), "Illegal argument."),
    ("changeUri", (9, [], []), "fileIndex is out of range"),
    ("removeDownloadResult", (), "Could not remove download result of GID#{gid}"),
]
PAUSED: Refusals = [
    ("pause", (), "GID#{gid} cannot be paused now"),
    ("forcePause", (), "GID#{gid} cannot be paused now"),
    ("changePosition", (0, "POS_NOWHERE"), "Illegal argument."),
    ("changeUri", (9, [], []), "fileIndex is out of range"),
    ("getServers", (), "No active download for GID#{gid}"),
    ("removeDownloadResult", (), "Could not remove download result of GID#{gid}"),
]


@pytest.fixture(scope="module")
def aria2c(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_aria2c(tmp_path_factory.mktemp("aria2c")) as url:
        yield url


async def stands(url: str, secret: str, gid: str) -> str:
    _, told = await ask(url, secret, "aria2.tellStatus", gid, ["status"])
    return str(told["status"])


async def added(url: str, secret: str, uri: str, until: str, **options: str) -> str:
    """A download that stands so; its GID."""
    _, gid = await ask(url, secret, "aria2.addUri", [uri], options)

    async def there() -> bool:
        return await stands(url, secret, gid) == until

    await eventually(there, within_s=30, what=f"{gid} is {until}")
    return str(gid)


async def assert_refused(url: str, secret: str, gid: str, refusals: Refusals) -> None:
    for method, params, text in refusals:
        told = await ask(url, secret, f"aria2.{method}", gid, *params)
        assert told == (400, {"code": 1, "message": text.format(gid=gid)}), (url, method, params)


async def test_what_has_ended_is_neither_steered_nor_changed(up: Up, aria2c: str, origin: Origin) -> None:
    origin.files["e.bin"] = b"x" * 10
    for url, secret in (at(up), (aria2c, "s")):
        for uri, end in ((origin.url("file/e.bin"), "complete"), (origin.url("status/404"), "error")):
            gid = await added(url, secret, uri, end)
            await assert_refused(url, secret, gid, OVER)


async def test_what_runs_is_no_result_and_stands_in_no_queue(up: Up, aria2c: str, origin: Origin) -> None:
    origin.files["r.bin"] = LONG
    for url, secret in (at(up), (aria2c, "s")):
        gid = await added(url, secret, origin.url("slow/r.bin"), "active")
        await assert_refused(url, secret, gid, RUNNING)
        assert await stands(url, secret, gid) == "active"
        await ask(url, secret, "aria2.forceRemove", gid)


async def test_what_is_paused_is_not_paused_again_and_has_no_servers(up: Up, aria2c: str) -> None:
    for url, secret in (at(up), (aria2c, "s")):
        gid = await added(url, secret, NOWHERE, "paused", pause="true")
        await assert_refused(url, secret, gid, PAUSED)
        assert await ask(url, secret, "aria2.changeUri", gid, 1, [], []) == (200, [0, 0])
        assert await ask(url, secret, "aria2.getPeers", gid) == (200, [])
        await ask(url, secret, "aria2.forceRemove", gid)


async def test_the_addresses_of_a_download_stand_once_it_is_submitted(up: Up) -> None:
    """aria2 changes them."""
    url, secret = at(up)
    gid = await added(url, secret, NOWHERE, "paused", pause="true")
    for gone, more in (([NOWHERE], list[str]()), (list[str](), [f"{NOWHERE}2"])):
        status, told = await ask(url, secret, "aria2.changeUri", gid, 1, gone, more)
        assert (status, told) == (400, {"code": 1, "message": f"Cannot remove URIs from GID#{gid}"})
    await ask(url, secret, "aria2.remove", gid)


async def test_the_beginning_of_several_gids_names_none(up: Up, aria2c: str) -> None:
    call = caller(up)
    adds = [{"methodName": "aria2.addUri", "params": [[f"{NOWHERE}{n}"], {"pause": "true"}]} for n in range(17)]
    _, told = await post(
        at(up)[0], {"id": 1, "method": "system.multicall", "params": [adds]}, **{"X-API-Key": at(up)[1]}
    )
    gids = [gid for (gid,) in told["result"]]
    first = [gid[0] for gid in gids]
    shared = next(digit for digit in first if first.count(digit) > 1)  # seventeen have no sixteen first digits
    for gid in (gid for gid in gids if gid[0] == shared):
        await ask(aria2c, "s", "aria2.addUri", [NOWHERE], {"pause": "true", "gid": gid})
    for url, secret in (at(up), (aria2c, "s")):
        assert await ask(url, secret, "aria2.tellStatus", shared) == (
            400,
            {"code": 1, "message": f"GID {shared} is not unique"},
        )
    for gid in gids:
        await call("aria2.remove", gid)


async def test_force_pauses_and_removes_what_runs(up: Up, origin: Origin) -> None:
    call = caller(up)
    origin.files["f.bin"] = LONG
    gid = await added(*at(up), origin.url("slow/f.bin"), "active")
    assert await call("aria2.forcePause", gid) == gid
    assert await stands(*at(up), gid) == "paused"
    assert await call("aria2.unpause", gid) == gid
    await reaches(call, gid, "active")
    assert await call("aria2.forceRemove", gid) == gid
    assert await call("aria2.tellStatus", gid, ["status", "errorCode"]) == {"status": "removed", "errorCode": "31"}


@pytest.mark.parametrize("method", ["aria2.pauseAll", "aria2.forcePauseAll"])
async def test_all_that_are_paused_at_once_are_the_callers_own(up: Up, origin: Origin, method: str) -> None:
    url, admin = at(up)
    origin.files["a.bin"] = LONG
    erin = await make_key(up, "erin", Scope.READ, Scope.SUBMIT)
    theirs = await added(url, admin, origin.url("slow/a.bin"), "active")
    own = [await added(url, erin, origin.url("slow/a.bin"), "active") for _ in range(2)]
    assert await ask(url, erin, method) == (200, "OK")
    assert [await stands(url, erin, gid) for gid in own] == ["paused", "paused"]
    assert await stands(url, admin, theirs) == "active"
    assert await ask(url, erin, "aria2.unpauseAll") == (200, "OK")
    for gid in own:
        assert await stands(url, erin, gid) in ("waiting", "active")
        await ask(url, erin, "aria2.forceRemove", gid)
    await ask(url, admin, "aria2.forceRemove", theirs)


async def test_a_session_is_saved_already(up: Up) -> None:
    assert await caller(up)("aria2.saveSession") == "OK"


async def test_what_is_neither_torrent_nor_metalink_is_refused(up: Up, aria2c: str) -> None:
    for method, content, text in (
        ("aria2.addTorrent", b"", "Bencode decoding failed"),
        ("aria2.addTorrent", b"le", "torrent file does not contain a root dictionary."),
        ("aria2.addTorrent", b"de", "Missing info in torrent metainfo."),
        ("aria2.addTorrent", b"d4:infodee", "Missing pieces in torrent metainfo."),
        ("aria2.addTorrent", make("t.bin", b"x").torrent[:-1], "Bencode decoding failed"),
        ("aria2.addMetalink", b"x", "Could not parse Metalink XML document."),
    ):
        for url, secret in (at(up), (aria2c, "s")):
            told = await ask(url, secret, method, base64.b64encode(content).decode())
            assert told == (400, {"code": 1, "message": text})


async def test_a_metalink_without_files_brings_nothing(up: Up, aria2c: str) -> None:
    for content in (b"<a/>", b"<metalink/>", b'<metalink xmlns="urn:ietf:params:xml:ns:metalink"/>'):
        for url, secret in (at(up), (aria2c, "s")):
            assert await ask(url, secret, "aria2.addMetalink", base64.b64encode(content).decode()) == (200, [])


@pytest.mark.parametrize("query", ["", "id=1", "method=aria2.getVersion&id=a&params=W10", "method=x&id=a&params=!!!"])
async def test_an_address_that_is_no_call_is_refused(up: Up, aria2c: str, query: str) -> None:
    for url in (at(up)[0], aria2c):
        async with aiohttp.ClientSession() as http, http.get(f"{url}/jsonrpc?{query}") as answer:
            told = json.loads(await answer.read())
        assert (answer.status, told["id"]) == (400, None)
        assert told["error"] == {"code": -32600, "message": "Invalid Request."}


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"max-overall-download-limit": "x"}, "max-overall-download-limit"),
        ({"max-concurrent-downloads": "1000"}, "max-concurrent-downloads"),
        ({"dir": "/downloads/elsewhere"}, "dir"),
        ({"all-proxy": "http://127.0.0.1:1"}, "all-proxy"),
        ({"header": ["A: b"]}, "header"),
        ({"max-tries": "5", "log-level": "z"}, "log-level"),
    ],
)
async def test_a_whole_that_cannot_be_changed_so_stays_as_it_is(up: Up, options: dict[str, Any], named: str) -> None:
    before = await caller(up)("aria2.getGlobalOption")
    told = await ask(*at(up), "aria2.changeGlobalOption", options)
    assert told == (
        400,
        {"code": 1, "message": f"We encountered a problem while processing the option '--{named}'."},
    )
    assert await caller(up)("aria2.getGlobalOption") == before
