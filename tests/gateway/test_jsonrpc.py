"""The gateway as an aria2: the same calls made to a real aria2c beside it, and what only a cluster can show."""

import base64
import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime

import aiohttp
import pytest

from broker import keys
from broker.cluster import open_client
from schemas import codec
from schemas import subjects as s
from schemas.apikey import ApiKey, Scope, digest_of, make_secret
from schemas.payload import INLINE_BYTES_MAX
from tests.gateway.rpc import NOWHERE, ask, at, caller, hearing, post, reaches, running_aria2c
from tests.gateway.samecalls import BODIES, SAME
from tests.harness.metalinks import Entry, meta4
from tests.harness.processes import Up
from tests.harness.tracker import make
from tests.harness.waiting import eventually
from tests.harness.web import make_key
from tests.integration.node.origin import Origin

pytestmark = pytest.mark.timeout(90)


@pytest.fixture(scope="module")
def aria2c(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_aria2c(tmp_path_factory.mktemp("aria2c")) as url:
        yield url


async def test_what_can_be_compared_is_answered_as_aria2c_answers_it(up: Up, aria2c: str) -> None:
    for method, params in SAME:
        assert await ask(*at(up), method, *params) == await ask(aria2c, "s", method, *params), (method, params)


@pytest.mark.parametrize("body", BODIES)
async def test_an_envelope_is_answered_as_aria2c_answers_it(up: Up, aria2c: str, body: bytes) -> None:
    assert await post(at(up)[0], body) == await post(aria2c, body)


async def test_a_download_tells_the_same_fields_as_in_aria2c(up: Up, aria2c: str) -> None:
    told = []
    for url, secret in (at(up), (aria2c, "s")):
        _, gid = await ask(url, secret, "aria2.addUri", [NOWHERE], {"pause": "true", "max-download-limit": "900K"})
        _, status = await ask(url, secret, "aria2.tellStatus", gid)
        assert status["status"] == "paused"
        _, options = await ask(url, secret, "aria2.getOption", gid)
        assert options["max-download-limit"] == "921600"
        _, files = await ask(url, secret, "aria2.getFiles", gid)
        _, refused = await ask(url, secret, "aria2.pause", gid)
        _, unknown = await ask(url, secret, "aria2.removeDownloadResult", gid)
        _, removed = await ask(url, secret, "aria2.remove", gid)
        assert removed == gid
        status.pop("node", None)
        said = [error["message"].replace(gid, "GID") for error in (refused, unknown)]
        told.append((sorted(status), {key: type(value) for key, value in status.items()}, sorted(files[0]), said))
    assert told[0] == told[1]


async def test_jsonp_is_off_unless_it_is_set(up: Up) -> None:
    async with aiohttp.ClientSession() as http:
        query = "method=system.listNotifications&id=1"
        async with http.get(f"{at(up)[0]}/jsonrpc?{query}") as answer:
            assert json.loads(await answer.read())["result"][0] == "aria2.onDownloadStart"
        async with http.get(f"{at(up)[0]}/jsonrpc?{query}&jsoncallback=cb") as answer:
            assert answer.status == 403


async def test_without_a_valid_secret_nothing_is_told(up: Up) -> None:
    url, _ = at(up)
    for params in ([], ["token:"], ["token:dd_00000000_" + "A" * 32], [5]):
        status, told = await post(url, {"id": 1, "method": "aria2.getVersion", "params": params})
        assert (status, told["error"]) == (400, {"code": 1, "message": "Unauthorized"})


async def test_a_client_cannot_end_the_cluster(up: Up) -> None:
    for method in ("aria2.shutdown", "aria2.forceShutdown"):
        status, told = await ask(*at(up), method)
        assert (status, told["code"]) == (400, 1)
    assert (await ask(*at(up), "aria2.getVersion"))[0] == 200


async def test_positions_are_those_of_the_waiting_queue(up: Up) -> None:
    call = caller(up)
    gids = [await call("aria2.addUri", [f"{NOWHERE}{n}"], {"pause": "true"}) for n in range(3)]
    assert await call("aria2.changePosition", gids[2], 0, "POS_SET") == 0
    listed = [one["gid"] for one in await call("aria2.tellWaiting", 0, 100, ["gid"])]
    assert [gid for gid in listed if gid in gids] == [gids[2], gids[0], gids[1]]
    assert await call("aria2.tellWaiting", -1, 1, ["gid"]) == [{"gid": listed[-1]}]
    for gid in gids:
        await call("aria2.forceRemove", gid)


async def test_lists_are_in_the_order_of_the_queue_from_either_end(up: Up, aria2c: str) -> None:
    windows = [(0, 100), (1, 2), (3, 9), (9, 1), (-1, 2), (-2, 9), (-4, 1), (-5, 2), (0, 0)]
    told = []
    for url, secret in (at(up), (aria2c, "s")):
        await ask(url, secret, "aria2.purgeDownloadResult")
        calls = [
            {"methodName": "aria2.addUri", "params": [f"token:{secret}", [f"{NOWHERE}{n}"], {"pause": "true"}]}
            for n in range(4)
        ]
        _, answer = await post(url, {"id": 1, "method": "system.multicall", "params": [calls]})
        gids = [gid for (gid,) in answer["result"]]
        _, moved = await ask(url, secret, "aria2.changePosition", gids[3], -2, "POS_CUR")
        lists = [(await ask(url, secret, "aria2.tellWaiting", *window, ["gid"]))[1] for window in windows]
        _, stat = await ask(url, secret, "aria2.getGlobalStat")
        told.append((moved, [[gids.index(one["gid"]) for one in found] for found in lists], stat))
        for gid in gids:
            await ask(url, secret, "aria2.forceRemove", gid)
    assert told[0][:2] == told[1][:2] == (1, [[0, 3, 1, 2], [3, 1], [2], [], [2, 1], [1, 3, 0], [0], [], []])
    assert {**told[0][2], "numStopped": "0", "numStoppedTotal": "0"} == told[1][2]


async def test_what_is_added_paused_waits_until_it_is_let_go(up: Up, origin: Origin) -> None:
    call = caller(up)
    origin.files["p.bin"] = b"x" * 10
    gid = await call("aria2.addUri", [origin.url("file/p.bin")], {"pause": "true", "dir": "/downloads/{a}"})
    view = await up.show(gid)
    assert (view["state"], view["desired"], view["due_in_s"]) == ("queued", "pause", 0.0)
    assert (await call("aria2.tellStatus", gid, ["status", "dir"])) == {"status": "paused", "dir": "/downloads/{a}"}
    assert await call("aria2.unpause", gid) == gid
    done = await reaches(call, gid, "complete")
    assert done["files"][0]["path"] == "/downloads/{a}/p.bin"


async def test_a_gid_that_a_client_chose_is_the_one_it_is_told(up: Up, aria2c: str) -> None:
    chosen = "00000000000000Ab"
    told = []
    for url, secret in (at(up), (aria2c, "s")):
        options = {"gid": chosen, "pause": "true"}
        said = [(await ask(url, secret, "aria2.addUri", [NOWHERE], options))[1] for _ in range(2)]
        said.append((await ask(url, secret, "aria2.tellStatus", chosen, ["gid", "status"]))[1])
        said.append((await ask(url, secret, "aria2.tellWaiting", -1, 1, ["gid"]))[1])
        said += [(await ask(url, secret, f"aria2.{verb}", chosen))[1] for verb in ("pause", "remove")]
        await ask(url, secret, "aria2.removeDownloadResult", chosen)
        said.append((await ask(url, secret, "aria2.addUri", [NOWHERE], options))[1])
        told.append(said)
        await ask(url, secret, "aria2.forceRemove", chosen)
    assert told[0] == told[1]


async def test_options_of_a_download_change_and_a_whole_form_is_taken_back(up: Up) -> None:
    call = caller(up)
    gid = await call("aria2.addUri", [NOWHERE], {"pause": "true", "out": "{x}", "dir": "/downloads/d"})
    form = await call("aria2.getOption", gid)
    assert (form["out"], form["dir"]) == ("{x}", "/downloads/d")
    wanted = {"split": "64", "max-download-limit": "1M", "bt-max-peers": "7", "file-allocation": "none", "pause": "x"}
    assert await call("aria2.changeOption", gid, form | wanted) == "OK"
    now = await call("aria2.getOption", gid)
    assert {name: now[name] for name in ("split", "max-download-limit")} == {
        "split": "16",
        "max-download-limit": "1048576",
    }
    for name, value in (("dir", "/downloads/e"), ("out", "y"), ("header", "A: b"), ("split", "x"), ("all-proxy", "p")):
        _, told = await ask(*at(up), "aria2.changeOption", gid, {name: value})
        assert told == {"code": 1, "message": f"We encountered a problem while processing the option '--{name}'."}
    await call("aria2.remove", gid)
    whole = await call("aria2.getGlobalOption")
    assert await call("aria2.changeGlobalOption", whole | {"bt-max-open-files": "50"}) == "OK"
    gid = await call("aria2.addUri", [NOWHERE], whole | {"pause": "true", "dir": whole["dir"] + "/sub"})
    await call("aria2.remove", gid)


async def test_a_torrent_comes_from_its_web_seeds_whether_it_is_small_or_large(up: Up, origin: Origin) -> None:
    url, key = at(up)
    call = caller(up)
    async with hearing(url, **{"X-API-Key": key}) as ear:
        for name, note in (("small.bin", b""), ("large.bin", b"x" * INLINE_BYTES_MAX)):
            origin.files[name] = os.urandom(100_000)
            made = make(name, origin.files[name], note=note)
            content = base64.b64encode(made.torrent).decode()
            gid = await call(
                "aria2.addTorrent", content, [origin.url(f"file/{name}")], {"split": "2", "pause": "false"}
            )
            done = await reaches(call, gid, "complete", "error")
            assert (done["status"], done["totalLength"], done["files"][0]["selected"]) == ("complete", "100000", "true")
            assert (done["infoHash"], done["bittorrent"]["info"]["name"]) == (made.info_hash, name)
            await ear.until("DownloadComplete", gid)
            assert ear.of(gid) == ["DownloadStart", "BtDownloadComplete", "DownloadComplete"]


async def test_a_metalink_is_one_download_whether_it_is_small_or_large(up: Up, origin: Origin) -> None:
    call = caller(up)
    for name, more in (("m.bin", 0), ("n.bin", INLINE_BYTES_MAX)):
        body = origin.files[name] = os.urandom(50_000)
        content = meta4(Entry(name, [origin.url(f"file/{name}")], body)) + b"\n" * more
        (gid,) = await call("aria2.addMetalink", base64.b64encode(content).decode(), {"dir": "/downloads/meta"})
        done = await reaches(call, gid, "complete", "error")
        assert (done["status"], done["completedLength"]) == ("complete", "50000")


async def test_a_running_download_tells_its_servers_and_a_failed_one_why(up: Up, origin: Origin) -> None:
    call = caller(up)
    origin.files["s.bin"] = os.urandom(2 << 20)
    gid = await call("aria2.addUri", [origin.url("slow/s.bin")])
    running = await reaches(call, gid, "active")
    assert running["files"][0]["uris"] == [{"status": "used", "uri": origin.url("slow/s.bin")}]
    ((servers,),) = [await call("aria2.getServers", gid)]
    assert (servers["index"], servers["servers"][0]["currentUri"]) == ("1", origin.url("slow/s.bin"))
    assert await call("aria2.getPeers", gid) == []
    assert [one["gid"] for one in await call("aria2.tellActive", ["gid"])] == [gid]
    assert gid not in [one["gid"] for one in await call("aria2.tellWaiting", 0, 99)]
    assert await call("aria2.pause", gid) == gid
    assert (await reaches(call, gid, "paused"))["downloadSpeed"] == "0"
    await call("aria2.forceRemove", gid)
    missing = await call("aria2.addUri", [origin.url("status/404")])
    assert (await reaches(call, missing, "error"))["errorCode"] == "3"
    assert (await call("aria2.tellStopped", -1, 1, ["gid"])) == [{"gid": missing}]


async def test_who_only_listens_hears_what_those_of_the_same_address_may_see(up: Up) -> None:
    url, key = at(up)
    call = caller(up)
    alice = await make_key(up, "alice", Scope.READ, Scope.SUBMIT)
    page = {"Origin": "https://evil.example"}
    async with (
        hearing(url) as silent,
        hearing(url, **{"X-API-Key": key}) as ours,
        hearing(url, Authorization=f"Bearer {alice}") as hers,
        hearing(url, **page) as foreign,
    ):
        gid = await call("aria2.addUri", [NOWHERE], {"pause": "true"})
        await call("aria2.remove", gid)
        _, other = await ask(url, alice, "aria2.addUri", [NOWHERE], {"pause": "true"})
        await ask(url, alice, "aria2.remove", other)
        for ear in (silent, ours):
            await ear.until("DownloadStop", gid)
            await ear.until("DownloadStop", other)
        await hers.until("DownloadStop", other)
        assert hers.heard == [("DownloadStop", other)]
        with pytest.raises(TimeoutError):
            await foreign.next(within_s=0.1)


async def test_results_are_forgotten_one_by_one_and_all_at_once(up: Up) -> None:
    call = caller(up)
    gids = [await call("aria2.addUri", [NOWHERE], {"pause": "true"}) for _ in range(3)]
    for gid in gids:
        await call("aria2.remove", gid)
        assert (await call("aria2.tellStatus", gid, ["status", "errorCode"])) == {
            "status": "removed",
            "errorCode": "31",
        }
    assert await call("aria2.removeDownloadResult", gids[0]) == "OK"
    _, told = await ask(*at(up), "aria2.tellStatus", gids[0])
    assert told == {"code": 1, "message": f"GID {gids[0]} is not found"}
    assert await call("aria2.purgeDownloadResult") == "OK"
    stat = await call("aria2.getGlobalStat")
    assert (stat["numStopped"], stat["numStoppedTotal"]) == ("0", "0")


async def test_global_options_are_the_policy(up: Up) -> None:
    call = caller(up)
    await call("aria2.changeGlobalOption", {"max-overall-download-limit": "5M", "max-tries": "4"})
    told = await call("aria2.getGlobalOption")
    assert (told["max-overall-download-limit"], told["max-tries"]) == ("5242880", "4")
    await call("aria2.changeGlobalOption", {"max-overall-download-limit": "0"})
    assert (await call("aria2.getGlobalOption"))["max-overall-download-limit"] == "0"
    assert not [name for name in told if "secret" in name]


async def test_the_beginning_of_a_gid_is_enough_while_it_is_the_only_one(up: Up) -> None:
    gid = await caller(up)("aria2.addUri", [NOWHERE], {"pause": "true"})
    assert (await caller(up)("aria2.tellStatus", gid[:12], ["gid"])) == {"gid": gid}
    await caller(up)("aria2.remove", gid)


@pytest.mark.parametrize(("scopes", "may_add"), [((Scope.READ,), False), ((Scope.READ, Scope.SUBMIT), True)])
async def test_an_owner_sees_only_their_own_and_may_do_what_the_key_says(
    up: Up, scopes: tuple[Scope, ...], may_add: bool
) -> None:
    url, admin = at(up)
    secret = make_secret(os.urandom(28))
    async with open_client(up.url, up.creds("operator")) as client:
        key = ApiKey(id=secret.id, owner="alice", scopes=scopes, digest=digest_of(secret), created=datetime.now(UTC))
        await keys.write(client.connection, s.api_key_key(secret.id), codec.encode(key), expected=0)

    async def is_known() -> bool:
        return (await ask(url, secret.text, "aria2.getVersion"))[0] == 200

    await eventually(is_known)
    gid = await caller(up)("aria2.addUri", [NOWHERE], {"pause": "true"})
    not_found = {"code": 1, "message": f"GID {gid} is not found"}
    assert (await ask(url, secret.text, "aria2.tellStatus", gid))[1] == not_found
    assert gid not in str(await ask(url, secret.text, "aria2.tellWaiting", 0, 1000))
    status, own = await ask(url, secret.text, "aria2.addUri", [NOWHERE], {"pause": "true"})
    assert (status == 200) is may_add
    assert (await ask(url, secret.text, "aria2.changeGlobalOption", {}))[1] == {"code": 1, "message": "Unauthorized"}
    if may_add:
        assert (await ask(url, secret.text, "aria2.remove", gid))[1] == not_found
        assert (await ask(url, secret.text, "aria2.remove", own)) == (200, own)
        assert (await ask(url, secret.text, "aria2.purgeDownloadResult"))[1] == "OK"
    assert (await ask(url, admin, "aria2.remove", gid)) == (200, gid)
