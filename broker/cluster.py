"""A cluster as its users see it: submit to the inbox, ask the coordinator, listen to events."""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple, TypeVar
from uuid import uuid4

import msgspec
import structlog
from msgspec import Struct

from broker.connection import Connection, connect
from broker.credentials import read_identity
from broker.errors import MESSAGE_TOO_LARGE, ApiRefused, StoreFull, Unanswered
from broker.follow import NOW, Follower, Start, following
from broker.listen import Heard, listening
from broker.roles import Role
from schemas import codec
from schemas import subjects as s
from schemas.checking import decode_request
from schemas.control import ErrorReply, ShowAnswer, ShowQuery, ShowReply, Steer, SteerReply
from schemas.errors import DowndraftError
from schemas.event import AnyEvent, decode_event
from schemas.filter import TaskFilter
from schemas.heartbeat import Progress
from schemas.ids import ADMIN_CALLER, DEFAULT_OWNER, TaskId, is_owner, rejected_task_id, source_of, task_id
from schemas.orders import NodeOrder, OrderReply
from schemas.request import REQUEST_BYTES_MAX, Request

log = structlog.get_logger()

CONNECT_WITHIN_S = 5.0
ASK_WITHIN_S = 10.0
LOOKS = frozenset(("explain", "list", "nodes", "policy", "show", "stats"))
"""Verbs that change nothing: a leader answers them at once, or is not there."""
PATIENCE = timedelta(seconds=10)
"""A wish that could not be carried out by then must not be carried out at all."""

R = TypeVar("R", bound=Struct)


class NotSubmitted(DowndraftError):
    """The inbox did not take a request."""


class Refused(DowndraftError):
    """The coordinator said no."""


class Prepared(NamedTuple):
    """A request as it goes into the inbox, and the task it becomes."""

    task: TaskId
    owner: str
    request: Request
    subject: str
    body: bytes

    @property
    def rejected_as(self) -> TaskId:
        """The task it becomes where the coordinator rejects it: what it allows is known to it alone."""
        return rejected_task_id(self.owner, _source(self.request), self.body)


class Client:
    """One connection with the rights of its credentials."""

    def __init__(
        self, connection: Connection, role: Role | None, name: str, *, look_within_s: float = ASK_WITHIN_S
    ) -> None:
        """`look_within_s`: how long to wait for an answer that only tells something."""
        self.connection = connection
        self._look_within_s = look_within_s
        self._role = role
        self._caller = name if role is Role.PRODUCER else ADMIN_CALLER
        self.owner = name if role is Role.PRODUCER else DEFAULT_OWNER

    def on_behalf_of(self, owner: str) -> "Client":
        """The same connection, submitting and asking as an owner, who reaches only their own tasks: for gateways.

        Raises Refused for what is no owner: the word for operators is none.
        """
        if not is_owner(owner):
            raise Refused(f"{owner!r} is not an owner")
        client = Client(self.connection, self._role, self.owner, look_within_s=self._look_within_s)
        client._caller = client.owner = owner
        return client

    @property
    def may_watch(self) -> bool:
        """Whether these credentials may listen to the whole cluster; producers ask for their own tasks instead."""
        return self._role is not Role.PRODUCER

    @property
    def may_reach_files(self) -> bool:
        """Whether these credentials may read and delete finished files on nodes."""
        return self._role not in (Role.PRODUCER, Role.VIEWER)

    @property
    def may_read_log(self) -> bool:
        """Whether these credentials may read what is stored, not only listen to what happens."""
        return self._role not in (Role.PRODUCER, Role.VIEWER, Role.NODE)

    @property
    def may_ask(self) -> bool:
        """Whether these credentials may ask the coordinator."""
        return self._role is not Role.VIEWER

    def prepare(self, request: Request, owner: str | None = None, *, is_checked: bool = False) -> Prepared:
        """Check a request as the coordinator will and give it an id. Raises RequestInvalid, NotSubmitted.

        `is_checked`: it comes from `decode_request`; among a hundred thousand a second check would be noticed.
        """
        owner = owner or self.owner
        if request.id is None:
            request = msgspec.structs.replace(request, id=uuid4().hex)
        body = codec.encode(request)
        if not is_checked:
            request = decode_request(body)  # what the coordinator would reject is refused here, in the same words
        if not is_owner(owner):
            raise NotSubmitted(f"{owner!r} is not an owner: use a-z, 0-9, '-' and '_', and not 'admin'")
        if len(body) > REQUEST_BYTES_MAX:
            raise NotSubmitted(f"the request has {len(body)} bytes, the inbox takes {REQUEST_BYTES_MAX} at most")
        return Prepared(task_id(owner, _source(request)), owner, request, s.requests(owner), body)

    async def submit(self, request: Request, owner: str | None = None) -> TaskId:
        """Store a request in the inbox and return its task's id. Raises RequestInvalid, NotSubmitted."""
        prepared = self.prepare(request, owner)
        await self.store(prepared)
        return prepared.task

    async def store(self, prepared: Prepared) -> None:
        """Put a checked request into the inbox. Raises NotSubmitted."""
        try:
            await self.connection.store(prepared.subject, prepared.body)
        except StoreFull as error:
            raise NotSubmitted("the inbox is full: try again when the cluster has caught up") from error
        except ApiRefused as error:
            if error.code == MESSAGE_TOO_LARGE:
                raise NotSubmitted(f"the inbox takes {REQUEST_BYTES_MAX} bytes at most") from error
            raise NotSubmitted(str(error)) from error
        except Unanswered as error:
            raise NotSubmitted(
                "the broker did not say whether it has the request (is it electing a leader, or its disk full?); "
                f"submitting it again with --id {prepared.request.id} is safe"
            ) from error

    async def ask(self, verb: str, query: Struct, reply: type[R]) -> R:
        """Ask the leading coordinator. Raises Refused with its words, or why there was no answer."""
        subject = s.control(self._caller, verb)
        within_s = self._look_within_s if verb in LOOKS else ASK_WITHIN_S
        try:
            answer = await self.connection.request(subject, codec.encode(query), timeout_s=within_s)
        except Unanswered as error:
            hint = "none leads" if "no responders" in str(error) else "it did not answer in time"
            raise Refused(f"no coordinator answers ({hint}): is one running?") from error
        if code := (answer.headers or {}).get("Nats-Service-Error"):
            raise Refused(f"the coordinator failed: {code}")
        decoded: R | ErrorReply
        try:
            decoded = codec.decode(answer.data, ErrorReply)
        except msgspec.ValidationError:
            return codec.decode(answer.data, reply)
        raise Refused(decoded.error)

    async def steer(
        self, verb: str, ids: tuple[str, ...], where: TaskFilter | None = None, asked: Steer | None = None
    ) -> SteerReply:
        """Ask for something to be done to tasks, now or not at all; with `where` only to those that match it then.

        `asked`: what the verb needs to know beside the tasks.
        """
        deadline = datetime.now(UTC) + PATIENCE
        query = msgspec.structs.replace(asked or Steer(), ids=ids, where=where, deadline=deadline)
        return await self.ask(verb, query, SteerReply)

    async def order(self, verb: str, asked: NodeOrder) -> OrderReply:
        """Decide about nodes, now or not at all. Raises Refused."""
        return await self.ask(verb, msgspec.structs.replace(asked, deadline=datetime.now(UTC) + PATIENCE), OrderReply)

    async def show(self, task: str) -> ShowReply:
        return (await self.ask("show", ShowQuery(task), ShowAnswer)).reply

    @asynccontextmanager
    async def events(self, take: Callable[[AnyEvent, int], None], task: str | None = None) -> AsyncIterator[None]:
        """Call `take` with each event as it is stored, and its sequence."""

        def hear(heard: Heard) -> None:
            try:
                event = decode_event(heard.data)
            except msgspec.MsgspecError as error:
                log.debug("an event can't be read", subject=heard.subject, problem=str(error))
                return
            if event is not None:
                take(event, int(heard.headers.get(s.SEQUENCE, 0)))

        async with listening(self.connection, s.task_events(task) if task else s.EVENTS_ALL, hear):
            yield

    @asynccontextmanager
    async def progress(self, take: Callable[[Progress], None], task: str | None = None) -> AsyncIterator[None]:
        """Call `take` about once a second for each running transfer."""

        def hear(heard: Heard) -> None:
            try:
                take(codec.decode(heard.data, Progress))
            except msgspec.MsgspecError as error:
                log.debug("progress can't be read", subject=heard.subject, problem=str(error))

        async with listening(self.connection, s.task_progress(task) if task else s.PROGRESS_ALL, hear):
            yield

    def follow(
        self, start: Start = NOW, *, tasks: Iterable[str] = (), kinds: Iterable[str] = ()
    ) -> AbstractAsyncContextManager[Follower]:
        """Read the log without a gap (see `broker.follow`). Raises Refused where these credentials may not."""
        if not self.may_read_log:
            raise Refused(
                f"credentials of a {self._role} can't read what is stored: use an operator's"
                if self.may_watch
                else "a producer's credentials see only their own tasks, through `downdraft show` and `downdraft ls`; "
                "to follow events use an operator's or a viewer's"
            )
        return following(self.connection, start, tasks=tasks, kinds=kinds)


def _source(request: Request) -> str:
    return source_of(request.id, None, 0, 0)


@asynccontextmanager
async def open_client(server: str, creds: str) -> AsyncIterator[Client]:
    """Connect as whoever `creds` names. Raises NotConnected, PermissionRefused, CredentialsInvalid."""
    identity = read_identity(Path(creds)) if creds else None
    role, name = (identity.role, identity.name) if identity else (None, DEFAULT_OWNER)
    async with connect(server, creds, name="downdraft command", timeout_s=CONNECT_WITHIN_S) as connection:
        yield Client(connection, role, name)
