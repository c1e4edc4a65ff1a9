"""Where the gateway listens: at the address that is set, but while there is no API key at loopback alone."""

import os
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import anyio
import structlog
import uvicorn
from litestar.types import ASGIApp

from gateway.heads import Protocol
from gateway.keybook import KeyBook
from gateway.rest.submitting import BODY_BYTES_MAX
from schemas.errors import SettingInvalid
from schemas.settings import GatewaySettings

log = structlog.get_logger()

LOOPBACK = "127.0.0.1"
NEAR = (LOOPBACK, "::1", "localhost")
BACKLOG = 1024
GRACE_S = 5
"""Requests under way are let finish for so long."""
KEPT_S = 75
"""A connection without a request stays open for so long: longer than clients and proxies keep theirs (15 to 60 s as
they come). If the gateway closed first, a request might be on its way already, and be lost."""

Until = Callable[[], Awaitable[object]]


class Server(uvicorn.Server):
    """Signals are the process's own affair."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(app: ASGIApp, settings: GatewaySettings, keys: KeyBook, told: Until) -> None:
    """Serve until `told` returns. Raises SettingInvalid where it can't listen there."""
    port = settings.port
    if settings.host not in NEAR and not (len(keys) or settings.key_file):
        log.warning("no API key yet: listening on loopback only, until there is one (`downdraft key create`)")
        is_told, port = await _serve_near(app, port, keys, told)
        if is_told:
            return
        log.info("there is an API key now: listening at the address that is set", host=settings.host)
    await _serve_at(app, settings.host, port, told)


async def _serve_near(app: ASGIApp, port: int, keys: KeyBook, told: Until) -> tuple[bool, int]:
    """Serve at loopback until there is a key; whether `told` returned meanwhile, and the port."""
    is_told = False

    async def either() -> None:
        nonlocal is_told
        async with anyio.create_task_group() as tasks:

            async def hear() -> None:
                nonlocal is_told
                await told()
                is_told = True
                tasks.cancel_scope.cancel()

            tasks.start_soon(hear)
            while not len(keys):
                await keys.changed.wait()
            tasks.cancel_scope.cancel()

    port = await _serve_at(app, LOOPBACK, port, either)
    return is_told, port


async def _serve_at(app: ASGIApp, host: str, port: int, until: Until) -> int:
    """Serve at one address until `until` returns and its socket is closed; the port. Raises SettingInvalid."""
    with bound(host, port) as listener:
        server = Server(
            uvicorn.Config(
                app,
                http=Protocol,
                log_config=None,
                access_log=False,
                lifespan="off",
                timeout_graceful_shutdown=GRACE_S,
                timeout_keep_alive=KEPT_S,
                ws_max_size=BODY_BYTES_MAX,  # a message is to a socket what a body is to a request
                server_header=False,
            )
        )

        async def end() -> None:
            await until()
            server.should_exit = True

        host, port = listener.getsockname()[:2]
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(end)
            log.info("gateway ready", url=f"http://{host}:{port}")
            try:
                await server.serve([listener])
            finally:
                # Where it is cancelled it leaves them open, and the loop would take the next socket for this one.
                for opened in getattr(server, "servers", ()):
                    opened.close()
            tasks.cancel_scope.cancel()
    return port


@contextmanager
def bound(host: str, port: int) -> Iterator[socket.socket]:
    """A listening socket for the length of the block. Raises SettingInvalid."""
    try:
        listener = socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=BACKLOG
        )
    except OSError as error:
        said = f"can't listen at {host}:{port} ({os.strerror(error.errno or 0)}): choose another gateway.port"
        raise SettingInvalid(said) from error
    # Inherited by each connection; asyncio sets it by itself only where it made the socket. Without it the body of an
    # answer waits 40 ms for the client's acknowledgement of the headers.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with listener:
        yield listener
