"""One connection to NATS per process: it reconnects for ever and fails fast where it may not do its work."""

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import anyio
import msgspec
import nats
import nats.errors
import structlog
from msgspec import Struct
from nats.aio.client import Client
from nats.aio.msg import Msg

from broker import errors
from broker.client import OwnClient
from broker.credentials import read_identity
from broker.exchange import Ask, Exchange, Reply
from broker.servers import split_servers
from schemas.redact import redact_servers

log = structlog.get_logger()

PING_EVERY_S = 3.0
"""Short: a dead peer, or a client whose read loop died, is noticed after two to three of these."""
PINGS_UNANSWERED_MAX = 2
RECONNECT_WAIT_S = 0.3
CONNECTED_LOOK_S = 0.1
REQUEST_TIMEOUT_S = 5.0
ASK_AGAIN_S = 1.5
"""Servers that elect a leader drop what they are asked, without a word: who asks once more has the answer sooner."""
API = "$JS.API"
LATE_ANSWER = 'permissions violation for publish to "_inbox.'
TOO_SLOW = "authentication timeout"
"""What a server says to whom it waited for in vain to say who it is: a matter of the line, tried again."""
HEADERS_FRAME_BYTES = 16
"""`NATS/1.0` and the blank line that ends the headers."""


class _ApiError(Struct):
    code: int = msgspec.field(name="err_code", default=0)
    description: str = ""


class Answer(Struct):
    """What all answers of JetStream have in common."""

    error: _ApiError | None = None


class _PubAck(Answer):
    """A stream's answer to a publish."""

    seq: int = 0


A = TypeVar("A", bound=Answer)
_pub_ack = msgspec.json.Decoder(_PubAck)


class BrokerClock:
    """The broker's time, followed through the time stamps in its answers. Unix seconds."""

    def __init__(self) -> None:
        self._offset: float | None = None

    def observe(self, timestamp: str) -> None:
        """Take a server's RFC 3339 time stamp that was made just now."""
        self._offset = datetime.fromisoformat(timestamp).timestamp() - anyio.current_time()

    def now(self) -> float:
        """Raises RuntimeError before the first answer."""
        if self._offset is None:
            raise RuntimeError("the broker has not told its time yet")
        return anyio.current_time() + self._offset

    def moment(self) -> datetime:
        """The broker's time; this machine's own, which may be wrong, before the first answer."""
        return datetime.now(UTC) if self._offset is None else datetime.fromtimestamp(self.now(), UTC)


class Connection:
    """A live connection. `api` and `request` translate errors; `on_reconnect` tells who must read again."""

    def __init__(self, client: Client, name: str) -> None:
        self.client = client
        self.name = name
        self.clock = BrokerClock()
        self.reconnects = 0
        """How often the connection was lost and found again: who saw another number may have missed something."""
        self._exchange = Exchange(client)
        self._reconnect_hooks: dict[Callable[[], None], None] = {}
        self._refused: BaseException | None = None
        self._refusal = anyio.Event()

    def __repr__(self) -> str:
        state = "connected" if self.client.is_connected else "reconnecting"
        return f"<Connection {self.name} {state}>"

    @property
    def is_connected(self) -> bool:
        return self.client.is_connected

    async def until_connected(self, within_s: float) -> bool:
        """Whether the broker is there, or comes back so soon."""
        with anyio.move_on_after(within_s):
            while not self.is_connected:
                await anyio.sleep(CONNECTED_LOOK_S)
        return self.is_connected

    def on_reconnect(self, hook: Callable[[], None]) -> Callable[[], None]:
        """Call `hook` after each reconnect; returns a function that stops it."""
        self._reconnect_hooks[hook] = None
        return lambda: self._reconnect_hooks.pop(hook, None)

    async def publish(
        self, subject: str, body: bytes, *, reply: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        """Send and forget. Raises ApiRefused if too large, Unanswered where the connection's buffer is full."""
        self._check_size(subject, body, headers)
        try:
            await self.client.publish(subject, body, reply=reply, headers=dict(headers) if headers else None)
        except nats.errors.Error as error:
            raise errors.Unanswered(f"{subject}: {error}") from error

    async def request(
        self,
        subject: str,
        body: bytes = b"",
        *,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = REQUEST_TIMEOUT_S,
        again_s: float | None = None,
    ) -> Msg:
        """Ask and await the answer. Raises Unanswered, ApiRefused if too large. `again_s`: see `Exchange.ask_all`."""
        self._check_size(subject, body, headers)
        ask = Ask(subject, body, dict(headers) if headers else None)
        (reply,) = await self._exchange.ask_all((ask,), timeout_s, again_s=again_s)
        if reply.msg is None:
            raise errors.Unanswered(f"{subject}: {reply.problem}")
        return reply.msg

    async def api(
        self,
        subject: str,
        body: Mapping[str, Any] | None = None,
        *,
        timeout_s: float = REQUEST_TIMEOUT_S,
        again_s: float = ASK_AGAIN_S,
    ) -> dict[str, Any]:
        """Call the JetStream API at `$JS.API.<subject>`, again where it stays silent: whatever is asked there here may
        be done twice. Raises ApiRefused, Unanswered and their like.
        """
        asked = json.dumps(body or {}).encode()
        answer = await self.request(f"{API}.{subject}", asked, timeout_s=timeout_s, again_s=again_s)
        decoded: dict[str, Any] = json.loads(answer.data)
        if problem := decoded.get("error"):
            raise errors.refusal(subject, int(problem.get("err_code", 0)), str(problem.get("description", "")))
        if "ts" in decoded:
            self.clock.observe(decoded["ts"])
        return decoded

    async def api_all(
        self, subject: str, bodies: Sequence[Mapping[str, Any]], decoder: msgspec.json.Decoder[A]
    ) -> list[A | errors.BrokerError]:
        """`api` many times at once on one subject: for each, in order, the answer or the error it would raise."""
        asks = [Ask(f"{API}.{subject}", msgspec.json.encode(body)) for body in bodies]
        replies = await self._exchange.ask_all(asks, REQUEST_TIMEOUT_S, again_s=ASK_AGAIN_S)
        return [_decoded(subject, reply, decoder) for reply in replies]

    async def store(self, subject: str, body: bytes, headers: Mapping[str, str] | None = None) -> int:
        """Publish into a stream and await its acknowledgement: the sequence.

        Raises SequenceConflict, StoreFull, ApiRefused, and Unanswered where the fate is unknown.
        """
        (fate,) = await self.store_all((Ask(subject, body, dict(headers) if headers else None),))
        if isinstance(fate, errors.BrokerError):
            raise fate
        return fate

    async def store_all(
        self, asks: Sequence[Ask], *, timeout_s: float = REQUEST_TIMEOUT_S
    ) -> list[int | errors.BrokerError]:
        """`store` many at once: for each, in order, its sequence or the error that `store` would raise."""
        fates: list[int | errors.BrokerError] = [0] * len(asks)
        sent: list[int] = []
        for index, ask in enumerate(asks):
            try:
                self._check_size(*ask)
            except errors.ApiRefused as error:
                fates[index] = error
            else:
                sent.append(index)
        replies = await self._exchange.ask_all([asks[index] for index in sent], timeout_s)
        for index, reply in zip(sent, replies, strict=True):
            ack = _decoded(asks[index].subject, reply, _pub_ack)
            fates[index] = ack.seq if isinstance(ack, _PubAck) else ack
        return fates

    def _check_size(self, subject: str, body: bytes, headers: Mapping[str, str] | None) -> None:
        """Refuse what the server would: it counts headers too, and closes the connection for good."""
        size = len(body) + HEADERS_FRAME_BYTES + sum(len(k) + len(v) + 4 for k, v in (headers or {}).items())
        if self.client.max_payload and size > self.client.max_payload:
            raise errors.ApiRefused(subject, 0, f"{size} bytes are more than the broker takes")

    async def _on_closed(self) -> None:
        """The client gave up, which it does on some protocol errors: end, and be restarted, rather than hang."""
        self._refused = self._refused or errors.NotConnected(f"the connection of {self.name} was closed for good")
        self._refusal.set()

    async def _on_error(self, error: Exception) -> None:
        text = str(error).lower()
        if LATE_ANSWER in text:
            # The leave to answer runs out, and the broker forgets it when it restarts; nobody waits for it any more.
            log.debug("an answer came too late", problem=str(error))
        elif TOO_SLOW in text:
            log.debug("the line is too slow to connect, trying again", problem=str(error))
        elif "permissions violation" in text or "authorization violation" in text or "authentication" in text:
            self._refused = self._refused or errors.PermissionRefused(
                f"the broker refused {self.name}: {error}; check that --creds names the file for this role"
            )
            self._refusal.set()
        else:
            log.debug("broker connection", problem=str(error) or type(error).__name__)

    async def _on_disconnect(self) -> None:
        if not self.client.is_closed:
            log.warning("lost the broker, reconnecting")

    async def _on_reconnect(self) -> None:
        self.reconnects += 1
        log.info("reconnected to the broker")
        for hook in tuple(self._reconnect_hooks):
            hook()

    async def _raise_refusal(self) -> None:
        await self._refusal.wait()
        assert self._refused is not None
        raise self._refused


@asynccontextmanager
async def connect(
    url: str, creds: str | Path, *, name: str, timeout_s: float | None = None, ping_every_s: float = PING_EVERY_S
) -> AsyncIterator[Connection]:
    """Own a connection for the length of the block.

    `timeout_s` bounds the first connect (None: wait for a server for ever). A server that leaves pings unanswered, sent
    `ping_every_s`, is lost after two to three of them. A permission refused at any
    later moment raises PermissionRefused out of the block. What the block itself raises comes out as it is.
    Raises ServersInvalid, CredentialsInvalid, NotConnected, PermissionRefused.
    """
    servers = split_servers(url)
    identity = read_identity(Path(creds)) if creds else None
    client = OwnClient()
    connection = Connection(client, name)
    options: dict[str, Any] = {"user_credentials": str(creds)} if creds else {}
    if identity is not None:
        options["inbox_prefix"] = identity.inbox

    async def open_connection() -> None:
        try:
            await client.connect(
                servers=servers,
                name=name,
                error_cb=connection._on_error,
                disconnected_cb=connection._on_disconnect,
                reconnected_cb=connection._on_reconnect,
                closed_cb=connection._on_closed,
                max_reconnect_attempts=-1,
                reconnect_time_wait=RECONNECT_WAIT_S,  # type: ignore[arg-type]  # seconds, fractions too
                ping_interval=ping_every_s,  # type: ignore[arg-type]  # as above
                max_outstanding_pings=PINGS_UNANSWERED_MAX,
                connect_timeout=2,
                **options,
            )
        except nats.errors.Error as error:  # it tries again for ever, but not with addresses it can't use
            raise errors.ServersInvalid(f"{redact_servers(url)}: {error}") from error

    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(connection._raise_refusal)
            with anyio.move_on_after(timeout_s) as waiting:
                await open_connection()
            if waiting.cancelled_caught:
                raise errors.NotConnected(
                    f"no nats-server answers at {redact_servers(url)} within {timeout_s:g} s; "
                    "is it running (`downdraft up`)?"
                )
            yield connection
            tasks.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        raise _only_error(group) from group.__cause__
    finally:
        # Not drain(): it can hang for 30 s when pull requests are open. A broker that is away is no trouble here,
        # nor is a client that never began, which closing asserts. Python 3.12 raises TypeError where something is left
        # to be written to a socket that the broker closed.
        quietly = suppress(OSError, nats.errors.Error, AssertionError, TypeError)
        with anyio.CancelScope(shield=True), anyio.move_on_after(2), quietly:
            await client.close()


def _decoded(subject: str, reply: Reply, decoder: msgspec.json.Decoder[A]) -> A | errors.BrokerError:
    """What the broker answered, or what went wrong."""
    if reply.msg is None:
        return errors.Unanswered(f"{subject}: {reply.problem}")
    try:
        answer = decoder.decode(reply.msg.data)
    except msgspec.MsgspecError:
        return errors.Unanswered(f"{subject}: not an answer: {reply.msg.data[:80]!r}")
    if answer.error is not None:
        return errors.refusal(subject, answer.error.code, answer.error.description)
    return answer


def _only_error(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error inside a group that holds just one: the group is this module's own affair."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
