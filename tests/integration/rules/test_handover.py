"""Limits hold through a change of leader: what the old one has in flight is counted by the new one, or is lost."""

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import anyio
import pytest
from msgspec.structs import replace

from broker import keys
from broker.connection import connect
from broker.errors import BrokerError, Deposed, StoreFull, Unanswered
from broker.roles import Role
from coordinator import feed, fence, lead, place
from coordinator.snapshot import Placement
from coordinator.term import Term
from schemas import codec
from schemas import subjects as s
from schemas.lifecycle import State
from schemas.origins import OTHERS
from schemas.placing import Entry, PlacingRecord
from schemas.policy import OriginPolicy, OwnerPolicy, Policy
from tests.harness.broker import QUICK, Broker
from tests.harness.leader import bare_term, hear
from tests.harness.link import Link, linked
from tests.harness.waiting import eventually
from tests.integration.rules.test_rule_02_places import a_row

ONE_AT_ONCE = Policy(origins={"origin.invalid": OriginPolicy(running=1)})
ONE_AN_OWNER = Policy(owners={OTHERS: OwnerPolicy(running=1)})
BOTH_LIMITS = pytest.mark.parametrize("policy", [ONE_AT_ONCE, ONE_AN_OWNER], ids=["of its origin", "of its owner"])
FIRST, SECOND = "00000000000000a1", "00000000000000a2"


@asynccontextmanager
async def distant_term(broker: Broker, link: Link, epoch: int) -> AsyncIterator[Term]:
    """A term whose every word to the broker goes over the link."""
    url, creds = f"nats://{link.address}", broker.creds(Role.COORDINATOR)
    async with connect(url, creds, name="distant", timeout_s=10) as connection:
        await connection.api("STREAM.INFO.TASKS")
        yield Term(connection, "old", epoch, QUICK, random.Random(1))


async def begin(term: Term, policy: Policy = ONE_AT_ONCE) -> None:
    """Take over, with the policy in force."""
    term.desk.policy_changed(policy)
    await lead.take_over(term)


async def queue(term: Term, *tasks: str) -> None:
    for task in tasks:
        await term.cas(a_row(task), 0)


def a_placement(term: Term, task: str, node: str, *, limited: bool = True) -> Placement:
    top = term.book.top(task)
    assert top is not None
    hear(term, node)
    return Placement(task, top.sequence, node, "i", "tested", limited)


def at_nodes(term: Term) -> set[str]:
    """What counts against the limit as this leader knows it."""
    return {top.row.task for top in term.book.tops() if top.row.state is State.ASSIGNED}


async def standing(term: Term, *tasks: str) -> set[str]:
    """Those of `tasks` that stand at nodes, as the stream's leader knows."""
    tops = {task: await term.table.top(task) for task in tasks}
    return {task for task, top in tops.items() if top is not None and top.row.state is State.ASSIGNED}


async def place_what_fits(term: Term, task: str, node: str, *, limited: bool = True) -> None:
    """As the plan does: only while there is room by the leader's own count."""
    if not at_nodes(term):
        assert await place._place_held(term, [a_placement(term, task, node, limited=limited)]) == []


def silence_after(step: Callable[..., Awaitable[None]], link: Link) -> Callable[..., Awaitable[None]]:
    async def then_silent(*args: object) -> None:
        await step(*args)
        link.silence()

    return then_silent


async def one_place_changes_hands(broker: Broker, policy: Policy = ONE_AT_ONCE) -> set[str]:
    """The old leader's placing is held back on its way until the new one has placed; what stands at nodes then."""
    limited = bool(policy.origins)
    async with (
        linked(broker.server.port) as link,
        distant_term(broker, link, epoch=1) as old,
        bare_term(broker, "new", epoch=2) as new,
        anyio.create_task_group() as tasks,
    ):
        await begin(old, policy)
        await queue(old, FIRST, SECOND)
        old.handover.enter = silence_after(old.handover.enter, link)  # type: ignore[method-assign,assignment]
        tasks.start_soon(place._place_held, old, [a_placement(old, FIRST, "node-a", limited=limited)])
        await eventually(lambda: not link._heard.is_set(), what="the old leader's write is on its way")
        await begin(new, policy)
        await place_what_fits(new, SECOND, "node-b", limited=limited)
        await link.mend()
        marker = await old.table.mark()  # behind the write, over the same connection
        assert marker
        found = await standing(new, FIRST, SECOND)
        tasks.cancel_scope.cancel()
    return found


@BOTH_LIMITS
async def test_a_placing_that_lands_after_the_takeover_is_never_one_too_many(broker: Broker, policy: Policy) -> None:
    assert await one_place_changes_hands(broker, policy) == {SECOND}


async def test_without_the_touch_there_would_be_one_too_many(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test before this one sees what it should."""

    async def left_alone(term: Term) -> None:
        term.handover.settled(tuple(term.handover.inherited))

    monkeypatch.setattr(fence, "settle_inherited", left_alone)
    assert await one_place_changes_hands(broker) == {FIRST, SECOND}


async def test_a_placing_that_landed_before_the_takeover_is_counted(broker: Broker) -> None:
    async with bare_term(broker, "old", epoch=1) as old, bare_term(broker, "new", epoch=2) as new:
        await begin(old)
        await queue(old, FIRST, SECOND)
        await old.handover.enter([_entry(old, FIRST)])
        assert await place._place_held(old, [a_placement(old, FIRST, "node-a")]) == []
        await begin(new)
        assert at_nodes(new) == {FIRST}
        assert not new.handover.inherited


async def test_a_placing_that_lands_while_the_new_leader_reads_the_table_is_counted(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bare_term(broker, "old", epoch=1) as old, bare_term(broker, "new", epoch=2) as new:
        await begin(old)
        await queue(old, FIRST, SECOND)
        await old.handover.enter([_entry(old, FIRST)])
        audit = feed.audit

        async def audited(term: Term) -> None:
            await audit(term)
            top = old.book.top(FIRST)
            assert top is not None
            await old.cas(replace(top.row, state=State.ASSIGNED, place="node-a"), top.sequence)

        monkeypatch.setattr(feed, "audit", audited)
        await begin(new)
        assert at_nodes(new) == {FIRST}


async def test_a_deposed_leader_begins_nothing_limited_and_its_term_ends(broker: Broker) -> None:
    async with bare_term(broker, "old", epoch=1) as old, bare_term(broker, "new", epoch=2) as new:
        await begin(old)
        await queue(old, FIRST)
        await begin(new)
        placement = a_placement(old, FIRST, "node-a")
        assert await place._place_held(old, [placement]) == [placement]
        assert await standing(new, FIRST) == set()
        with pytest.raises(Deposed), anyio.fail_after(5):
            await old.handover.until_deposed()


async def test_an_earlier_term_that_wakes_late_does_not_take_the_record_back(broker: Broker) -> None:
    async with bare_term(broker, "late", epoch=1) as late, bare_term(broker, "new", epoch=2) as new:
        await begin(new)
        with pytest.raises(Deposed):
            await fence.take_record(late)


async def test_an_unlimited_placing_is_not_written_down(broker: Broker) -> None:
    async with bare_term(broker, "old", epoch=1) as old:
        await lead.take_over(old)
        await queue(old, FIRST)
        assert await place._place_held(old, [a_placement(old, FIRST, "node-a", limited=False)]) == []
        record = await _record(old)
        assert (record.unsettled, record.write) == ((), 0)


async def test_placements_that_come_together_share_a_write_and_leave_with_the_next(broker: Broker) -> None:
    async with bare_term(broker, "old", epoch=1) as old:
        await begin(old)
        entries = [Entry(f"{number:016x}", number) for number in range(256)]
        async with anyio.create_task_group() as tasks:
            for entry in entries:
                tasks.start_soon(old.handover.enter, [entry])
        record = await _record(old)
        assert set(record.unsettled) == set(entries)
        assert (await _revision(old)) <= 4, "one to take it over, one for the first, one for all that came meanwhile"
        old.handover.settled(entries)
        await old.handover.enter([Entry(FIRST, 7)])
        assert (await _record(old)).unsettled == (Entry(FIRST, 7),)


async def test_while_the_broker_is_in_trouble_limited_tasks_stay_in_the_queue(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bare_term(broker, "old", epoch=1) as old:
        await begin(old)
        await queue(old, FIRST)
        placement = a_placement(old, FIRST, "node-a")
        write = keys.write
        for trouble in (Unanswered("no answer"), StoreFull("full")):
            monkeypatch.setattr(keys, "write", _raising(trouble))
            assert await place._place_held(old, [placement]) == [placement]
        monkeypatch.setattr(keys, "write", write)
        assert await place._place_held(old, [placement]) == []
        assert await standing(old, FIRST) == {FIRST}


async def test_nothing_limited_is_placed_while_it_is_unknown_what_the_old_leader_was_placing(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bare_term(broker, "old", epoch=1) as old, bare_term(broker, "new", epoch=2) as new:
        await begin(old)
        await queue(old, FIRST, SECOND)
        await old.handover.enter([_entry(old, FIRST)])
        write_all = new.table.write_all
        monkeypatch.setattr(new.table, "write_all", _answering(StoreFull("full")))
        await begin(new)
        assert new.handover.inherited
        monkeypatch.setattr(new.table, "write_all", write_all)
        await place._place_all(new, [a_placement(new, FIRST, "node-b")], all_counted=not new.handover.inherited)
        assert await standing(new, FIRST) == set()
        assert not new.handover.inherited, "the next plan may count on it"
        await place._place_all(new, [a_placement(new, FIRST, "node-b")], all_counted=not new.handover.inherited)
        assert await standing(new, FIRST) == {FIRST}


@BOTH_LIMITS
async def test_a_placing_whose_fate_is_unknown_counts_until_it_is_known(
    broker: Broker, policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was sent and answered by an error: it may land yet, so its row is touched before it is let go."""
    async with bare_term(broker, "old", epoch=1) as old:
        await begin(old, policy)
        await queue(old, FIRST)
        placement = a_placement(old, FIRST, "node-a", limited=bool(policy.origins))
        released: list[int] = []

        def release(_: Placement) -> None:
            top = old.book.top(FIRST)
            assert top is not None
            released.append(top.sequence)

        monkeypatch.setattr(old.desk, "release", release)
        write_all = old.table.write_all
        monkeypatch.setattr(old.table, "write_all", _answering(Unanswered("who knows")))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(place._place_all, old, [placement])
            await eventually(lambda: old.handover.unsettled)
            assert released == []
            monkeypatch.setattr(old.table, "write_all", write_all)
        (sequence,) = released
        assert sequence > placement.sequence, "whatever was on its way has lost"


async def test_a_store_that_is_full_keeps_nobody_from_leading(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    async with bare_term(broker, "old", epoch=1) as old:
        write = keys.write
        monkeypatch.setattr(keys, "write", _raising(StoreFull("full")))
        await begin(old)
        await queue(old, FIRST)
        placement = a_placement(old, FIRST, "node-a")
        assert await place._place_held(old, [placement]) == [placement]
        monkeypatch.setattr(keys, "write", write)
        assert await place._place_held(old, [placement]) == [placement], "the table was read before the record was ours"
        with pytest.raises(Deposed, match="read once more"), anyio.fail_after(5):
            await old.handover.until_deposed()


async def test_a_record_that_cant_be_read_is_begun_anew(broker: Broker) -> None:
    async with bare_term(broker, "old", epoch=1) as old:
        await old.connection.store(s.bucket_key(s.PLACING_KEY), b"{")
        await begin(old)
        assert (await _record(old)).epoch == 1


async def _record(term: Term) -> PlacingRecord:
    found = await keys.read(term.connection, s.PLACING_KEY)
    assert found is not None
    return codec.decode(found.body, PlacingRecord)


async def _revision(term: Term) -> int:
    found = await keys.read(term.connection, s.PLACING_KEY)
    return found.revision if found else 0


def _entry(term: Term, task: str) -> Entry:
    top = term.book.top(task)
    assert top is not None
    return Entry(task, top.sequence)


def _raising(error: Exception) -> Callable[..., Awaitable[None]]:
    async def write(*_: object, **__: object) -> None:
        raise error

    return write


def _answering(error: BrokerError) -> Callable[[Sequence[object]], Awaitable[list[BrokerError]]]:
    async def write_all(writes: Sequence[object]) -> list[BrokerError]:
        return [error] * len(writes)

    return write_all
