"""The drill's producer: submits its requests over the length of the storm, some of them twice."""

import random
import time
from collections.abc import Mapping, Sequence

import anyio

from broker.cluster import Client, Prepared
from broker.errors import BrokerError
from broker.publisher import publishing
from tools.drill.story import Story
from tools.drill.wares import Ware, request

REPEATED_SHARE = 0.05
"""Of the requests so many are submitted a second time, a moment later."""
REPEATED_AFTER = 10
"""… with so many others between."""
SPREAD = 0.9
"""The last request goes out after this part of the storm, and is under way when the last fault comes."""


class Producer:
    """What was submitted, and what the broker took of it."""

    def __init__(self, client: Client, story: Story, wares: Sequence[Ware], origin: str) -> None:
        self.accepted: dict[str, Ware] = {}
        """By task: the broker acknowledged them."""
        self._story = story
        self._client = client
        self._by_task: dict[str, Ware] = {}
        self._order = self._with_repeats(wares, origin)

    def __repr__(self) -> str:
        return f"<Producer {len(self.accepted)} of {len(self._by_task)} accepted>"

    @property
    def refused(self) -> Mapping[str, Ware]:
        """What the broker is not known to have taken."""
        return {task: ware for task, ware in self._by_task.items() if task not in self.accepted}

    def _with_repeats(self, wares: Sequence[Ware], origin: str) -> list[Prepared]:
        dice = random.Random(f"repeats {self._story.seed}")  # noqa: S311 - a game, no secret
        order: list[Prepared] = []
        again: list[tuple[int, Prepared]] = []
        for number, ware in enumerate(wares, 1):
            one = self._client.prepare(request(self._story.seed, number, ware, origin))
            self._by_task[one.task] = ware
            order.append(one)
            if dice.random() < REPEATED_SHARE:
                again.append((number + REPEATED_AFTER, one))
        for place, one in reversed(again):
            order.insert(place, one)
        self._story.repeated = len(again)
        return order

    async def submit(self) -> None:
        """Submit all, evenly over the storm, and return when the broker has them. Raises Unanswered."""
        story = self._story
        async with publishing(self._client.connection, stored=self._stored, refused=self._refused) as publisher:
            pause_s = story.seconds * SPREAD / len(self._order)
            for number, one in enumerate(self._order):
                await anyio.sleep(max(0.0, story.began_at + number * pause_s - time.time()))
                await publisher.put(one.task, one.subject, one.body)
                story.submitted += 1
            await publisher.settle()

    def _stored(self, task: str) -> None:
        self.accepted[task] = self._by_task[task]
        self._story.accepted = len(self.accepted)

    def _refused(self, task: str, error: BrokerError) -> None:
        """It stays out of what was accepted, and the books say so."""
