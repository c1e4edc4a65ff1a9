"""Finding out about the broker, the leading coordinator and the nodes; each on a connection of its own.

A broker answers a question that is not allowed by an error on the whole connection: so no two questions with
different rights share one.
"""

import json
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import anyio
from msgspec.structs import replace

from broker import health, topology
from broker.cluster import Client, Refused
from broker.connection import Connection, connect
from broker.errors import BrokerError
from broker.lease import Holder, Lease
from broker.roles import Role
from schemas import subjects as s
from schemas.control import ListQuery, ListReply, NodesReply, NodeView, PolicyReply, StatsReply, Steer, TaskView
from schemas.filter import Standing, TaskFilter
from schemas.ids import DEFAULT_OWNER
from schemas.redact import redact_servers
from schemas.settings import BrokerSettings
from tools.doctor.facts import (
    Cluster,
    CredentialsSeen,
    DriftSeen,
    Known,
    Missing,
    QueueSeen,
    StatsSeen,
    StoreSeen,
    StreamSeen,
    Trouble,
)
from tools.doctor.look_at_machine import Target
from tools.doctor.probing import bounded, looked

CONNECT_WITHIN_S = 5.0
ASK_WITHIN_S = 15.0
"""Connecting, and the client's own patience with a leader."""
MONITOR_WITHIN_S = 2.0
QUEUE_PAGE = 100
QUEUE_PAGES_MAX = 10
"""A thousand queued tasks show what is asked for; the rest waits for the same."""
STREAMS = (s.REQUESTS_STREAM, s.TASKS_STREAM, s.EVENTS_STREAM, s.BUCKET_STREAM)

T = TypeVar("T")
Told: TypeAlias = tuple[Known[StatsSeen], Known[tuple[NodeView, ...]], Known[QueueSeen], Known[PolicyReply]]
"""What the leading coordinator says."""


async def look_at_cluster(
    target: Target | None, declared: BrokerSettings, credentials: Known[CredentialsSeen]
) -> Cluster:
    """Ask everything at once; what rests on something that is not there is not asked."""
    if target is None:
        return _nothing(Missing(Trouble.SKIPPED, "no cluster"))
    if isinstance(credentials, CredentialsSeen) and credentials.error:
        return _nothing(Missing(Trouble.SKIPPED, "the credentials can't be used"))
    server = await _asked(target, health.server, "the broker", within_s=CONNECT_WITHIN_S + MONITOR_WITHIN_S)
    if isinstance(server, Missing):
        return _unmet(server, target.creds)
    if not server.has_jetstream:
        return replace(_nothing(Missing(Trouble.SKIPPED, "JetStream is not enabled")), server=server)
    answers: dict[str, Any] = {}

    async def ask(name: str, what: str, work: Callable[[Connection], Awaitable[Any]]) -> None:
        answers[name] = await _asked(target, work, what)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask, "account", "the account's limits", health.account)
        tasks.start_soon(ask, "streams", "the streams", partial(_streams, declared=declared))
        tasks.start_soon(ask, "lease", "the lease", _lease)
        role, name = _identity(credentials)
        tasks.start_soon(ask, "leader", "what the coordinator says", partial(_leader, role=role, name=name))
        answers["store"] = await looked(partial(_store, target), "the server's own figures")
    streams, clock = _both(answers["streams"])
    told = _all_told(answers["leader"])
    return Cluster(server, answers["account"], answers["store"], streams, clock, answers["lease"], *told)


async def _asked(
    target: Target, work: Callable[[Connection], Awaitable[T]], what: str, *, within_s: float = ASK_WITHIN_S
) -> Known[T]:
    async def connected() -> T:
        async with connect(target.url, target.creds, name="downdraft doctor", timeout_s=CONNECT_WITHIN_S) as connection:
            return await work(connection)

    found = await bounded(connected, within_s, what)
    if isinstance(found, Missing):
        return Missing(found.trouble, found.why.replace(target.url, redact_servers(target.url)))
    return found


async def _streams(
    connection: Connection, *, declared: BrokerSettings
) -> tuple[dict[str, Known[StreamSeen]], Known[float]]:
    """Every stream, and how far this machine's clock is ahead of the broker's."""
    wanted = topology.declared(declared)
    found: dict[str, Known[StreamSeen]] = {}

    async def see(name: str) -> None:
        try:
            stream = await health.stream(connection, name)
        except BrokerError as error:
            found[name] = Missing(Trouble.FAILED, str(error))
            return
        drift = [
            DriftSeen(field, sentence)
            for field, value in (wanted[name].items() if stream is not None else ())
            for sentence in topology.differences(name, {field: value}, stream.config if stream is not None else {})
        ]
        found[name] = StreamSeen(stream, tuple(drift))

    async with anyio.create_task_group() as tasks:
        for name in STREAMS:
            tasks.start_soon(see, name)
    try:
        ahead: Known[float] = time.time() - connection.clock.now()
    except RuntimeError:
        ahead = Missing(Trouble.SKIPPED, "no stream told the broker's time")
    return {name: found[name] for name in STREAMS}, ahead


async def _lease(connection: Connection) -> Holder | None:
    found = await Lease(connection, s.LEADER_KEY, Holder("doctor", "doctor"), ttl_s=1).read()
    return found.holder if found is not None else None


async def _leader(connection: Connection, *, role: Role | None, name: str) -> Told:
    client = Client(connection, role, name)
    began = anyio.current_time()
    stats = StatsSeen(await client.ask("stats", Steer(), StatsReply), anyio.current_time() - began)
    nodes: Known[tuple[NodeView, ...]]
    try:
        nodes = (await client.ask("nodes", Steer(), NodesReply)).nodes
    except Refused as error:
        nodes = Missing(Trouble.FAILED, str(error))
    queue: Known[QueueSeen]
    try:
        queue = await _queue(client)
    except Refused as error:
        queue = Missing(Trouble.FAILED, str(error))
    policy: Known[PolicyReply]
    try:
        policy = await client.ask("policy", Steer(), PolicyReply)
    except Refused:  # it answered the others
        policy = Missing(Trouble.SKIPPED, "the coordinator that leads is of an older version, which has none")
    return stats, nodes, queue, policy


async def _queue(client: Client) -> QueueSeen:
    queued: list[TaskView] = []
    reply = ListReply((), more=True)
    for _ in range(QUEUE_PAGES_MAX):
        query = ListQuery(where=TaskFilter(states=(Standing.QUEUED,)), after=reply.after, limit=QUEUE_PAGE)
        reply = await client.ask("list", query, ListReply)
        queued += reply.tasks
        if not reply.more:
            break
    return QueueSeen(tuple(queued), reply.more)


def _store(target: Target) -> StoreSeen:
    """What a nats-server that `up` runs here says at its monitoring port. Raises OSError, ValueError, KeyError."""
    if target.data is None:
        raise FileNotFoundError("no server of this machine")
    import requests  # here, for it takes a tenth of a second that only a local cluster needs

    ports = json.loads((Path(target.data) / f"nats-server_{target.server_pid}.ports").read_text())
    with requests.Session() as session:
        session.trust_env = False
        told = session.get(f"{ports['monitoring'][0]}/jsz", timeout=MONITOR_WITHIN_S).json()
    return StoreSeen(used=int(told["storage"]), limit=int(told["config"]["max_storage"]))


def _identity(credentials: Known[CredentialsSeen]) -> tuple[Role | None, str]:
    if isinstance(credentials, Missing) or not credentials.role:
        return None, DEFAULT_OWNER
    return Role(credentials.role), credentials.name


def _both(answer: Any) -> tuple[dict[str, Known[StreamSeen]], Known[float]]:
    if isinstance(answer, Missing):
        return dict.fromkeys(STREAMS, answer), Missing(Trouble.SKIPPED, "no stream told the broker's time")
    streams, clock = answer
    return streams, clock


def _all_told(answer: Known[Told]) -> Told:
    if isinstance(answer, Missing):
        rest = Missing(Trouble.SKIPPED, "no coordinator told")
        return answer, rest, rest, rest
    return answer


def _nothing(missing: Missing) -> Cluster:
    return Cluster(
        server=missing,
        account=missing,
        store=missing,
        streams=dict.fromkeys(STREAMS, missing),
        clock_ahead_s=missing,
        lease=missing,
        stats=missing,
        nodes=missing,
        queue=missing,
        policy=missing,
    )


def _unmet(server: Missing, creds: str) -> Cluster:
    """Where the broker could not even be met."""
    why = "the broker can't be reached"
    if server.trouble is Trouble.REFUSED:
        why = "the broker refuses these credentials"
        server = Missing(Trouble.REFUSED, f"the broker refuses {creds or 'a client without credentials'}")
    return replace(_nothing(Missing(Trouble.SKIPPED, why)), server=server)
