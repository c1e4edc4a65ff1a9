"""Submitting from a test."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from broker.connection import Connection
from broker.roles import Role
from schemas import subjects as s
from schemas.ids import TaskId, task_id
from tests.harness.broker import Broker


class Producer:
    """Publishes requests as one owner."""

    def __init__(self, connection: Connection, owner: str) -> None:
        self.connection = connection
        self.owner = owner
        self._count = 0

    async def submit(self, **fields: Any) -> TaskId:
        """Store a request; its id is made up unless given. Returns the task's id."""
        self._count += 1
        fields.setdefault("id", f"job-{self._count}")
        fields.setdefault("uris", ["http://origin.invalid/file"])
        await self.publish(json.dumps(fields).encode())
        return task_id(self.owner, f"id:{fields['id']}")

    async def publish(self, body: bytes, headers: dict[str, str] | None = None) -> int:
        """Store any body; its sequence in the inbox."""
        return await self.connection.store(s.requests(self.owner), body, headers)


@asynccontextmanager
async def producer(broker: Broker, owner: str = "default") -> AsyncIterator[Producer]:
    async with broker.connected(Role.PRODUCER, owner) as connection:
        yield Producer(connection, owner)
