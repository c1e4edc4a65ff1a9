"""Looking a broker over: what it is, how full its streams are, who leads them. Reads only."""

from datetime import datetime
from typing import Any

import anyio
import nats.errors
from msgspec import Struct

from broker.connection import Connection
from broker.errors import STREAM_NOT_FOUND, ApiRefused, Unanswered

PINGS = 3
"""The shortest round trip counts: the others waited for this machine rather than for the network."""


class Server(Struct, frozen=True):
    """The server at the other end of a connection."""

    version: str
    max_payload_bytes: int
    has_jetstream: bool
    round_trip_s: float


class Account(Struct, frozen=True):
    """What our account uses of JetStream, in bytes; a limit of -1 is none."""

    on_disk: int
    on_disk_max: int
    in_memory: int
    in_memory_max: int


class Follower(Struct, frozen=True):
    name: str
    current: bool
    offline: bool


class Stream(Struct, frozen=True):
    """One stream as its leader tells of it."""

    name: str
    config: dict[str, Any]
    messages: int
    used_bytes: int
    oldest_age_s: float
    """Of its first message, by the broker's clock; 0 for an empty one."""
    leader: str
    """'' while there is none."""
    followers: tuple[Follower, ...] = ()
    last_sequence: int = 0

    @property
    def max_bytes(self) -> int:
        """-1: none."""
        return int(self.config.get("max_bytes", -1))


async def server(connection: Connection) -> Server:
    """What the server said when it was met, and how far away it is. Raises Unanswered."""
    client = connection.client
    trips = []
    for _ in range(PINGS):
        began = anyio.current_time()
        try:
            await client.flush()
        except nats.errors.Error as error:
            raise Unanswered(f"no answer to a ping: {error}") from error
        trips.append(anyio.current_time() - began)
    info = client._server_info
    return Server(
        version=str(info.get("version", "")),
        max_payload_bytes=client.max_payload,
        has_jetstream=bool(info.get("jetstream")),
        round_trip_s=min(trips),
    )


async def account(connection: Connection) -> Account:
    """Raises PermissionRefused out of the connection, ApiRefused, Unanswered."""
    answer = await connection.api("INFO")
    limits = answer.get("limits", {})
    return Account(
        on_disk=int(answer.get("storage", 0)),
        on_disk_max=int(limits.get("max_storage", -1)),
        in_memory=int(answer.get("memory", 0)),
        in_memory_max=int(limits.get("max_memory", -1)),
    )


async def stream(connection: Connection, name: str) -> Stream | None:
    """A stream, None where there is none; the broker's clock is learned from it.

    Raises PermissionRefused out of the connection, ApiRefused, Unanswered.
    """
    try:
        answer = await connection.api(f"STREAM.INFO.{name}")
    except ApiRefused as error:
        if error.code == STREAM_NOT_FOUND:
            return None
        raise
    state, cluster = answer["state"], answer.get("cluster") or {}
    age = _moment(answer["ts"]) - _moment(state["first_ts"]) if state["messages"] and "ts" in answer else 0.0
    return Stream(
        name=name,
        config=answer["config"],
        messages=int(state["messages"]),
        used_bytes=int(state["bytes"]),
        oldest_age_s=max(0.0, age),
        leader=str(cluster.get("leader", "")),
        last_sequence=int(state["last_seq"]),
        followers=tuple(
            Follower(
                name=str(peer.get("name", "")),
                current=bool(peer.get("current")),
                offline=bool(peer.get("offline")),
            )
            for peer in cluster.get("replicas") or ()
        ),
    )


def _moment(timestamp: str) -> float:
    return datetime.fromisoformat(timestamp).timestamp()
