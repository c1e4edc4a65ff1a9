"""Making a stream full, and making room in it again."""

from typing import Any

from broker.cluster import Client
from broker.connection import Connection
from schemas import subjects as s
from schemas.control import StatsReply, Steer


async def info(admin: Connection, stream: str) -> dict[str, Any]:
    return await admin.api(f"STREAM.INFO.{stream}")


async def limit(admin: Connection, stream: str, max_bytes: int) -> None:
    """As `nats stream edit --max-bytes` does."""
    config = (await info(admin, stream))["config"] | {"max_bytes": max_bytes}
    await admin.api(f"STREAM.UPDATE.{stream}", config)


async def fill_up(admin: Connection, stream: str) -> None:
    """From now on there is no room for one more byte."""
    await limit(admin, stream, int((await info(admin, stream))["state"]["bytes"]))


async def used(admin: Connection, stream: str) -> int:
    return int((await info(admin, stream))["state"]["bytes"])


async def stats(client: Client) -> StatsReply:
    return await client.ask("stats", Steer(), StatsReply)


async def empty_inbox(admin: Connection) -> bool:
    return int((await info(admin, s.REQUESTS_STREAM))["state"]["messages"]) == 0
