"""Consumers of streams."""

import pytest

from broker import consumers
from schemas import subjects as s
from tests.harness.broker import Broker
from tests.harness.leader import bare_term


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
