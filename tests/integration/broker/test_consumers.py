"""Consumers of streams of millions: the broker takes seconds to count for one, and is not asked anew meanwhile."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from broker import consumers, outcomes
from broker.connection import ASK_AGAIN_S, Connection
from broker.eventlog import history
from broker.follow import following
from coordinator import follow
from schemas import subjects as s
from schemas.lifecycle import Outcome
from tests.harness.broker import Broker
from tests.harness.leader import bare_term

TASK = "00000000000000aa"


@pytest.fixture
def asked_again(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """After how many seconds the making of each consumer would be asked for once more, by its first filter."""
    seen: dict[str, float] = {}
    api = Connection.api

    async def noticed(
        self: Connection, subject: str, body: Mapping[str, Any] | None = None, **how: float
    ) -> dict[str, Any]:
        if subject.startswith(f"CONSUMER.CREATE.{s.EVENTS_STREAM}.") and body:
            config = body["config"]
            seen[config.get("filter_subject") or config["filter_subjects"][0]] = how.get("again_s", ASK_AGAIN_S)
        return await api(self, subject, body, **how)

    monkeypatch.setattr(Connection, "api", noticed)
    return seen


async def test_whatever_counts_in_the_whole_log_is_asked_for_with_patience(
    broker: Broker, asked_again: dict[str, float]
) -> None:
    async with bare_term(broker) as term:
        await follow.open_consumer(term)
        await outcomes.count_since(term.connection, Outcome.FAILED, datetime.now(UTC))
        await outcomes.latest_outcomes(term.connection, 1, outcomes=(Outcome.CANCELLED,))
        async with following(term.connection):
            pass
    large = {s.FACTS[0], s.outcomes_all(Outcome.FAILED), s.outcomes_all(Outcome.CANCELLED), s.EVENTS_ALL}
    assert asked_again == dict.fromkeys(large, consumers.COUNTED_AGAIN_S)


async def test_what_concerns_one_task_is_asked_for_again_soon(broker: Broker, asked_again: dict[str, float]) -> None:
    async with bare_term(broker) as term:
        await history(term.connection, TASK)
    assert asked_again == {s.task_events(TASK): ASK_AGAIN_S}


async def test_a_short_lived_consumer_is_gone_after_its_block(broker: Broker) -> None:
    async with bare_term(broker) as term:
        with pytest.raises(ZeroDivisionError):
            async with consumers.short_lived(term.connection, s.TASKS_STREAM, (s.TASKS_ALL,)) as (name, info):
                assert info["num_pending"] == 0
                listed = await term.connection.api(f"CONSUMER.NAMES.{s.TASKS_STREAM}")
                assert listed["consumers"] == [name]
                raise ZeroDivisionError
        listed = await term.connection.api(f"CONSUMER.NAMES.{s.TASKS_STREAM}")
        assert not listed["consumers"]
