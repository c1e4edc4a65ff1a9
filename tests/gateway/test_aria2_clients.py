"""Programs that were written for aria2, run against a gateway; and of others the very calls that they make."""

import base64
import json
import os
import shutil
import subprocess
import sys
import xmlrpc.client
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

import aioaria2
import aiohttp
import anyio
import aria2p
import pytest
from anyio.to_thread import run_sync
from aria2p import main as aria2p_main

from tests.gateway.clientcalls import CLIENTS, call_of, replayed
from tests.gateway.rpc import NOWHERE, at, caller, post, running_aria2c
from tests.harness.processes import Up
from tests.harness.tracker import make
from tests.harness.waiting import eventually
from tests.integration.node.origin import Origin

pytestmark = pytest.mark.timeout(90)


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


@pytest.fixture(scope="module")
def aria2c(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_aria2c(tmp_path_factory.mktemp("aria2c")) as url:
        yield url


async def aria2p_cli(up: Up, *arguments: str) -> str:
    """What its command prints; run here, for a start of it takes a second."""
    url, key = at(up)
    host, _, port = url.rpartition(":")
    with redirect_stdout(StringIO()) as told, redirect_stderr(told):
        code = await run_sync(aria2p_main, ["-H", host, "-p", port, "-s", key, *arguments])
    assert not code, (arguments, told.getvalue())
    return told.getvalue()


CALLBACKS = """
def on_download_start(api, gid):
    print("start", gid, flush=True)


def on_download_complete(api, gid):
    print("complete", gid, api.get_download(gid).status, flush=True)
"""


async def test_aria2p_at_the_command_line(up: Up, origin: Origin, tmp_path: Path) -> None:
    call = caller(up)
    origin.files["c.bin"] = os.urandom(1000)
    (tmp_path / "callbacks.py").write_text(CALLBACKS)
    (tmp_path / "t.torrent").write_bytes(
        make("c.bin", origin.files["c.bin"], web_seeds=[origin.url("file/c.bin")]).torrent
    )
    url, key = at(up)
    host, _, port = url.rpartition(":")
    listening = [sys.executable, "-u", "-m", "aria2p", "-H", host, "-p", port, "-s", key, "listen", "-t", "1"]
    async with await anyio.open_process([*listening, "-c", str(tmp_path / "callbacks.py")]) as listener:
        said = b""

        def heard() -> list[str]:
            """Its whole lines."""
            return said.decode().split("\n")[:-1]

        async def hears() -> bool:
            """Nothing tells when it listens: so another download is added until it says something."""
            nonlocal said
            assert listener.stdout is not None
            await call("aria2.addUri", [origin.url("file/c.bin")])
            with anyio.move_on_after(1):
                while not any(line.startswith("complete") for line in heard()):
                    said += await listener.stdout.receive()
            return any(line.startswith("complete") for line in heard())

        await eventually(hears, within_s=30)
        listener.terminate()
    kind, gid, stands = next(line.split() for line in heard() if line.startswith("complete"))
    assert (kind, stands) == ("complete", "complete")
    assert f"start {gid}" in heard()[: heard().index(f"complete {gid} complete")]
    await aria2p_cli(up, "add", origin.url("file/c.bin"), "-o", "dir=/downloads/cli;split=2")
    await aria2p_cli(up, "add-torrents", str(tmp_path / "t.torrent"))

    async def is_idle() -> bool:
        stat = await call("aria2.getGlobalStat")
        return {stat["numActive"], stat["numWaiting"]} == {"0"}

    await eventually(is_idle, within_s=30)
    listed = await aria2p_cli(up, "show")
    assert gid in listed
    gid = await call("aria2.addUri", [NOWHERE], {"pause": "true"})
    await aria2p_cli(up, "resume", gid)
    await aria2p_cli(up, "pause", "--all")
    assert json.loads(await aria2p_cli(up, "call", "tellStatus", "-P", gid))["gid"] == gid
    await aria2p_cli(up, "remove", "--all")
    await aria2p_cli(up, "purge")
    assert await call("aria2.tellStopped", 0, 10) == []


@pytest.mark.parametrize("client", CLIENTS)
async def test_the_calls_of_a_client_are_answered_as_aria2c_answers_them(up: Up, aria2c: str, client: str) -> None:
    await post(at(up)[0], call_of(at(up)[1], "aria2.purgeDownloadResult", []))
    await post(aria2c, call_of("s", "aria2.purgeDownloadResult", []))
    ours, theirs = await replayed(*at(up), CLIENTS[client]), await replayed(aria2c, "s", CLIENTS[client])
    for mine, real in zip(ours, theirs, strict=True):
        assert mine == real


async def test_a_second_of_webui_aria2_is_one_multicall(up: Up) -> None:
    url, key = at(up)
    names = ("tellActive", "getGlobalStat", "getVersion")
    calls = [{"methodName": f"aria2.{name}", "params": [f"token:{key}"]} for name in names]
    lists = [
        {"methodName": f"aria2.{name}", "params": [f"token:{key}", 0, 1000]} for name in ("tellWaiting", "tellStopped")
    ]
    status, told = await post(url, {"id": 1, "method": "system.multicall", "params": [calls + lists]})
    assert status == 200
    assert [type(one) for (one,) in told["result"]] == [list, dict, dict, list, list]


async def test_a_script_asks_by_get(up: Up) -> None:
    url, key = at(up)
    params = base64.b64encode(json.dumps([f"token:{key}"]).encode()).decode()
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{url}/jsonrpc", params={"method": "aria2.tellActive", "id": "foo", "params": params}) as answer,
    ):
        assert json.loads(await answer.read()) == {"id": "foo", "jsonrpc": "2.0", "result": []}


async def test_xml_rpc_is_the_same_in_another_dress(up: Up) -> None:
    url, key = at(up)
    server = xmlrpc.client.ServerProxy(f"{url}/rpc", allow_none=True)
    token = f"token:{key}"
    gid = await run_sync(lambda: server.aria2.addUri(token, [NOWHERE], {"pause": "true"}))
    status: Any = await run_sync(lambda: server.aria2.tellStatus(token, gid, ["gid", "status"]))
    assert status == {"gid": gid, "status": "paused"}
    with pytest.raises(xmlrpc.client.Fault, match="The parameter at 1 has wrong type"):
        await run_sync(lambda: server.aria2.tellStatus(token, gid, None))
    await run_sync(lambda: server.aria2.remove(token, gid))
    with pytest.raises(xmlrpc.client.Fault, match="Unauthorized"):
        await run_sync(lambda: server.aria2.getVersion("token:x"))


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
