"""Callbacks that are called as their messages are read."""

from typing import Any

from broker import consumers
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
        await consumers.create(connection, s.TASKS_STREAM, "both", (s.TASKS_ALL,), ack_policy="none")
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
