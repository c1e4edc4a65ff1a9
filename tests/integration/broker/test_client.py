"""Callbacks that are called as their messages are read, and readings that ask ahead."""

from typing import Any

from broker import pull
from broker.client import Handed, at_once
from broker.connection import API
from broker.roles import Role
from schemas import subjects as s
from tests.harness.broker import Broker
from tests.harness.waiting import eventually


async def test_a_callback_called_at_once_is_given_what_others_are_given(broker: Broker) -> None:
    found: dict[str, list[Any]] = {"at once": [], "later": []}

    @at_once
    async def take(msg: Any) -> None:
        found["at once"].append(msg)

    async def hear(msg: Any) -> None:
        found["later"].append(msg)

    async with broker.connected(Role.ADMIN) as connection:
        await connection.store(s.task_write("queued", "0" * 16), b"with", {"Downdraft-Say": "größer"})
        await connection.store(s.task_write("queued", "1" * 16), b"without")
        await pull.create_consumer(connection, s.TASKS_STREAM, "both", (s.TASKS_ALL,), ack_policy="none")
        inbox = connection.client.new_inbox()
        for callback in (take, hear):
            await connection.client.subscribe(inbox, cb=callback)
        for _ in range(2):  # the second is answered by a status alone
            asked = b'{"batch": 2, "no_wait": true}'
            await connection.publish(f"{API}.CONSUMER.MSG.NEXT.{s.TASKS_STREAM}.both", asked, reply=inbox)
        await eventually(lambda: all(len(one) >= 3 for one in found.values()))
    plain = [
        [(one.subject, one.reply, one.data, one.headers and dict(one.headers)) for one in some]
        for some in (one[:3] for one in found.values())
    ]
    assert plain[0] == plain[1]
    assert (plain[0][0][3] or {}).get("Downdraft-Say") == "größer"
    assert (plain[0][2][3] or {}).get("Status") == "404"
    assert all(isinstance(one, Handed) for one in found["at once"])


async def test_the_next_batch_is_asked_for_before_the_first_is_at_its_end(broker: Broker, monkeypatch: Any) -> None:
    monkeypatch.setattr(pull, "SNAPSHOT_BATCH", 8)
    monkeypatch.setattr(pull, "SNAPSHOT_STEP", 2)
    asked_with: list[int] = []
    ask = pull.Pull._ask

    async def asking(self: pull.Pull, expires_s: float, no_wait: bool) -> None:
        asked_with.append(self._left)
        await ask(self, expires_s, no_wait)

    monkeypatch.setattr(pull.Pull, "_ask", asking)
    async with broker.connected(Role.ADMIN) as connection:
        for number in range(40):
            await connection.store(s.task_write("queued", f"{number + 1:016x}"), b"{}")
        async with pull.snapshot(connection, s.TASKS_STREAM, s.TASKS_ALL) as found:
            read = await found.all()
    assert [delivery.sequence for delivery in read] == list(range(1, 41))
    assert len(asked_with) == 5, "no more than what is there"
    assert asked_with[0] == 0
    assert all(0 < left <= 4 for left in asked_with[1:])
