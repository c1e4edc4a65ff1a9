"""What these tests begin with."""

from broker.cluster import Client, Refused
from coordinator.term import Term
from schemas.control import ListQuery, ListReply
from tests.harness.leader import RunningCoordinator
from tests.harness.waiting import eventually


async def answering(leader: RunningCoordinator, client: Client) -> Term:
    """Wait until this coordinator leads and answers."""

    async def answers() -> bool:
        try:
            await client.ask("list", ListQuery(limit=1), ListReply)
        except Refused:
            return False
        return leader.leads

    await eventually(answers, within_s=20)
    return leader.term
