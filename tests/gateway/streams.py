"""Reading event streams as clients do, and what they need."""

import json
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp

from broker import keys
from broker.cluster import Client, open_client
from schemas import subjects as s
from tests.harness.processes import COMMAND, Up, environment

EVENTS = "/api/v1/events"


class Told(NamedTuple):
    """One event of a stream."""

    id: int | None
    kind: str
    data: dict[str, Any]

    @property
    def task(self) -> str:
        return str(self.data["task"])


class Stream:
    """An open event stream."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self.answer = answer

    async def next(self) -> Told | None:
        """The next event; None at the end."""
        fields: dict[str, str] = {}
        async for raw in self.answer.content:
            line = raw.decode().rstrip("\n")
            if not line:
                if "data" in fields:
                    number = int(fields["id"]) if "id" in fields else None
                    return Told(number, fields["event"], json.loads(fields["data"]))
                fields = {}
            elif not line.startswith(":"):
                name, _, value = line.partition(": ")
                fields[name] = value
        return None

    async def until(self, kind: str, task: str = "") -> list[Told]:
        """What comes, up to the first event of a kind (of a task)."""
        found: list[Told] = []
        while (told := await self.next()) is not None:
            found.append(told)
            if told.kind == kind and (not task or told.task == task):
                return found
        raise AssertionError(f"the stream ended before {kind} came: {found[-3:]}")


def key_of(up: Up) -> str:
    return str(up.info["gateway"]["key"])


def url_of(up: Up) -> str:
    return str(up.info["gateway"]["url"])


@asynccontextmanager
async def calling(up: Up, key: str | None = None, within_s: float = 60) -> AsyncIterator[aiohttp.ClientSession]:
    """A session of somebody with a key: the first one, which may do everything, if none is named."""
    async with aiohttp.ClientSession(
        url_of(up),
        headers={"X-API-Key": key or key_of(up)},
        timeout=aiohttp.ClientTimeout(total=within_s),
        connector=aiohttp.TCPConnector(limit=0),
    ) as session:
        yield session


@asynccontextmanager
async def streaming(
    up: Up, key: str | None = None, last_id: int | None = None, at: str = "", **query: Any
) -> AsyncIterator[Stream]:
    """An event stream that has begun: from here on nothing is missed. `at`: another replica's address."""
    headers = {} if last_id is None else {"Last-Event-ID": str(last_id)}
    url = f"{at or url_of(up)}{EVENTS}"
    async with calling(up, key) as session, session.get(url, params=query, headers=headers) as answer:
        assert answer.status == 200, await answer.text()
        stream = Stream(answer)
        await stream.until("position")
        yield stream


@asynccontextmanager
async def operating(up: Up) -> AsyncIterator[Client]:
    async with open_client(up.url, up.creds("operator")) as client:
        yield client


async def take_away(up: Up, key: str) -> None:
    async with operating(up) as client:
        await keys.write(client.connection, s.api_key_key(key.split("_")[1]), b"", expected=None)


@contextmanager
def another_gateway(up: Up, folder: Path, **settings: str) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    """A second replica beside the gateway of `up`: its address and process."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    chosen = {
        "DOWNDRAFT_NATS_URL": up.url,
        "DOWNDRAFT_NATS_CREDS": up.creds("gateway"),
        "DOWNDRAFT_GATEWAY_PORT": str(port),
        "DOWNDRAFT_LOG_FILE": str(folder / "gateway-2.log"),
    }
    process = subprocess.Popen(
        [*COMMAND, "gateway"],
        cwd=folder,
        env=environment() | chosen | settings,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield f"http://127.0.0.1:{port}", process
    finally:
        process.kill()
        process.wait()


async def is_ready(url: str) -> bool:
    """Whether a gateway serves."""
    try:
        async with aiohttp.ClientSession() as session, session.get(f"{url}/readyz") as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False
