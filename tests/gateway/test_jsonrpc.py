"""The gateway as an aria2: clients that were written for aria2, and the same calls made to a real aria2c beside it."""

import base64
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import aioaria2
import aiohttp
import aria2p
import pytest
from anyio.to_thread import run_sync

from broker import keys
from broker.binaries import find_aria2c
from broker.cluster import open_client
from schemas import codec
from schemas import subjects as s
from schemas.apikey import ApiKey, Scope, digest_of, make_secret
from tests.harness.processes import Up, running_up
from tests.harness.waiting import eventually
from tests.integration.node.origin import Origin, serve

NOWHERE = "http://127.0.0.1:1/x"
UNKNOWN = "f" * 16
ANSWERS_WITHIN_S = 20
Rpc = Callable[..., Any]

pytestmark = pytest.mark.timeout(90)


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with running_up(tmp_path_factory.mktemp("gateway"), gateway=True) as running:
        yield running


@pytest.fixture(scope="module")
def aria2c(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real one, whose secret is `s`."""
    with closing(socket.create_server(("127.0.0.1", 0))) as found:
        port = found.getsockname()[1]
    folder = tmp_path_factory.mktemp("aria2c")
    arguments = ["--no-conf", "--enable-rpc", f"--rpc-listen-port={port}", "--rpc-secret=s", f"--dir={folder}", "-q"]
    process = subprocess.Popen([find_aria2c(""), *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + ANSWERS_WITHIN_S
    while not _listens(port):
        assert time.monotonic() < end, "aria2c does not listen"
        time.sleep(0.02)
    yield f"http://127.0.0.1:{port}"
    process.kill()
    process.wait()


def _listens(port: int) -> bool:
    with closing(socket.socket()) as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
async def origin() -> AsyncIterator[Origin]:
    async with serve() as serving:
        yield serving


async def post(url: str, body: Any) -> tuple[int, Any]:
    """Status and JSON of what is answered."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with aiohttp.ClientSession() as http, http.post(f"{url}/jsonrpc", data=raw) as answer:
        assert answer.content_type == "application/json-rpc"
        return answer.status, json.loads(await answer.read())


async def ask(url: str, secret: str, method: str, *params: Any) -> tuple[int, Any]:
    """Status, and the result or the error."""
    call = {"jsonrpc": "2.0", "id": "q", "method": method, "params": [f"token:{secret}", *params]}
    status, told = await post(url, call)
    return status, told.get("result", told.get("error"))


def at(up: Up) -> tuple[str, str]:
    return up.info["gateway"]["url"], up.info["gateway"]["key"]


def caller(up: Up) -> Rpc:
    """Calls that must succeed."""

    async def call(method: str, *params: Any) -> Any:
        status, told = await ask(*at(up), method, *params)
        assert status == 200, told
        return told

    return call


SAME = [
    *(("aria2." + method, ()) for method in ("tellStatus", "addUri", "pause", "changeGlobalOption", "addTorrent")),
    *(
        ("aria2." + method, (UNKNOWN,))
        for method in ("tellStatus", "pause", "unpause", "remove", "getFiles", "getUris")
    ),
    *(("aria2." + method, ("zz",)) for method in ("tellStatus", "forcePause", "forceRemove", "getPeers", "getServers")),
    *(("aria2." + method, (UNKNOWN,)) for method in ("getOption", "removeDownloadResult", "getServers")),
    ("aria2.tellStatus", ("",)),
    ("aria2.tellStatus", ("1" * 17,)),
    ("aria2.tellStatus", (5,)),
    ("aria2.addUri", ("x",)),
    ("aria2.addUri", ([],)),
    ("aria2.addUri", ([5],)),
    ("aria2.addUri", (["foo"],)),
    ("aria2.addUri", ([NOWHERE], 5)),
    ("aria2.addUri", ([NOWHERE], {}, "x")),
    ("aria2.addUri", ([NOWHERE], {}, -1)),
    ("aria2.addUri", ([NOWHERE], {"split": "x"})),
    ("aria2.tellWaiting", ()),
    ("aria2.tellWaiting", (0,)),
    ("aria2.tellWaiting", (0, -1)),
    ("aria2.tellWaiting", ("0", 1)),
    ("aria2.tellStopped", (0, 0)),
    ("aria2.tellActive", (5,)),
    ("aria2.changeGlobalOption", ({"split": "z"},)),
    ("aria2.changeGlobalOption", ({"unheard-of": "z"},)),
    ("aria2.addTorrent", ("!!",)),
    ("aria2.addMetalink", (base64.b64encode(b"junk").decode(),)),
    ("aria2.pauseAll", ()),
    ("aria2.unpauseAll", ()),
    ("nope", ()),
    ("system.listMethods", ()),
    ("system.listNotifications", ()),
]


async def test_what_can_be_compared_is_answered_as_aria2c_answers_it(up: Up, aria2c: str) -> None:
    for method, params in SAME:
        assert await ask(*at(up), method, *params) == await ask(aria2c, "s", method, *params), (method, params)


@pytest.mark.parametrize(
    "body",
    [
        *(b"{", b"[]", b"1", b"", b'{"id":1}', b'{"method":"m"}', b'{"id":"x","method":5}'),
        b'{"id":1,"method":"system.listMethods","params":{}}',
        b'[{"id":1,"method":"nope"},5,{"method":"x"}]',
        b'{"id":1,"method":"system.multicall","params":[]}',
        b'{"id":1,"method":"system.multicall","params":["token:s",[]]}',
        (
            b'{"id":1,"method":"system.multicall","params":[[{"methodName":"system.multicall"},5,{"a":1},'
            b'{"methodName":"aria2.getVersion"},{"methodName":"system.listNotifications"}]]}'
        ),
    ],
)
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


async def test_aioaria2_hears_of_a_download_over_its_socket(up: Up, origin: Origin) -> None:
    origin.files["a.bin"] = os.urandom(100_000)
    url, key = at(up)
    heard: list[tuple[str, str]] = []

    async def note(_: Any, data: dict[str, Any]) -> None:
        heard.append((data["method"], data["params"][0]["gid"]))

    client = await aioaria2.Aria2WebsocketClient.new(f"{url}/jsonrpc", token=key)
    client.onDownloadStart(note)
    client.onDownloadComplete(note)
    try:
        await client.getVersion()
        gid = await client.addUri([origin.url("file/a.bin")])
        await eventually(lambda: ("aria2.onDownloadComplete", gid) in heard, within_s=30)
        status = await client.tellStatus(gid)
    finally:
        await client.close()
    assert (status["status"], status["totalLength"], status["errorCode"]) == ("complete", "100000", "0")
    assert heard[0] == ("aria2.onDownloadStart", gid)


async def test_a_socket_that_showed_no_key_hears_nothing(up: Up) -> None:
    url, _ = at(up)
    call = caller(up)
    async with aiohttp.ClientSession() as http, http.ws_connect(f"{url}/jsonrpc") as silent:
        await silent.send_str('{"id":1,"method":"system.listNotifications"}')
        await silent.receive_str()
        async with http.ws_connect(f"{url}/jsonrpc", headers={"X-API-Key": at(up)[1]}) as known:
            gid = await call("aria2.addUri", [NOWHERE], {"pause": "true"})
            await call("aria2.remove", gid)
            while (json.loads(await known.receive_str()))["method"] != "aria2.onDownloadStop":
                pass
        await silent.send_str('{"id":2,"method":"system.listNotifications"}')
        assert json.loads(await silent.receive_str())["id"] == 2


async def test_aria2p_finds_what_it_added(up: Up, origin: Origin) -> None:
    origin.files["p.bin"] = b"x" * 5000
    url, key = at(up)
    host, _, port = url.rpartition(":")
    api = aria2p.API(aria2p.Client(host=host, port=int(port), secret=key))
    download = await run_sync(partial(api.add_uris, [origin.url("file/p.bin")], options={"dir": "/downloads/sub"}))

    def is_complete() -> bool:
        download.update()
        return download.is_complete

    await eventually(lambda: run_sync(is_complete), within_s=30)
    assert (download.name, str(download.dir), download.total_length) == ("p.bin", "/downloads/sub", 5000)
    assert await run_sync(lambda: api.get_stats().num_stopped) >= 1
    command = [sys.executable, "-m", "aria2p", "-H", host, "-p", port, "-s", key, "show"]
    shown = await run_sync(partial(subprocess.run, command, capture_output=True, text=True, timeout=30, check=False))
    assert (shown.returncode, download.gid in shown.stdout) == (0, True), shown.stderr


async def test_xml_rpc_is_the_same_in_another_dress(up: Up) -> None:
    url, key = at(up)
    server = xmlrpc.client.ServerProxy(f"{url}/rpc")
    token = f"token:{key}"
    gid = await run_sync(lambda: server.aria2.addUri(token, [NOWHERE], {"pause": "true"}))
    status: Any = await run_sync(lambda: server.aria2.tellStatus(token, gid, ["gid", "status"]))
    assert status == {"gid": gid, "status": "paused"}
    await run_sync(lambda: server.aria2.remove(token, gid))
    with pytest.raises(xmlrpc.client.Fault, match="Unauthorized"):
        await run_sync(lambda: server.aria2.getVersion("token:x"))


async def test_jsonp_is_off_unless_it_is_set(up: Up) -> None:
    url = at(up)[0]
    async with aiohttp.ClientSession() as http:
        query = "method=system.listNotifications&id=1"
        async with http.get(f"{url}/jsonrpc?{query}") as answer:
            assert json.loads(await answer.read())["result"][0] == "aria2.onDownloadStart"
        async with http.get(f"{url}/jsonrpc?{query}&jsoncallback=cb") as answer:
            assert answer.status == 403


NPM_SCRIPT = """
const Aria2 = require('aria2');
const aria2 = new Aria2({host: process.argv[2], port: +process.argv[3], secret: process.argv[4], path: '/jsonrpc'});
(async () => {
  await aria2.open();
  const gid = await aria2.call('addUri', ['http://127.0.0.1:1/x'], {pause: 'true'});
  const many = await aria2.multicall([['tellStatus', gid, ['status']], ['getVersion']]);
  const batch = await Promise.all(await aria2.batch([['remove', gid], ['getVersion']]));
  await aria2.close();
  console.log(JSON.stringify([many, batch[0] === gid]));
})().catch(error => { console.error(error); process.exit(1); });
"""


async def test_npm_aria2_speaks_over_its_socket(up: Up, tmp_path: Path) -> None:
    url, key = at(up)
    npm, is_needed = shutil.which("npm"), "npm" in os.environ.get("DOWNDRAFT_REQUIRE", "").split(",")
    run = partial(subprocess.run, capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path)
    if npm is None or (await run_sync(partial(run, [npm, "install", "--silent", "aria2@4.1.2"]))).returncode:
        assert not is_needed, "DOWNDRAFT_REQUIRE names npm, and the package aria2 can't be installed"
        pytest.skip("needs npm, and its package aria2")
    (tmp_path / "try.js").write_text(NPM_SCRIPT)
    host, _, port = url.removeprefix("http://").rpartition(":")
    done = await run_sync(partial(run, [shutil.which("node") or "node", "try.js", host, port, key]))
    assert done.returncode == 0, done.stderr
    (many, is_same) = json.loads(done.stdout)
    assert many[0] == [{"status": "paused"}]
    assert is_same


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
