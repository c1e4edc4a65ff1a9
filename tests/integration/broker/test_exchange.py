"""Many requests at once: each gets its own answer, or the reason why there is none."""

import anyio
import pytest

from broker.errors import ApiRefused, SequenceConflict, Unanswered
from broker.exchange import Ask
from broker.roles import Role
from schemas import subjects as s
from tests.harness.broker import Broker
from tests.harness.waiting import eventually


async def test_a_batch_is_answered_in_its_order(broker: Broker) -> None:
    async with broker.connected(Role.PRODUCER) as producer:
        stored = await producer.store_all([Ask(s.REQUESTS, b"%d" % number) for number in range(300)])
        assert stored == list(range(1, 301))


async def test_one_that_is_refused_does_not_spoil_the_others(broker: Broker) -> None:
    taken = {s.EXPECTED_SEQUENCE: "7"}
    async with broker.connected(Role.PRODUCER) as producer:
        asks = [
            Ask(s.REQUESTS, b"1"),
            Ask(s.REQUESTS, b"2", taken),
            Ask(s.REQUESTS, bytes(2 << 20)),
            Ask(s.REQUESTS, b"4"),
        ]
        first, conflict, too_large, last = await producer.store_all(asks)
        assert (first, last) == (1, 2)
        assert isinstance(conflict, SequenceConflict)
        assert isinstance(too_large, ApiRefused)


async def test_nobody_there_is_known_at_once(broker: Broker) -> None:
    async with broker.connected(Role.OPERATOR) as operator:
        with anyio.fail_after(2), pytest.raises(Unanswered, match="no responders"):
            await operator.request(s.control("admin", "list"), b"{}")


async def test_no_answer_in_time_leaves_nothing_waiting(broker: Broker) -> None:
    async with broker.connected(Role.ADMIN) as asking, broker.connected(Role.ADMIN) as silent:
        await silent.client.subscribe("silence")
        await silent.client.flush()
        with pytest.raises(Unanswered, match="in time"):
            await asking.request("silence", b"", timeout_s=0.1)
        assert "0 unanswered" in repr(asking._exchange)


async def test_batches_that_overlap_do_not_mix_their_answers(broker: Broker) -> None:
    results: dict[int, list[object]] = {}
    async with broker.connected(Role.PRODUCER) as producer:

        async def store(number: int) -> None:
            results[number] = list(await producer.store_all([Ask(s.REQUESTS, b"%d" % number) for _ in range(50)]))

        async with anyio.create_task_group() as tasks:
            for number in range(10):
                tasks.start_soon(store, number)
    sequences = [sequence for stored in results.values() for sequence in stored]
    assert sorted(sequences) == list(range(1, 501))  # type: ignore[type-var]


async def test_answers_are_heard_again_after_the_broker_was_restarted(broker: Broker) -> None:
    async with broker.connected(Role.PRODUCER) as producer:
        assert await producer.store(s.REQUESTS, b"1") == 1
        await broker.restart()
        await eventually(lambda: producer.is_connected, within_s=15)
        assert await producer.store(s.REQUESTS, b"2") == 2
