"""The cluster's policy: set by operators, followed by whoever leads, and kept where it can't be read."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from broker import keys
from broker import policyclient as policies
from broker.cluster import Client, Refused, open_client
from broker.policyclient import PolicyConflict, PolicyUnreadable
from broker.roles import Role
from schemas import subjects as s
from schemas.control import PolicySet, PolicySetReply, StatsReply, Steer
from schemas.errors import PolicyInvalid
from schemas.policy import OwnerPolicy, Policy
from tests.harness.broker import STEADY, Broker
from tests.harness.leader import coordinator
from tests.harness.waiting import eventually
from tests.integration.control.steps import answering

TWICE = {"owners": {"alice": {"weight": 2.0}}}


@asynccontextmanager
async def operator(broker: Broker) -> AsyncIterator[Client]:
    async with open_client(broker.url, broker.creds(Role.OPERATOR)) as client:
        yield client


async def set_policy(client: Client, values: dict[str, Any], revision: int = 0) -> PolicySetReply:
    return await client.ask("policy-set", PolicySet(policy=values, revision=revision), PolicySetReply)


async def put(broker: Broker, body: bytes) -> int:
    """As somebody does who writes past the coordinator."""
    async with broker.connected(Role.COORDINATOR) as connection:
        revision = await keys.write(connection, s.POLICY_KEY, body, expected=None)
        assert revision is not None
        return revision


async def test_a_policy_that_is_set_is_followed_by_the_time_it_is_answered(broker: Broker) -> None:
    async with coordinator(broker, settings=STEADY) as leader, operator(broker) as client:
        term = await answering(leader, client)
        assert (await policies.read(client)).policy == {}
        answer = await set_policy(client, TWICE | {"strategy": "spread"})
        assert answer.ok
        assert term.policy == term.desk.policy
        assert term.policy == Policy(strategy="spread", owners={"alice": OwnerPolicy(weight=2.0)})
        shown = await policies.read(client)
        assert (shown.policy, shown.revision) == (TWICE | {"strategy": "spread"}, answer.revision)


async def test_a_policy_that_is_written_past_the_leader_is_followed_within_a_second(broker: Broker) -> None:
    async with coordinator(broker, settings=STEADY) as leader, operator(broker) as client:
        term = await answering(leader, client)
        await put(broker, b'{"strategy":"bin-pack"}')
        await eventually(lambda: term.desk.policy.strategy == "bin-pack", within_s=5)


async def test_whoever_leads_next_follows_it_before_anything_is_placed(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coordinator.policies.follow_policy", _never)
    async with operator(broker) as client:
        async with coordinator(broker, "c1") as first:
            await answering(first, client)
            assert (await set_policy(client, TWICE)).ok
        async with coordinator(broker, "c2") as second:
            term = await answering(second, client)
            assert term.policy.owner("alice").weight == 2


async def _never(_: object) -> None:
    """Follows nothing: what is known was read at takeover."""


async def test_a_change_that_is_based_on_an_older_one_is_refused(broker: Broker) -> None:
    async with coordinator(broker, settings=STEADY) as leader, operator(broker) as client:
        await answering(leader, client)
        first = await set_policy(client, TWICE)
        late = await set_policy(client, {"strategy": "spread"}, revision=0)
        assert (late.ok, late.is_conflict, late.revision) == (False, True, first.revision)
        assert late.said.startswith("another change came between: the policy stands at revision")
        assert (await policies.read(client)).policy == TWICE


async def test_two_who_change_different_fields_at_once_both_have_their_way(broker: Broker) -> None:
    async with coordinator(broker, settings=STEADY) as leader, operator(broker) as client:
        await answering(leader, client)
        reads = 0

        def strategy(values: dict[str, Any]) -> dict[str, Any]:
            nonlocal reads
            reads += 1
            return values | {"strategy": "spread"}

        real = client.ask

        async def interrupted(verb: str, query: Any, reply: Any) -> Any:
            if verb == "policy-set" and reads == 1:
                await set_policy_directly(broker)
            return await real(verb, query, reply)

        client.ask = interrupted  # type: ignore[method-assign]
        changed = await policies.change(client, strategy)
        assert changed.after == TWICE | {"strategy": "spread"}
        assert reads == 2


async def set_policy_directly(broker: Broker) -> None:
    async with operator(broker) as other:
        stands = await policies.read(other)
        assert (await set_policy(other, TWICE, stands.revision)).ok


async def test_a_whole_policy_is_not_set_over_a_change_that_came_between(broker: Broker) -> None:
    async with coordinator(broker, settings=STEADY) as leader, operator(broker) as client:
        await answering(leader, client)
        assert (await set_policy(client, TWICE)).ok
        with pytest.raises(PolicyConflict, match="another change came between"):
            await policies.change(client, lambda _: {}, whole=True, based_on=0)


@pytest.mark.parametrize(
    ("values", "where", "said"),
    [
        ({"owners": {"alice": {"weight": 0}}}, "owners.alice.weight", "must be a number from 0.01 to 1000"),
        ({"stratgy": "spread"}, "stratgy", "there is no such field"),
        ({"strategy": "ours"}, "strategy", "there is no strategy 'ours' on this coordinator; there are least-"),
    ],
)
async def test_what_is_wrong_with_a_policy_is_told_by_its_field(
    broker: Broker, values: dict[str, Any], where: str, said: str
) -> None:
    async with coordinator(broker, settings=STEADY) as leader, operator(broker) as client:
        await answering(leader, client)
        answer = await set_policy(client, values)
        assert (answer.ok, answer.where, answer.is_conflict) == (False, where, False)
        assert said in answer.said
        with pytest.raises(PolicyInvalid, match=where):
            await policies.change(client, lambda _: values)
        assert (await policies.read(client)).revision == 0


async def test_an_owner_sees_what_concerns_them_and_sets_nothing(broker: Broker) -> None:
    async with (
        coordinator(broker, settings=STEADY) as leader,
        operator(broker) as client,
        open_client(broker.url, broker.creds(Role.PRODUCER, "alice")) as alice,
    ):
        await answering(leader, client)
        owners = {"alice": {"weight": 2.0}, "bob": {"queued": 5}, "*": {"queued": 9}}
        assert (await set_policy(client, {"owners": owners})).ok
        assert set((await policies.read(alice)).policy["owners"]) == {"alice", "*"}
        with pytest.raises(Refused, match="only operators may set the policy"):
            await set_policy(alice, {})


async def test_a_damaged_policy_stops_nobody_and_is_told_of(broker: Broker) -> None:
    async with coordinator(broker, settings=STEADY) as leader, operator(broker) as client:
        term = await answering(leader, client)
        assert (await set_policy(client, TWICE)).ok
        revision = await put(broker, b"{damaged")
        await eventually(lambda: term.policies.revision == revision)
        assert term.policy.owner("alice").weight == 2
        shown = await policies.read(client)
        assert shown.is_unreadable
        assert shown.problem.startswith(f"revision {revision} can't be read, the one before it holds: not JSON")
        assert shown.policy == TWICE
        assert (await client.ask("stats", Steer(), StatsReply)).oddities == {"policy_unreadable": 1}


async def test_a_policy_of_a_newer_version_is_followed_not_changed_by_fields_but_may_be_replaced(
    broker: Broker,
) -> None:
    await put(broker, json.dumps({"strategy": "spread", "of_a_newer_version": 1}).encode())
    async with coordinator(broker, settings=STEADY) as leader, operator(broker) as client:
        term = await answering(leader, client)
        assert term.policy == Policy(strategy="spread")
        with pytest.raises(PolicyUnreadable, match=r"all is followed but of_a_newer_version; bring.*--file"):
            await policies.change(client, lambda values: values | {"strategy": "bin-pack"})
        await policies.change(client, lambda _: {"strategy": "bin-pack"}, whole=True)
        assert term.policy == Policy(strategy="bin-pack")
        assert not (await policies.read(client)).problem


async def test_a_policy_that_is_asked_for_too_late_is_not_set(broker: Broker) -> None:
    async with coordinator(broker, settings=STEADY) as leader, operator(broker) as client:
        term = await answering(leader, client)
        late = PolicySet(policy=TWICE, revision=0, deadline=term.now().replace(year=2001))
        with pytest.raises(Refused, match="too late"):
            await client.ask("policy-set", late, PolicySetReply)
        assert (await policies.read(client)).policy == {}


async def test_a_strategy_that_is_not_installed_here_is_told_of_and_the_rest_is_followed(broker: Broker) -> None:
    await put(broker, json.dumps(TWICE | {"strategy": "ours"}).encode())
    async with coordinator(broker, settings=STEADY) as leader, operator(broker) as client:
        term = await answering(leader, client)
        shown = await policies.read(client)
        assert shown.problem.startswith("strategy: there is no strategy 'ours' on this coordinator; there are least-")
        assert not shown.is_unreadable
        assert term.policy.owner("alice").weight == 2
        await policies.change(client, lambda values: values | {"strategy": "spread"})
        assert not (await policies.read(client)).problem
