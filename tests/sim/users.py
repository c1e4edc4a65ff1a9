"""Producers who submit, repeat and err, and an operator who wishes. Their connections are never cut for long."""

import json
import random
from datetime import UTC, datetime, timedelta

import anyio
import msgspec

from broker.connection import Connection
from broker.errors import BrokerError, Unanswered
from schemas import codec
from schemas import subjects as s
from schemas.control import Prioritise, Steer
from schemas.ids import DEFAULT_OWNER, task_id

VERBS = ("cancel", "pause", "resume", "retry", "prioritise", "cancel", "pause")
ASK_TIMEOUT_S = 3.0
RETRY_S = 0.5


class Wanted(msgspec.Struct, frozen=True):
    """A request that somebody is going to make."""

    after_s: float
    body: bytes
    source: str
    """The producer's own id; empty: none."""
    times: int
    """An impatient producer sends it more than once."""


async def produce(connection: Connection, wanted: Wanted, dice: random.Random) -> None:
    """Send until it is acked; without an id of one's own an unanswered try is not repeated."""
    await anyio.sleep(wanted.after_s)
    for _ in range(wanted.times):
        while True:
            try:
                await connection.store(s.requests(DEFAULT_OWNER), wanted.body)
                break
            except Unanswered:
                if not wanted.source:
                    break
            except BrokerError:
                pass  # the inbox is full: it says so, and nothing was accepted
            await anyio.sleep(RETRY_S)
        await anyio.sleep(dice.uniform(0.01, 4.0))


async def wish(connection: Connection, verb: str, source: str, after_s: float) -> None:
    """Ask once; an answer is not needed, for a wish that was lost is no promise."""
    await anyio.sleep(after_s)
    await ask(connection, verb, task_id(DEFAULT_OWNER, f"id:{source}"))


async def ask(connection: Connection, verb: str, *tasks: str) -> None:
    now = datetime.fromtimestamp(connection.clock.now(), UTC)
    deadline = now + timedelta(seconds=5)
    steer = Steer(ids=tasks, deadline=deadline)
    if verb == "prioritise":
        steer = Prioritise(ids=tasks, deadline=deadline, priority=1, position=0)
    try:
        await connection.request(s.control("admin", verb), codec.encode(steer), timeout_s=ASK_TIMEOUT_S)
    except BrokerError:
        return


def body(uri: str, source: str, **fields: object) -> bytes:
    request = {"uris": [uri], **fields} | ({"id": source} if source else {})
    return json.dumps(request).encode()
