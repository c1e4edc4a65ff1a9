"""The same seeded walk through both brokers, step by step: whatever one answers, the other must answer."""

import os
import random
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from broker import consumers
from broker.connection import Connection
from broker.errors import BrokerError, Unanswered
from broker.roles import Role
from schemas import subjects as s
from tests.harness.broker import Broker
from tests.harness.waiting import eventually
from tests.sim.contract.brokers import SimBroker, begin
from tests.sim.contract.raw import EPHEMERAL, EXPLICIT, Got, Reader, consumer, fate, info, reading, state

STEPS = 200
LOOK_EVERY = 10
"""Steps between two looks at all that is told of streams and consumers."""
WALKS = tuple(range(1, 1 + int(os.environ.get("DOWNDRAFT_WALKS", "2"))))
"""Their seeds; more on demand."""
TASKS = ("t1", "t2", "t3", "t4")
PLACES = ("a", "b", "queued")
STREAMS = (s.TASKS_STREAM, s.EVENTS_STREAM, s.REQUESTS_STREAM)
KINDS = ("started", "released", "attempt_failed", "finished.completed", "finished.failed")
FILTERS = {
    s.TASKS_STREAM: ((s.TASKS_ALL,), (s.node_tasks("a"),), (s.task_anywhere("t1"),)),
    s.EVENTS_STREAM: ((s.EVENTS_ALL,), s.FACTS, (s.OUTCOMES_ALL,), (s.task_events("t2"),)),
    s.REQUESTS_STREAM: ((),),
}
POLICIES = ("all", "new", "by_start_sequence")

Step = Callable[["Side"], Awaitable[Any]]


class Side:
    """One broker's half of a walk."""

    def __init__(self, connection: Connection, opened: AsyncExitStack) -> None:
        self.connection = connection
        self._opened = opened
        self._readers: dict[tuple[str, str], Reader] = {}
        self.held: list[tuple[str, str, Got]] = []

    async def pull(self, stream: str, name: str, batch: int) -> list[Any]:
        """What a consumer has, at most so much; what was delivered is held."""
        key = (stream, name)
        if key not in self._readers:
            self._readers[key] = await self._opened.enter_async_context(reading(self.connection, *key))
        found = await self._readers[key].all(batch)
        self.held += [(stream, name, one) for one in found if not one.status]
        return [one.status[:3] or (one.sequence, one.delivered, one.number, one.pending, one.data) for one in found]

    async def answer(self, index: int, verb: bytes) -> None:
        stream, name, one = self.held.pop(index)
        await self._readers[stream, name].answer(one, verb)


async def _told(work: Awaitable[Any]) -> Any:
    """What came of it; of an error what it says."""
    try:
        return await work
    except Unanswered as error:
        return "Unanswered", str(error)
    except BrokerError as error:
        return type(error).__name__, str(error)


def a_write(dice: random.Random, last: int) -> Step:
    if dice.random() < 0.7:
        place, task = dice.choice(PLACES), dice.choice(TASKS)
        write, filters = s.task_write(place, task), (s.task_anywhere(task), s.task(place, task), s.TASKS_ALL)
    else:
        task, writer = dice.choice(TASKS), dice.choice(("n1", "c1"))
        write = s.event_write(task, dice.choice(KINDS), writer)
        filters = (s.outcome_of(task), s.task_events(task), s.EVENTS_ALL)
    body = bytes(dice.randrange(20))
    headers = {}
    if dice.random() < 0.7:
        headers["expected"] = str(dice.choice((0, last, last - 1, last - 2, dice.randrange(max(1, last) + 1))))
        if dice.random() < 0.8:
            headers["of"] = dice.choice(filters)
    return lambda side: _told(_fate(side.connection, write, body, headers))


async def _fate(connection: Connection, subject: str, body: bytes, headers: dict[str, str]) -> Any:
    result = await fate(connection, subject, body, **headers)
    return result if isinstance(result, int) else (type(result).__name__, str(result))


def a_read(dice: random.Random, last: int) -> Step:
    task, sequence = dice.choice(TASKS), dice.randrange(last + 2)
    stream, query = dice.choice(
        (
            (s.TASKS_STREAM, {"last_by_subj": s.task_anywhere(task)}),
            (s.TASKS_STREAM, {"seq": sequence, "next_by_subj": s.task_anywhere(task)}),
            (s.TASKS_STREAM, {"seq": sequence}),
            (s.EVENTS_STREAM, {"last_by_subj": s.outcome_of(task)}),
        )
    )

    async def read(side: Side) -> Any:
        message = (await side.connection.api(f"STREAM.MSG.GET.{stream}", query))["message"]
        return {name: message.get(name) for name in ("seq", "subject", "hdrs", "data")}

    return lambda side: _told(read(side))


def a_change_of_consumers(dice: random.Random, last: int) -> Step:
    stream, name = dice.choice(STREAMS), dice.choice(("c1", "c2"))
    if dice.random() < 0.4:
        return lambda side: _told(consumers.delete(side.connection, stream, name))
    # The last of each subject only where each has one, as Downdraft does: elsewhere nats-server itself stumbles over
    # deleted messages.
    policies = POLICIES if stream == s.EVENTS_STREAM else (*POLICIES, "last_per_subject")
    filters, policy = dice.choice(FILTERS[stream]), dice.choice(policies)
    config: dict[str, Any] = dict(dice.choice((EXPLICIT, EPHEMERAL)))
    config |= {"deliver_policy": policy} if policy != "all" or dice.random() < 0.5 else {}
    if policy == "by_start_sequence":
        config["opt_start_seq"] = dice.randrange(1, last + 3)

    async def create(side: Side) -> Any:
        # Making one that is there changes it, which Downdraft never does.
        await consumers.delete(side.connection, stream, name)
        told = await consumer(side.connection, stream, name, *filters, **config)
        return {field: told[field] for field in ("num_pending", "num_ack_pending", "delivered", "ack_floor")}

    return lambda side: _told(create(side))


def a_step(dice: random.Random, last: int, held: int) -> tuple[Step, bool]:
    """Anything that Downdraft may ask of a broker; and whether the real one carries it out a moment later."""
    kind = dice.random()
    if kind < 0.15 and held:
        index, verb = dice.randrange(held), dice.choice((b"+ACK", b"+ACK", b"+ACK", b"-NAK", b"+TERM"))
        return (lambda side: side.answer(index, verb)), True
    if kind < 0.25:
        body = {"seq": dice.randrange(last + 2), "no_erase": True}
        stream = dice.choice((s.TASKS_STREAM, s.EVENTS_STREAM))
        return (lambda side: _told(_deleted(side.connection, stream, body))), True
    return a_step_of_its_moment(dice, last), False


def a_step_of_its_moment(dice: random.Random, last: int) -> Step:
    kind = dice.random()
    if kind < 0.45:
        return a_write(dice, last)
    if kind < 0.55:
        request = str(dice.random()).encode()
        return lambda side: _told(side.connection.store(s.REQUESTS, request))
    if kind < 0.65:
        return a_read(dice, last)
    if kind < 0.75:
        return a_change_of_consumers(dice, last)
    stream, name, batch = dice.choice(STREAMS), dice.choice(("c1", "c2")), dice.randrange(1, 6)
    return lambda side: side.pull(stream, name, batch)


async def _deleted(connection: Connection, stream: str, body: dict[str, Any]) -> bool:
    return bool((await connection.api(f"STREAM.MSG.DELETE.{stream}", body))["success"])


async def _picture(side: Side) -> dict[str, Any]:
    """All that streams and consumers tell of themselves."""
    found: dict[str, Any] = {}
    for stream in STREAMS:
        found[stream] = await state(side.connection, stream)
        for name in (await side.connection.api(f"CONSUMER.NAMES.{stream}"))["consumers"]:
            found[f"{stream}/{name}"] = await info(side.connection, stream, name)
    return found


@pytest.mark.parametrize("seed", WALKS)
async def test_both_answer_every_step_of_a_walk_alike(nats_server: Broker, seed: int) -> None:
    dice = random.Random(seed)
    in_memory = SimBroker()
    await begin(nats_server)
    await begin(in_memory)
    async with AsyncExitStack() as opened:
        sides = [
            Side(await opened.enter_async_context(broker.connected(Role.ADMIN)), opened)
            for broker in (nats_server, in_memory)
        ]
        real, sim = sides
        for number in range(STEPS):
            last = (await state(sim.connection, s.TASKS_STREAM))["last_seq"]
            step, settles = a_step(dice, last, len(sim.held))
            assert await step(sim) == await step(real), f"step {number} of seed {seed}"

            async def alike() -> bool:
                """Acks and deletes reach consumers a moment later there."""
                return await _picture(sim) == await _picture(real)

            if number % LOOK_EVERY and not settles:
                continue
            try:
                await eventually(alike, within_s=3, every_s=0.005)
            except AssertionError:
                assert await _picture(sim) == await _picture(real), f"after step {number} of seed {seed}"
