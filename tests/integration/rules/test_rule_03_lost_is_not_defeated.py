"""Rule 3: a write whose answer was lost is neither done nor defeated until the stream's leader has said so."""

from collections.abc import Sequence

import pytest

from broker.errors import BrokerError, Unanswered
from broker.exchange import Ask
from coordinator.term import Term
from tests.harness.broker import Broker
from tests.harness.leader import bare_term
from tests.integration.rules.test_rule_02_places import TASK, a_row


def lose_answers(term: Term, monkeypatch: pytest.MonkeyPatch, *, stored: bool) -> list[str]:
    """The next store is carried out (or not), and its answer is lost."""
    lost: list[str] = []
    real = term.connection.store_all

    async def store_all(asks: Sequence[Ask]) -> list[int | BrokerError]:
        if lost:
            return await real(asks)
        lost.extend(ask.subject for ask in asks)
        if stored:
            await real(asks)
        return [Unanswered("planted: the answer was lost") for _ in asks]

    monkeypatch.setattr(term.connection, "store_all", store_all)
    return lost


async def test_a_write_that_was_stored_but_not_answered_is_known_again(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bare_term(broker) as term:
        lost = lose_answers(term, monkeypatch, stored=True)
        stored = await term.cas(a_row(), 0)
        assert lost
        assert stored is not None
        assert [one.sequence for one in await term.table.rows(TASK)] == [stored.sequence]


async def test_a_write_that_never_arrived_is_tried_again(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    async with bare_term(broker) as term:
        lose_answers(term, monkeypatch, stored=False)
        assert await term.cas(a_row(), 0) is not None
        assert len(await term.table.rows(TASK)) == 1


async def test_a_retry_that_loses_to_its_own_first_try_is_no_defeat(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The read comes too early and sees nothing; the repeat is then refused because of the first try."""
    async with bare_term(broker) as term:
        lose_answers(term, monkeypatch, stored=True)
        real, blind = term.table.tops, [False, True]

        async def tops(tasks: Sequence[str]):  # type: ignore[no-untyped-def]
            return [None for _ in tasks] if blind.pop() else await real(tasks)

        monkeypatch.setattr(term.table, "tops", tops)
        assert await term.cas(a_row(), 0) is not None


async def test_a_write_that_lost_to_another_is_a_defeat(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    async with bare_term(broker, "c1") as one, bare_term(broker, "c2") as two:
        assert await two.cas(a_row(), 0) is not None
        lose_answers(one, monkeypatch, stored=False)
        assert await one.cas(a_row(), 0) is None
        top = one.book.top(TASK)
        assert top is not None
        assert top.row.writer == "c2"


async def test_a_completion_whose_answer_was_lost_is_still_this_nodes_own(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    from broker.eventlog import EventLog
    from broker.roles import Role
    from tests.harness.scripted import ScriptedNode

    async with broker.connected(Role.NODE, "node-1") as connection:
        node = ScriptedNode(connection, "node-1", 1, ())
        real, lost = connection.store_all, [True]

        async def store_all(asks: Sequence[Ask]) -> list[int | BrokerError]:
            fates = await real(asks)
            if lost:
                lost.clear()
                return [Unanswered("planted: the answer was lost") for _ in fates]
            return fates

        monkeypatch.setattr(connection, "store_all", store_all)
        assert await node.complete(a_row()) is False, "the repeat is refused"
        assert await EventLog(connection, "node-1").is_own_completion(TASK)
        assert not await EventLog(connection, "node-1").is_own_completion("00000000000000ff")
