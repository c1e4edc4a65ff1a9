"""A connection that dies like its process would: at its n-th write, sent or not, it falls silent and stops whoever
uses it. Nothing is tidied up, and nothing of it reaches the broker any more.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import anyio
import anyio.lowlevel
import nats.errors

from broker.connection import API, Connection

SILENT_S = 5.0


class Dies(StrEnum):
    """When, in respect of a write, the process dies."""

    BEFORE = "before"
    """It is never sent: the same as after the write before it."""
    AFTER = "after"
    """It is stored, and the answer reaches nobody."""


class Mortal:
    """Counts the writes of a connection, by names that a reader understands, and dies at the one it was told."""

    def __init__(self, connection: Connection, scope: anyio.CancelScope) -> None:
        self.writes: list[str] = []
        self.is_dead = False
        self._scope = scope
        self._client = connection.client
        self._send = connection.client.publish
        self._armed = False
        self._dies: Dies | None = None
        self._at = 0
        self._asking = False
        connection.client.publish = self._publish  # type: ignore[method-assign]

    def arm(self, dies: Dies | None = None, at: int = 0) -> None:
        """Count from now on; die right before or after write number `at`, counted from 0."""
        self._armed, self._dies, self._at = True, dies, at

    async def _publish(
        self, subject: str, payload: bytes = b"", reply: str = "", headers: Mapping[str, Any] | None = None
    ) -> None:
        if self.is_dead:
            raise nats.errors.ConnectionClosedError
        kind = write_named(subject, payload)
        if not self._armed or self._asking or not kind:
            await self._send(subject, payload, reply, dict(headers) if headers else None)
            return
        self.writes.append(kind)
        if self._dies is None or len(self.writes) - 1 != self._at:
            await self._send(subject, payload, reply, dict(headers) if headers else None)
            return
        if self._dies is Dies.AFTER:
            await self._carry_out(subject, payload, headers)
        self.is_dead = True
        self._scope.cancel()
        raise nats.errors.ConnectionClosedError

    async def _carry_out(self, subject: str, payload: bytes, headers: Mapping[str, Any] | None) -> None:
        """Send it and see it done; whoever wrote it is not told."""
        self._asking = True
        if subject.startswith("downloads.tasks."):  # a hint: nobody answers
            await self._send(subject, payload, "", dict(headers) if headers else None)
            await self._client.flush()
        else:
            await self._client.request(subject, payload, SILENT_S, headers=dict(headers) if headers else None)


def write_named(subject: str, payload: bytes) -> str:
    """What a message changes at the broker or tells others, in a few words; '' for a mere question."""
    tokens = subject.split(".")
    match tokens:
        case ["downloads", "write", "tasks", "queued", "0000000000000000"]:
            return "marker"
        case ["downloads", "write", "tasks", place, _]:
            return f"row-{place}"
        case ["downloads", "write", "events", _, *kind, _]:
            return f"event-{'-'.join(kind)}"
        case ["downloads", "tasks", *_]:
            return "hint"
        case ["$KV", _, "placing"]:
            return "record"
        case ["$JS", "ACK", *_]:
            return "ack" if payload.startswith(b"+ACK") else "nak"
    if subject.startswith(f"{API}.STREAM.MSG.DELETE."):
        return "delete-row"
    for verb in ("CREATE", "DELETE"):
        if subject.startswith(f"{API}.CONSUMER.{verb}."):
            name = tokens[5].split("-")[0]
            return f"{verb.lower()}-consumer-{name}"
    return ""
