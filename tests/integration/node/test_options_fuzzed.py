"""Options and headers of every kind against a real aria2c: no line of a request is ours but those that are meant."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio import CapacityLimiter
from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from broker.binaries import find_aria2c
from node.aria2 import Aria2
from node.asking import headers_of
from node.daemon import Daemon, Lane
from node.transfers import Addition
from schemas import codec
from schemas.checking import decode_request
from schemas.errors import RequestInvalid
from schemas.options import ALLOWED, SECRET, check_options
from schemas.refusedoptions import REASONS

BODY = b"it"
OWN = frozenset(
    [
        "user-agent",
        "accept",
        "host",
        "pragma",
        "cache-control",
        "referer",
        "authorization",
        "want-digest",
        "accept-encoding",
        "connection",
    ]
)
"""Headers that aria2 sends of itself, or by its options."""
HARD = settings(
    phases=(Phase.explicit, Phase.generate), deadline=None, database=None, suppress_health_check=list(HealthCheck)
)
EDGES: dict[str, tuple[str, ...]] = {
    "bt-max-peers": ("1", "200"),
    "bt-prioritize-piece": ("head", "head=2M,tail", "tail=1K,head=0"),
    "connect-timeout": ("1", "600"),
    "max-connection-per-server": ("1", "16"),
    "max-tries": ("1", "10"),
    "retry-wait": ("0", "60"),
    "seed-ratio": ("0", "0.001", "100"),
    "seed-time": ("0", "1440", "0.5"),
    "select-file": ("1", "1,3-5", "1-100000"),
    "split": ("1", "16"),
    "ssh-host-key-md": ("sha-1=" + "0a" * 20, "md5=" + "0A" * 16),
    "timeout": ("1", "600"),
    "min-split-size": ("1M", "1048576", "1024M", "1073741824"),
    "piece-length": ("1M", "1024M"),
}
SPEEDS = ("0", "1", "500K", "2047M", "2147483647")
TEXTS = ("user-agent", "referer", "http-user", "http-passwd")
texts = st.text(st.sampled_from("aZ0 :;,=\t\r\n\0\x0b\x1f\x7f%\u0085\u2028é\"'\\[]{}"), max_size=12)
headers = st.dictionaries(st.sampled_from(["X-A", "X-B", "Range", "Cookie"]) | texts, texts, max_size=3)
options = st.fixed_dictionaries({}, optional=dict.fromkeys(TEXTS, texts))
paths = st.sampled_from(["f", "a%0d%0ab", "%0aX-Evil:%20y", "f?q=%0d%0a"])


class RawOrigin:
    """Keeps each request's head as it arrived."""

    def __init__(self) -> None:
        self.heads: list[bytes] = []
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            self.heads.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY))
            await writer.drain()
        writer.close()


class Lab:
    def __init__(self, folder: Path, rpc: Aria2, origin: RawOrigin) -> None:
        self.folder, self.rpc, self.origin = folder, rpc, origin
        self.number = 0

    async def refused(self, values: list[tuple[str, str]]) -> list[tuple[str, str]]:
        """Those that aria2 does not take."""
        additions = []
        for name, value in values:
            self.number += 1
            options: dict[str, str | list[str]] = {name: value, "pause": "true"}
            additions.append(Addition(f"{self.number:016x}", ["http://127.0.0.1:9/f"], options))
        results = await self.rpc.add_many(additions)
        gids = [one.gid for one in additions]
        await self.rpc.turn(forget=[], remove=gids, add=[])
        return [value for value, result in zip(values, results, strict=True) if result is not None]

    async def head(self, uri: str, options: dict[str, str | list[str]]) -> bytes | None:
        """What aria2 sends for a file."""
        self.number += 1
        gid = f"{self.number:016x}"
        self.origin.heads.clear()
        folder: dict[str, str | list[str]] = {"dir": str(self.folder / gid), "out": "data"}
        refused = await self.rpc.add_many([Addition(gid, [uri], {**options, **folder})])
        assert refused == [None], (refused, options)
        with anyio.fail_after(20):
            while not self.origin.heads:
                await anyio.sleep(0.002)
        await self.rpc.turn(forget=[], remove=[gid], add=[])
        return self.origin.heads[0]


@asynccontextmanager
async def laboratory(folder: Path) -> AsyncIterator[Lab]:
    origin = RawOrigin()
    server = await asyncio.start_server(origin.serve, "127.0.0.1", 0)
    origin.port = server.sockets[0].getsockname()[1]
    downloads = folder / "downloads"
    async with Daemon(Lane.SMALL, find_aria2c(""), state=folder / "state", downloads=downloads, slots=4) as daemon:
        await daemon.start()
        yield Lab(downloads, Aria2(daemon.port, daemon.secret, CapacityLimiter(2)), origin)
        daemon.kill()
    server.close()


@pytest.fixture(scope="module")
def portal() -> Iterator[BlockingPortal]:
    with start_blocking_portal("asyncio") as running:
        yield running


@pytest.fixture(scope="module")
def lab(portal: BlockingPortal, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with portal.wrap_async_context_manager(laboratory(tmp_path_factory.mktemp("options"))) as opened:
        yield opened


def edges(name: str) -> tuple[str, ...]:
    """Values at the ends of an option's range, or of each kind it has."""
    wants = ALLOWED[name].wants
    if name in EDGES:
        return EDGES[name]
    if wants.startswith("a number of bytes such as"):
        return SPEEDS
    if wants == "true or false":
        return ("true", "false")
    if wants.startswith("one of "):
        return tuple(wants.removeprefix("one of ").split(", "))
    return ("a", "a b", "é", "%0d", "x" * 8192)


def test_what_is_accepted_at_the_ends_of_each_range_aria2_accepts_too(lab: Lab, portal: BlockingPortal) -> None:
    values = [(name, value) for name in ALLOWED for value in edges(name)]
    for name, value in values:
        check_options({name: value})
    assert portal.call(lab.refused, values) == []
    beyond = [("split", "0"), ("timeout", "601"), ("min-split-size", "1048575"), ("max-connection-per-server", "17")]
    for name, value in beyond:
        with pytest.raises(RequestInvalid):
            check_options({name: value})
    assert portal.call(lab.refused, beyond) == beyond


@given(headers, options, paths)
@settings(HARD, max_examples=80, derandomize=True)
def test_no_header_or_option_puts_a_line_of_its_own_into_a_request(
    lab: Lab, portal: BlockingPortal, given_headers: dict[str, str], said: dict[str, str], path: str
) -> None:
    uri = f"http://127.0.0.1:{lab.origin.port}/{path}"
    body: dict[str, Any] = {"uri": uri, "headers": given_headers, "options": said, "size": len(BODY)}
    try:
        request = decode_request(codec.encode(body))
    except (RequestInvalid, UnicodeEncodeError):
        return
    meant: dict[str, str | list[str]] = {name: str(value) for name, value in request.options.items()}
    meant["header"] = [f"{name}: {value}" for name, value in request.headers.items()]
    head = portal.call(lab.head, uri, meant)
    assert head is not None
    first, *lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    assert first == f"GET /{path} HTTP/1.1".encode()
    meant_names = {name.lower() for name in (*request.headers, *headers_of(request))}
    for line in lines:
        assert b"\n" not in line
        assert b"\r" not in line
        assert b"\0" not in line
        assert line.partition(b":")[0].decode().lower() in OWN | meant_names, line
    assert [one.name for one in lab.folder.parent.iterdir()] in (["state", "downloads"], ["downloads", "state"])


@given(st.sampled_from(sorted({*REASONS, *ALLOWED} - SECRET)), texts | st.sampled_from(["/tmp/x", "../x", "true", "1"]))
@settings(max_examples=300, deadline=None)
def test_nothing_that_names_a_place_a_proxy_or_a_program_is_ever_accepted(name: str, value: str) -> None:
    try:
        accepted = check_options({name: value})
    except RequestInvalid:
        return
    assert accepted.keys() <= ALLOWED.keys()
    assert not accepted.keys() & REASONS.keys()
