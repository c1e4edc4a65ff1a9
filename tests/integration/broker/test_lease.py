"""A key that one process holds while it lives."""

import anyio
import pytest

from broker.connection import connect
from broker.errors import Unanswered
from broker.lease import Found, Holder, Lease
from broker.roles import Role
from coordinator import claim
from coordinator.term import Term
from schemas import subjects as s
from tests.harness.broker import Broker
from tests.harness.leader import coordinator
from tests.harness.link import linked
from tests.harness.waiting import eventually


async def test_one_holds_it_and_the_other_learns_who(broker: Broker) -> None:
    async with broker.connected(Role.COORDINATOR) as connection:
        one = Lease(connection, s.LEADER_KEY, Holder("one", "i1"), ttl_s=5, checked=True)
        two = Lease(connection, s.LEADER_KEY, Holder("two", "i2"), ttl_s=5, checked=True)
        assert await one.acquire() is None
        found = await two.acquire()
        assert found is not None
        assert found.holder.name == "one"
        assert one.is_held
        assert not two.is_held


async def test_a_renewed_lease_outlives_its_first_term_and_a_dead_one_does_not(broker: Broker) -> None:
    async with broker.connected(Role.COORDINATOR) as connection:
        alive = Lease(connection, s.LEADER_KEY, Holder("one", "i1"), ttl_s=1, checked=True)
        other = Lease(connection, s.LEADER_KEY, Holder("two", "i2"), ttl_s=1, checked=True)
        assert await alive.acquire() is None
        until = anyio.current_time() + 2.5
        while anyio.current_time() < until:
            assert await alive.renew()
            assert await other.acquire() is not None
            await anyio.sleep(0.2)

        async def taken() -> bool:
            return await other.acquire() is None

        await eventually(taken, within_s=4, what="it runs out with its holder")
        assert not await alive.renew()
        assert not alive.is_held


async def test_a_released_lease_is_free_at_once(broker: Broker) -> None:
    async with broker.connected(Role.COORDINATOR) as connection:
        one = Lease(connection, s.LEADER_KEY, Holder("one", "i1"), ttl_s=60, checked=True)
        two = Lease(connection, s.LEADER_KEY, Holder("two", "i2"), ttl_s=60, checked=True)
        assert await one.acquire() is None
        await one.release()
        assert await two.acquire() is None


async def test_a_node_takes_over_from_its_own_dead_predecessor_at_once(broker: Broker) -> None:
    async with broker.connected(Role.NODE, "node-1") as connection:
        key = s.node_lock_key("node-1")
        dead = Lease(connection, key, Holder("node-1", "before"), ttl_s=60)
        assert await dead.acquire() is None
        stranger = Lease(connection, key, Holder("node-1", "elsewhere"), ttl_s=60)
        assert await stranger.acquire() is not None
        successor = Lease(connection, key, Holder("node-1", "after"), ttl_s=60)
        assert await successor.acquire(frozenset({"before"})) is None
        assert not await dead.renew()


async def test_a_standby_leads_when_the_leader_stops(broker: Broker) -> None:
    async with coordinator(broker, "first") as first, coordinator(broker, "second") as second:
        await eventually(lambda: first.leads or second.leads)
        leader, standby = (first, second) if first.leads else (second, first)
        assert not standby.leads
        epoch = leader.term.epoch
        leader.stop()
        term = await standby.until_leading()
        assert term.epoch > epoch


async def test_a_lease_lasts_longer_where_its_answers_take_long(broker: Broker) -> None:
    """A line on which an answer takes two seconds, and a lease of three."""
    creds = broker.creds(Role.COORDINATOR)
    async with (
        linked(broker.server.port) as link,
        connect(f"nats://{link.address}", creds, name="afar", timeout_s=10) as afar,
        broker.connected(Role.COORDINATOR) as near,
    ):
        await afar.api(f"STREAM.INFO.{s.TASKS_STREAM}")
        link.delay_s = 1.0
        lease = Lease(afar, s.LEADER_KEY, Holder("one", "i1"), ttl_s=3, checked=True)
        other = Lease(near, s.LEADER_KEY, Holder("two", "i2"), ttl_s=3, checked=True)
        assert await other.acquire() is None
        assert await lease.acquire() is not None, "a standby learns how long answers take"
        await other.release()

        async def taken() -> bool:
            return await lease.acquire() is None

        await eventually(taken, within_s=15)
        for _ in range(3):
            await anyio.sleep(lease.renew_in_s)
            with anyio.fail_after(max(0.0, lease.valid_until - anyio.current_time())):
                assert await lease.renew()
            assert await other.acquire() is not None
        assert lease.valid_until - anyio.current_time() > 3
        link.delay_s = 0.0
        await eventually(lambda: _renewed_for(lease, 3), within_s=10, what="as short as ever on a good line")


async def _renewed_for(lease: Lease, seconds: float) -> bool:
    assert await lease.renew()
    return lease.valid_until - anyio.current_time() <= seconds


async def test_a_takeover_waits_for_a_broker_that_does_not_answer(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within one term: the next one would have the same to do, and its consumers another name."""
    tries: list[int] = []
    opened = claim.open_consumer

    async def unanswered_at_first(term: Term) -> str:
        tries.append(term.epoch)
        if len(tries) < 3:  # alone, or as a task group has it
            trouble = Unanswered("no leader yet")
            raise trouble if len(tries) == 1 else ExceptionGroup("", [trouble])
        return await opened(term)

    monkeypatch.setattr(claim, "open_consumer", unanswered_at_first)
    async with coordinator(broker) as running:
        await running.until_leading()
    assert tries[:3] == [tries[0]] * 3


async def test_a_holder_is_not_turned_away_by_its_own_late_write(broker: Broker) -> None:
    """On a slow line an unanswered renewal arrives between the look at the key and the next write."""
    async with broker.connected(Role.COORDINATOR) as connection:
        holder = Holder("one", "i1")
        late = Lease(connection, s.LEADER_KEY, holder, ttl_s=5, checked=True)
        assert await late.acquire() is None
        lease = Lease(connection, s.LEADER_KEY, holder, ttl_s=5, checked=True)
        look = lease.read

        async def overtaken() -> Found | None:
            found = await look()
            assert await late.renew()
            return found

        lease.read = overtaken  # type: ignore[method-assign]
        with pytest.raises(Unanswered):
            await lease.acquire()
        lease.read = look  # type: ignore[method-assign]
        assert await lease.acquire() is None
