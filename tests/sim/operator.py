"""Somebody who decides about nodes at run time, through the control verbs, and in the end lets them all work again."""

import random
from datetime import UTC, datetime, timedelta

import anyio

from broker.connection import Connection
from broker.errors import BrokerError
from schemas import codec
from schemas import subjects as s
from schemas.orders import NodeChange, NodeOrder, OrderReply
from tests.sim.config import Config

VERBS = ("cordon", "cordon", "uncordon", "uncordon", "drain", "drain now", "slots", "tags")
SLOTS_MAX = 4
ASK_TIMEOUT_S = 3.0


class Operator:
    """Orders at random moments."""

    def __init__(self, connection: Connection, dice: random.Random, nodes: list[str]) -> None:
        self._connection = connection
        self._dice = dice
        self._nodes = nodes
        self._to_open: list[str] = []

    @property
    def is_all_open(self) -> bool:
        """Nothing is left of the orders that could keep a task waiting."""
        return not self._to_open

    async def decide(self, config: Config) -> None:
        """As many orders as the config says, at moments of its time."""
        self._to_open = list(self._nodes)
        began = anyio.current_time()
        for after_s in sorted(self._dice.uniform(0.0, config.seconds) for _ in range(config.orders)):
            await anyio.sleep(max(0.0, began + after_s - anyio.current_time()))
            await self._ask_one(self._dice.choice(VERBS), self._dice.choice(self._nodes), config)

    async def _ask_one(self, verb: str, node: str, config: Config) -> None:
        match verb:
            case "slots":
                change = NodeChange(nodes=(node,), slots=self._dice.randint(1, SLOTS_MAX), deadline=self._deadline())
                await self._ask("configure", change)
            case "tags":
                add = self._dice.choice(config.tags)
                remove = tuple(tag for tags in config.tags for tag in tags if tag not in add)
                change = NodeChange(nodes=(node,), add_tags=add, remove_tags=remove, deadline=self._deadline())
                await self._ask("configure", change)
            case "drain now":
                await self._ask("drain", NodeOrder(nodes=(node,), now=True, deadline=self._deadline()))
            case _:
                await self._ask(verb, NodeOrder(nodes=(node,), deadline=self._deadline()))

    async def open_all(self) -> None:
        """Let nodes work again as their own settings say; those for which that failed are left for the next time."""
        for node in tuple(self._to_open):
            order = NodeOrder(nodes=(node,), force=True, deadline=self._deadline())
            own = NodeChange(nodes=(node,), own_slots=True, own_tags=True, force=True, deadline=self._deadline())
            if await self._ask("uncordon", order) and await self._ask("configure", own):
                self._to_open.remove(node)

    def _deadline(self) -> datetime:
        return datetime.fromtimestamp(self._connection.clock.now(), UTC) + timedelta(seconds=5)

    async def _ask(self, verb: str, order: NodeOrder) -> bool:
        """Whether it was carried out for all its nodes."""
        try:
            body = codec.encode(order)
            reply = await self._connection.request(s.control("admin", verb), body, timeout_s=ASK_TIMEOUT_S)
            return all(result.ok for result in codec.decode(reply.data, OrderReply).results)
        except (BrokerError, ValueError):  # not answered, or refused as a whole
            return False
