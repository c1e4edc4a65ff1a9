"""An owner's limit on waiting tasks: what is beyond it is refused, exactly, with its reason; nobody else notices."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from msgspec.structs import replace

from broker import policyclient as policies
from broker.cluster import Client, open_client
from broker.roles import Role
from broker.standing import Found
from coordinator import claim
from coordinator.term import Term
from schemas.control import PolicySet, PolicySetReply, Steer, SteerReply
from schemas.event import QUEUE_LIMIT, Rejected
from schemas.ids import task_id
from tests.examples import a_delivery
from tests.harness.broker import STEADY, Broker
from tests.harness.leader import bare_term, coordinator
from tests.harness.producing import Producer, producer
from tests.harness.recorder import Recorder, recording
from tests.harness.waiting import eventually
from tests.integration.control.steps import answering

REASON = (
    "ann has 3 tasks waiting already, and the policy allows no more: submit it again, or `downdraft retry` it, when "
    "fewer wait; an operator may raise the limit: downdraft policy set --owner ann queued=…"
)


class Cluster:
    """A leader that allows ann three waiting tasks, and no node that would take any."""

    def __init__(self, term: Term, client: Client, ann: Producer, seen: Recorder) -> None:
        self.term, self.client, self.ann, self.seen = term, client, ann, seen

    async def fill(self) -> list[str]:
        tasks = [await self.ann.submit() for _ in range(3)]
        await eventually(lambda: self.term.owners.queued("ann") == 3)
        return list(tasks)

    async def refusal(self, task: str) -> Rejected:
        event = await self.seen.outcome(task)
        assert isinstance(event, Rejected)
        return event

    async def cancel(self, task: str) -> None:
        [result] = (await self.client.steer("cancel", (task,))).results
        assert result.ok
        await self.seen.outcome(task)


async def allow(client: Client, queued: int) -> None:
    stands = await policies.read(client)
    asked = PolicySet(policy={"owners": {"ann": {"queued": queued}}}, revision=stands.revision)
    assert (await client.ask("policy-set", asked, PolicySetReply)).ok


@asynccontextmanager
async def limited(broker: Broker) -> AsyncIterator[Cluster]:
    async with (
        recording(broker) as seen,
        coordinator(broker, settings=STEADY) as leader,
        open_client(broker.url, broker.creds(Role.OPERATOR)) as client,
        producer(broker, "ann") as ann,
    ):
        term = await answering(leader, client)
        await allow(client, 3)
        yield Cluster(term, client, ann, seen)


async def test_a_request_beyond_the_limit_is_refused_with_owner_limit_and_remedy(broker: Broker) -> None:
    async with limited(broker) as cluster, producer(broker, "bob") as bob:
        await cluster.fill()
        refused = await cluster.refusal(await cluster.ann.submit())
        assert (refused.reason, refused.where) == (REASON, QUEUE_LIMIT)
        await bob.submit()
        await eventually(lambda: cluster.term.owners.queued("bob") == 1)
        assert cluster.term.owners.queued("ann") == 3


async def test_of_many_at_once_as_many_are_taken_as_the_limit_allows(broker: Broker) -> None:
    async with limited(broker) as cluster:
        await allow(cluster.client, 40)
        async with anyio.create_task_group() as tasks:
            for _ in range(150):
                tasks.start_soon(cluster.ann.submit)
        await eventually(lambda: len(cluster.seen.outcomes()) == 110, within_s=30)
        assert cluster.term.owners.queued("ann") == 40
        assert repr(cluster.term.owners) == "<Owners of 40 tasks, 0 coming>"


async def test_where_a_task_stopped_waiting_the_next_is_taken(broker: Broker) -> None:
    async with limited(broker) as cluster:
        first, *_ = await cluster.fill()
        await cluster.cancel(first)
        await cluster.ann.submit()
        await eventually(lambda: cluster.term.owners.queued("ann") == 3)
        assert len(cluster.seen.outcomes()) == 1


async def test_a_repeat_of_what_waits_already_is_not_refused(broker: Broker) -> None:
    async with limited(broker) as cluster:
        first, *_ = await cluster.fill()
        assert await cluster.ann.submit(id="job-1") == first
        last = await cluster.refusal(await cluster.ann.submit(id="last"))
        assert [event.task for event in cluster.seen.outcomes()] == [last.task]
        assert first in cluster.term.book


async def test_an_id_that_was_refused_may_be_asked_for_again_when_there_is_room(broker: Broker) -> None:
    async with limited(broker) as cluster:
        first, *_ = await cluster.fill()
        again = task_id("ann", "id:again", 1)
        refused = await cluster.refusal(await cluster.ann.submit(id="again"))
        await cluster.ann.submit(id="again")
        await cluster.cancel(first)
        await cluster.ann.submit(id="again")
        await eventually(lambda: again in cluster.term.book)
        await cluster.ann.submit(id="again")
        assert (await cluster.refusal(await cluster.ann.submit(id="last"))).task == task_id("ann", "id:last")
        assert cluster.seen.kinds(refused.task) == ["finished.rejected"]
        assert cluster.seen.kinds(again) == ["queued"]


async def test_a_refused_task_can_be_retried_when_there_is_room_and_not_before(broker: Broker) -> None:
    async with limited(broker) as cluster:
        first, *_ = await cluster.fill()
        refused = await cluster.refusal(await cluster.ann.submit())
        [result] = (await cluster.client.ask("retry", Steer(ids=(refused.task,)), SteerReply)).results
        assert (result.ok, result.said) == (False, REASON)
        await cluster.cancel(first)
        [result] = (await cluster.client.ask("retry", Steer(ids=(refused.task,)), SteerReply)).results
        assert result.ok
        assert result.new_task in cluster.term.book


async def test_the_next_leader_counts_what_it_finds(broker: Broker) -> None:
    async with limited(broker) as cluster:
        await cluster.fill()
    async with (
        recording(broker) as seen,
        coordinator(broker, "c2", settings=STEADY) as leader,
        open_client(broker.url, broker.creds(Role.OPERATOR)) as client,
        producer(broker, "ann") as ann,
    ):
        await answering(leader, client)
        refused = await seen.outcome(await ann.submit(id="one-more"))
        assert isinstance(refused, Rejected)
        assert refused.reason == REASON


async def test_a_refusal_whose_ack_was_lost_stays_one_even_where_there_is_room_by_then(broker: Broker) -> None:
    delivery = a_delivery(b'{"id":"twice","uris":["http://origin.invalid/f"]}', owner="ann")
    async with recording(broker) as seen, bare_term(broker) as term:
        term.policies.take(Found(b'{"owners":{"ann":{"queued":0}}}', 1))
        assert await claim.claim(term, [delivery]) == [None]
        refused = await seen.outcome(task_id("ann", "id:twice"))
        assert isinstance(refused, Rejected)
        assert refused.reason.startswith("ann has none waiting, and the policy allows no more")
        term.policies.take(None)
        assert await claim.claim(term, [replace(delivery, delivered=2)]) == [None]
        assert len(term.book) == 0
