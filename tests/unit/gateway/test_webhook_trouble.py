"""What the owner of a webhook is told of a try that failed: their words, not those of a library."""

import errno
import os
import socket
import ssl
from contextlib import asynccontextmanager
from typing import Any
from unittest.mock import Mock

import aiohttp
import anyio
import pytest
from aiohttp.client_reqrep import ConnectionKey

from gateway.webhooks.trouble import why_failed, why_refused
from schemas.webhook import networks
from tests.unit.gateway.test_webhook_parts import posted

URL = "https://ann:secret@hooks.example/in?token=secret"
WHERE = "hooks.example:443"
KEY = ConnectionKey("hooks.example", 443, True, True, None, None, None)
CUT = f"{WHERE} closed the connection without an answer"


def os_error(number: int, cls: type[OSError] = OSError) -> OSError:
    return cls(number, "Connect call failed ('203.0.113.5', 443)")


def untrusted() -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed")
    error.verify_message = "self-signed certificate"
    return error


def no_tls() -> ssl.SSLError:
    error = ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1002)")
    error.reason = "WRONG_VERSION_NUMBER"
    return error


def not_connected(error: OSError) -> aiohttp.ClientConnectorError:
    return aiohttp.ClientConnectorError(KEY, error)


def not_found(error: OSError) -> aiohttp.ClientConnectorError:
    return aiohttp.ClientConnectorDNSError(KEY, error)


FAILED: list[tuple[Any, str]] = [
    (TimeoutError(), "no answer within 15 s"),
    (aiohttp.ServerTimeoutError("Timeout on reading data from socket"), "no answer within 15 s"),
    (not_connected(os_error(errno.ECONNREFUSED)), f"{WHERE} refuses connections: does anything listen there?"),
    (not_connected(os_error(errno.ETIMEDOUT)), f"{WHERE} does not answer"),
    (not_connected(os_error(errno.EHOSTUNREACH)), f"no way leads to {WHERE} from here"),
    (not_connected(os_error(errno.ENETUNREACH)), f"no way leads to {WHERE} from here"),
    (not_connected(os_error(errno.ECONNRESET)), CUT),
    (not_connected(OSError("Multiple exceptions: …")), f"{WHERE} can't be reached"),
    (not_connected(os_error(errno.EMFILE)), f"{WHERE} can't be reached ({os.strerror(errno.EMFILE)})"),
    (not_found(socket.gaierror(socket.EAI_NONAME, "Name or service not known")), "there is no host hooks.example"),
    (
        not_found(socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")),
        "the name hooks.example can't be looked up at the moment",
    ),
    (not_found(PermissionError(errno.EACCES, "it leads to 10.0.0.1")), "it leads to 10.0.0.1"),
    (
        aiohttp.ClientConnectorCertificateError(KEY, untrusted()),
        f"{WHERE} shows a certificate that is not to be trusted: self-signed certificate",
    ),
    (
        aiohttp.ClientConnectorSSLError(KEY, no_tls()),
        f"{WHERE} does not speak TLS as it should (WRONG_VERSION_NUMBER)",
    ),
    (aiohttp.ServerDisconnectedError(), CUT),
    (aiohttp.ClientOSError(errno.ECONNRESET, "Connection reset by peer"), CUT),
    (aiohttp.ClientResponseError(Mock(), (), status=400), f"what {WHERE} answered is not HTTP"),
    (aiohttp.ClientPayloadError("Response payload is not completed"), f"what {WHERE} answered is not HTTP"),
    (aiohttp.InvalidURL(URL), f"{WHERE} can't be sent to: a host is a name, or an address such as 203.0.113.5"),
    (ValueError("x"), f"{WHERE} could not be asked (ValueError)"),
]


@pytest.mark.parametrize(("error", "said"), FAILED, ids=lambda one: type(one).__name__)
def test_what_went_wrong_is_told_in_words_without_secrets(error: Any, said: str) -> None:
    assert why_failed(error, URL) == said


def test_an_address_of_version_6_is_told_with_its_port() -> None:
    refused = not_connected(os_error(errno.ECONNREFUSED))
    assert why_failed(refused, "http://[2001:db8::1]:81/").startswith("[2001:db8::1]:81 refuses")


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (500, "it answered 500 Internal Server Error"),
        (404, "it answered 404 Not Found"),
        (302, "it answered 302 Found, and redirections are not followed"),
        (410, "it answered 410 Gone: it wants nothing more"),
        (599, "it answered 599"),
    ],
)
def test_an_answer_is_told_with_its_status(status: int, said: str) -> None:
    assert why_refused(status) == said


@asynccontextmanager
async def answering(with_what: bytes):  # type: ignore[no-untyped-def]
    """A server that answers anything with this and hangs up; its port."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")

    async def handle(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            await stream.receive()
            if with_what:
                await stream.send(with_what)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, handle)
        yield listener.extra(anyio.abc.SocketAttribute.local_port)  # noqa: S610 - no database has a part in this
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("scheme", "answer", "said"),
    [
        ("http", b"", "127.0.0.1:{port} closed the connection without an answer"),
        ("http", b"SSH-2.0-OpenSSH_9.9\r\n", "what 127.0.0.1:{port} answered is not HTTP"),
        ("https", b"HTTP/1.1 400 Bad Request\r\n\r\n", "127.0.0.1:{port} does not speak TLS as it should"),
    ],
)
async def test_so_it_is_for_a_real_server(scheme: str, answer: bytes, said: str) -> None:
    async with answering(answer) as port:
        told = await posted(f"{scheme}://127.0.0.1:{port}/", networks(("127.0.0.0/8",)))
        assert told.startswith(said.format(port=port))


async def test_so_it_is_where_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    told = await posted(f"http://127.0.0.1:{port}/", networks(("127.0.0.0/8",)))
    assert told == f"127.0.0.1:{port} refuses connections: does anything listen there?"
