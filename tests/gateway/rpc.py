"""aria2's JSON-RPC as its clients speak it: to a gateway, and to a real aria2c beside it."""

import json
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any

import aiohttp

from broker.binaries import find_aria2c
from tests.harness.processes import Up
from tests.harness.waiting import eventually

NOWHERE = "http://127.0.0.1:1/x"
"""An address that refuses connections."""
UNKNOWN = "f" * 16
ANSWERS_WITHIN_S = 20
Rpc = Callable[..., Any]


@contextmanager
def running_aria2c(folder: Path) -> Iterator[str]:
    """The address of a real one, whose secret is `s`."""
    with closing(socket.create_server(("127.0.0.1", 0))) as found:
        port = found.getsockname()[1]
    arguments = ["--no-conf", "--enable-rpc", f"--rpc-listen-port={port}", "--rpc-secret=s", f"--dir={folder}", "-q"]
    process = subprocess.Popen([find_aria2c(""), *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + ANSWERS_WITHIN_S
        while not _listens(port):
            assert time.monotonic() < end, "aria2c does not listen"
            time.sleep(0.02)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def _listens(port: int) -> bool:
    with closing(socket.socket()) as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


async def post(url: str, body: Any, **headers: str) -> tuple[int, Any]:
    """Status and JSON of what is answered."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with aiohttp.ClientSession() as http, http.post(f"{url}/jsonrpc", data=raw, headers=headers) as answer:
        assert answer.content_type == "application/json-rpc"
        return answer.status, json.loads(await answer.read())


async def ask(url: str, secret: str, method: str, *params: Any) -> tuple[int, Any]:
    """Status, and the result or the error."""
    call = {"jsonrpc": "2.0", "id": "q", "method": method, "params": [f"token:{secret}", *params]}
    status, told = await post(url, call)
    return status, told.get("result", told.get("error"))


def at(up: Up) -> tuple[str, str]:
    """The gateway's address, and its first key."""
    return up.info["gateway"]["url"], up.info["gateway"]["key"]


def caller(up: Up) -> Rpc:
    """Calls that must succeed."""

    async def call(method: str, *params: Any) -> Any:
        status, told = await ask(*at(up), method, *params)
        assert status == 200, (method, told)
        return told

    return call


async def reaches(call: Rpc, gid: str, *stands: str) -> dict[str, Any]:
    """Wait until a download stands so; its whole status."""

    async def there() -> dict[str, Any] | None:
        told: dict[str, Any] = await call("aria2.tellStatus", gid)
        return told if told["status"] in stands else None

    found: dict[str, Any] = await eventually(there, within_s=30, what=f"{gid} {stands}")
    return found


class Ear:
    """A socket that only listens."""

    def __init__(self, socket: "aiohttp.ClientWebSocketResponse") -> None:
        self._socket = socket
        self.heard: list[tuple[str, str]] = []
        """Methods without their beginning, and GIDs."""

    async def until(self, method: str, gid: str) -> None:
        """Listen until that is told."""
        while (method, gid) not in self.heard:
            await self.next()

    async def next(self, within_s: float = 30) -> None:
        """Whatever is told next."""
        told = json.loads(await self._socket.receive_str(timeout=within_s))
        assert told.keys() == {"jsonrpc", "method", "params"}
        self.heard.append((told["method"].removeprefix("aria2.on"), told["params"][0]["gid"]))

    def of(self, gid: str) -> list[str]:
        return [method for method, whose in self.heard if whose == gid]


@asynccontextmanager
async def hearing(url: str, query: str = "", **headers: str) -> AsyncIterator[Ear]:
    """A socket opened with these headers."""
    async with aiohttp.ClientSession() as http, http.ws_connect(f"{url}/jsonrpc{query}", headers=headers) as socket:
        yield Ear(socket)
