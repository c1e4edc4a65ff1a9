"""An origin that asks one node to be left alone is left alone by all, also by what waits at nodes already."""

from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from msgspec.structs import replace

from broker import keys
from broker.cluster import Client, open_client
from broker.errors import StoreFull
from broker.roles import Role
from coordinator import follow, lead, moves
from coordinator.term import Term
from schemas.control import StatsReply, Steer
from schemas.event import AttemptFailed
from schemas.lifecycle import Desired, State
from schemas.request import Request
from schemas.task import ORIGIN_COOLS, TaskRow
from tests.examples import a_failure
from tests.harness.broker import STEADY, Broker
from tests.harness.leader import bare_term, coordinator
from tests.harness.producing import producer
from tests.harness.recorder import recording
from tests.harness.scripted import ScriptedNode, scripted_node
from tests.harness.waiting import eventually, stays
from tests.integration.rules.test_rule_02_places import TASK, a_row

HERE, ELSEWHERE = "origin.invalid:80", "other.invalid:80"
MIRRORED = Request(uris=("http://origin.invalid/f", "http://other.invalid/f"))


async def cooling(client: Client) -> dict[str, float]:
    return (await client.ask("stats", Steer(), StatsReply)).cooling


def asked_back(node: ScriptedNode, task: str) -> bool:
    row = node.rows[task][1] if task in node.rows else None
    return row is not None and (row.desired, row.code) == (Desired.RELEASE, ORIGIN_COOLS)


async def test_what_waits_at_any_node_is_asked_back_and_what_has_begun_goes_on(broker: Broker) -> None:
    async with (
        producer(broker) as ann,
        scripted_node(broker, "node-1", tags=("a",)) as one,
        scripted_node(broker, "node-2", tags=("b",)) as two,
        coordinator(broker, settings=STEADY),
    ):
        refused = await ann.submit(tags=["a"])
        others = [await ann.submit(tags=[tag]) for tag in "ababab"]
        foreign = await ann.submit(uris=["http://other.invalid/f"], tags=["b"])
        where = dict(zip([refused, *others, foreign], [one, one, two, one, two, one, two, two], strict=True))
        waiting = {*others[:3], foreign}
        for task, node in where.items():
            await node.gets(task)
            node.phases[task] = "waiting" if task in waiting else "active"
        await where[refused].fail(where[refused].rows[refused][1], retry_after_s=60, code="http-429")
        for task in others[:3]:
            await eventually(partial(asked_back, where[task], task), what="asked back")
        # Those that the leader asked before it knew that they run are told to go on.
        await eventually(lambda: all(where[task].rows[task][1].desired is Desired.RUN for task in others[3:]))
        assert not asked_back(where[foreign], foreign)
        await stays(lambda: not any(asked_back(where[task], task) for task in (*others[3:], foreign)), for_s=0.5)


async def test_it_is_left_alone_by_the_next_leader_too(broker: Broker) -> None:
    async with (
        producer(broker) as ann,
        recording(broker) as seen,
        scripted_node(broker) as node,
        open_client(broker.url, broker.creds(Role.OPERATOR)) as client,
    ):
        async with coordinator(broker, "first"):
            task = await ann.submit()
            await node.fail(await node.gets(task), retry_after_s=30, code="http-503")
            await eventually(lambda: "retrying" in seen.kinds(task))
            assert 20 < (await cooling(client))[HERE] <= 30
            async with open_client(broker.url, broker.creds(Role.PRODUCER, "bob")) as bob:
                assert await cooling(bob) == {}, "where others download from is theirs"
        async with coordinator(broker, "second") as second:
            await second.until_leading()
            assert 15 < (await cooling(client))[HERE] <= 30


async def refused_once(term: Term, **fact: Any) -> AttemptFailed:
    """A task that stands at node-1, and what its node reports of it."""
    await lead.take_over(term)
    created = await term.cas(a_row(), 0)
    assert created is not None
    placed = await term.move(moves.placed(created.row, "node-1", "i"), created.sequence)
    assert placed is not None
    about: dict[str, Any] = {"task": TASK, "node": "node-1", "code": "http-429", "retry_after_s": 30.0}
    return a_failure(**about | {"time": datetime.now(UTC)} | fact)


async def test_a_report_is_done_with_only_when_it_is_stored_who_cools_down(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bare_term(broker) as term:
        fact = await refused_once(term)
        write = keys.write

        async def full(*_: object, **__: object) -> None:
            raise StoreFull("full")

        monkeypatch.setattr(keys, "write", full)
        for _ in range(2):  # the second time the leader knows it already, and must not take it for stored
            with pytest.raises(StoreFull):
                await follow.act(term, fact, writer="node-1")
        top = term.book.top(TASK)
        assert top is not None
        assert top.row.state is State.ASSIGNED, "unchanged: the report comes again"
        monkeypatch.setattr(keys, "write", write)
        await follow.act(term, fact, writer="node-1")
        assert list(term.handover.cooling()) == [HERE]


@pytest.mark.parametrize(
    "fact",
    [{"retry_after_s": None}, {"retry_after_s": 0.0}, {"code": "http-500"}, {"node": "node-2"}],
    ids=["no-time-named", "no-time-at-all", "another-refusal", "in-another-nodes-name"],
)
async def test_nobody_else_waits_for(broker: Broker, fact: dict[str, Any]) -> None:
    async with bare_term(broker) as term:
        await follow.act(term, await refused_once(term, **fact), writer="node-1")
        assert term.handover.cooling() == {}


async def test_of_an_attempt_long_over_the_origins_word_still_counts(broker: Broker) -> None:
    async with bare_term(broker) as term:
        await follow.act(term, await refused_once(term, attempt=7), writer="node-1")
        assert list(term.handover.cooling()) == [HERE]


async def test_its_time_runs_from_when_it_was_reported(broker: Broker) -> None:
    async with bare_term(broker) as term:
        fact = await refused_once(term)
        await follow.act(term, fact, writer="node-1", stored_at=term.connection.clock.now() - 20)
        assert 5 < term.handover.cooling()[HERE] <= 10


async def test_a_time_that_is_over_holds_nobody_back(broker: Broker) -> None:
    async with bare_term(broker) as term:
        fact = await refused_once(term)
        await follow.act(term, fact, writer="node-1", stored_at=term.connection.clock.now() - 31)
        assert term.handover.cooling() == {}


def mirrored(row: TaskRow) -> TaskRow:
    return replace(row, request=MIRRORED)


@pytest.mark.parametrize(
    ("origin", "cools"),
    [(ELSEWHERE, {ELSEWHERE}), ("", {HERE, ELSEWHERE}), ("victim.example:80", {HERE, ELSEWHERE})],
    ids=["named", "unnamed", "none-of-its-own"],
)
async def test_of_several_mirrors_the_one_that_asked(broker: Broker, origin: str, cools: set[str]) -> None:
    async with bare_term(broker) as term:
        fact = await refused_once(term, origin=origin)
        top = term.book.top(TASK)
        assert top is not None
        assert await term.cas(mirrored(top.row), top.sequence) is not None
        await follow.act(term, fact, writer="node-1")
        assert set(term.handover.cooling()) == cools
