"""Where a gateway listens, and what it says where it can't."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import anyio
import pytest
from litestar.types import ASGIApp, Receive, Scope, Send

from broker.standing import Found
from gateway.keybook import KeyBook
from gateway.listening import bound, serve
from schemas import apikey, codec
from schemas import subjects as s
from schemas.errors import SettingInvalid
from schemas.settings import GatewaySettings
from tests.harness.waiting import eventually

ANYWHERE = "0.0.0.0"  # noqa: S104 - that is what is asked for
NEAR, ELSEWHERE = "127.0.0.1", "127.0.0.2"
"""The second of them is reached where a gateway listens anywhere, and not where it listens on the first."""


SECRET = apikey.make_secret(bytes(apikey.ID_BYTES + apikey.SECRET_BYTES))


async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


class Serving:
    def __init__(self, port: int) -> None:
        self.port = port
        self.keys = KeyBook()
        self.told = anyio.Event()
        self.is_over = False

    async def at(self, host: str) -> bool:
        """Whether somebody answers there."""
        try:
            with anyio.fail_after(1):
                async with await anyio.connect_tcp(host, self.port) as stream:
                    await stream.send(b"GET / HTTP/1.0\r\n\r\n")
                    return (await stream.receive()).startswith(b"HTTP/1.1 204 ")
        except (OSError, anyio.EndOfStream):  # TimeoutError is an OSError
            return False

    async def listens(self) -> bool:
        """Whether a connection is taken, whatever comes of it."""
        try:
            await (await anyio.connect_tcp(NEAR, self.port)).aclose()
        except OSError:
            return False
        return True

    async def at_near(self) -> bool:
        return await self.at(NEAR)

    async def at_elsewhere(self) -> bool:
        return await self.at(ELSEWHERE)

    def make_key(self) -> None:
        digest = apikey.digest_of(SECRET)
        key = apikey.ApiKey(id=SECRET.id, owner="ann", scopes=(), digest=digest, created=datetime.now(UTC))
        self.keys.take({s.api_key_key(SECRET.id): Found(codec.encode(key), 1)})

    def revoke_it(self) -> None:
        self.keys.take({s.api_key_key(SECRET.id): None})


@asynccontextmanager
async def serving(*, key: bool, answering: ASGIApp = app) -> AsyncIterator[Serving]:
    with socket.create_server((NEAR, 0)) as free:
        one = Serving(free.getsockname()[1])
    if key:
        one.make_key()

    async def run() -> None:
        await serve(answering, GatewaySettings(host=ANYWHERE, port=one.port), one.keys, one.told.wait)
        one.is_over = True

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        await eventually(one.listens)
        yield one
        tasks.cancel_scope.cancel()


async def test_without_any_key_only_this_machine_is_let_near_until_there_is_one() -> None:
    async with serving(key=False) as one:
        assert not await one.at_elsewhere()
        one.make_key()
        await eventually(one.at_elsewhere)
        assert await one.at_near()


async def test_with_a_key_it_listens_where_it_is_told_and_goes_on_after_that_was_revoked() -> None:
    async with serving(key=True) as one:
        one.revoke_it()
        assert await one.at_elsewhere()


@pytest.mark.parametrize("key", [False, True])
async def test_it_ends_when_it_is_told_to(key: bool) -> None:
    async with serving(key=key) as one:
        one.told.set()
        await eventually(lambda: one.is_over)
        assert not await one.at_near()


def test_a_port_that_is_taken_is_named_with_the_setting_to_change() -> None:
    with socket.create_server((NEAR, 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(SettingInvalid, match=rf"127\.0\.0\.1:{port} .*choose another gateway\.port"),
            bound(NEAR, port),
        ):
            pass


def test_the_body_of_an_answer_does_not_wait_for_the_client_to_acknowledge_its_headers() -> None:
    with (
        bound(NEAR, 0) as open_socket,
        socket.create_connection(open_socket.getsockname()),
        open_socket.accept()[0] as accepted,
    ):
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_one_that_was_cancelled_leaves_nothing_to_the_next() -> None:
    """A loop knows sockets by their numbers, which are given out again."""
    for _ in range(3):
        async with serving(key=True) as one:
            assert await one.at_near()


async def test_a_connection_that_nobody_uses_is_closed_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.listening.KEPT_S", 1)
    async with serving(key=True) as one, await anyio.connect_tcp(NEAR, one.port) as stream:
        await stream.send(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
        assert (await stream.receive()).startswith(b"HTTP/1.1 204 ")
        with anyio.fail_after(4), pytest.raises(anyio.EndOfStream):  # by itself uvicorn waits for 5 s
            await stream.receive()


@pytest.mark.parametrize("begun", ["", "GET / HTTP/1.1\r\nHost: he"])
async def test_a_connection_that_never_asks_is_closed(begun: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(key=True) as one:
        monkeypatch.setattr("gateway.heads.HEAD_WITHIN_S", 0.5)
        async with await anyio.connect_tcp(NEAR, one.port) as stream:
            if begun:
                await stream.send(begun.encode())
            heard = b""
            with anyio.fail_after(5), pytest.raises(anyio.EndOfStream):
                while True:
                    heard += await stream.receive()
    assert heard.startswith(b"HTTP/1.1 408 ") is bool(begun)


async def test_a_request_that_is_answered_slowly_is_not_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.heads.HEAD_WITHIN_S", 0.2)
    slow = anyio.Event()

    async def late(scope: Scope, receive: Receive, send: Send) -> None:
        await slow.wait()
        await app(scope, receive, send)

    async with serving(key=True, answering=late) as one, await anyio.connect_tcp(NEAR, one.port) as stream:
        await stream.send(b"GET / HTTP/1.1\r\nHost: here\r\n\r\nGET / HTTP/1.1\r\n")  # and the next one begun
        await anyio.sleep(0.5)
        slow.set()
        with anyio.fail_after(5):
            assert (await stream.receive()).startswith(b"HTTP/1.1 204 ")
