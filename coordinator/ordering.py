"""The verbs that decide about nodes: cordon, uncordon, drain, configure. Each is a checked write of `nodes.<id>`."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeAlias, TypeVar

import anyio
from msgspec import Struct
from msgspec.structs import replace

from broker import keys
from broker.errors import BrokerError, Deposed
from broker.standing import Found
from coordinator.decisions import ALL_NODES, NOTHING, wishes_of
from coordinator.term import Term
from schemas import codec
from schemas import subjects as s
from schemas.control import ErrorReply
from schemas.errors import RequestInvalid
from schemas.ids import ADMIN_CALLER
from schemas.nodes import TAGS_MAX, NodeWishes
from schemas.orders import NODES_MAX, NodeChange, NodeOrder, Ordered, OrderReply
from schemas.sizes import format_size

T = TypeVar("T", bound=NodeOrder)

IN_FLIGHT = 16
TRIES = 5
"""Each is another operator's order that came in between."""

Change: TypeAlias = Callable[[NodeWishes], NodeWishes | str]
"""What an order makes of what was wished: new wishes, or why that can't be."""


class Ordering:
    """Carries out orders about the nodes of one term."""

    def __init__(self, term: Term) -> None:
        self._term = term

    def verbs(self) -> dict[str, Callable[[str, bytes], Awaitable[Struct]]]:
        """Each takes the caller and the body of a request; owners are refused. They raise msgspec.MsgspecError."""

        async def order(caller: str, body: bytes, *, kind: type[T], how: Callable[[T], Awaitable[Struct]]) -> Struct:
            if caller != ADMIN_CALLER:
                return ErrorReply(f"only an operator decides about nodes, not the owner {caller!r}: use operator.creds")
            return await how(codec.decode(body, kind))

        return {
            "cordon": partial(order, kind=NodeOrder, how=self.cordon),
            "uncordon": partial(order, kind=NodeOrder, how=self.uncordon),
            "drain": partial(order, kind=NodeOrder, how=self.drain),
            "configure": partial(order, kind=NodeChange, how=self.configure),
        }

    async def cordon(self, asked: NodeOrder) -> OrderReply | ErrorReply:
        return await self._all(asked, lambda _node: partial(cordoned, reason=asked.reason))

    async def uncordon(self, asked: NodeOrder) -> OrderReply | ErrorReply:
        """Also takes in a node that is set aside."""
        reply = await self._all(asked, lambda _node: uncordoned)
        if isinstance(reply, OrderReply):
            for result in reply.results:
                if result.ok:
                    self._pardon(result.node)
        return reply

    async def drain(self, asked: NodeOrder) -> OrderReply | ErrorReply:
        return await self._all(asked, lambda _node: partial(drained, now=asked.now, reason=asked.reason))

    async def configure(self, asked: NodeChange) -> OrderReply | ErrorReply:
        try:
            asked.check()
        except RequestInvalid as error:
            return ErrorReply(str(error))
        if asked.is_empty:
            return ErrorReply("nothing to set: name slots, tags, limits, or whether it is paused")
        return await self._all(asked, lambda node: partial(configured, asked=asked, own_tags=self._own_tags(node)))

    def _pardon(self, node: str) -> None:
        self._term.conduct.pardon(node, self._term.connection.clock.now())
        self._term.desk.set_aside(node, 0.0, "")

    def _own_tags(self, node: str) -> tuple[str, ...] | None:
        """The tags of its own settings; None for a node that was never heard."""
        seen = self._term.fleet.get(node)
        if seen is None:
            return None
        beat = seen.heartbeat
        return beat.tags if beat.own_tags is None else beat.own_tags

    async def _all(self, asked: NodeOrder, change: Callable[[str], Change]) -> OrderReply | ErrorReply:
        nodes = list(dict.fromkeys(asked.nodes))
        if asked.with_tag is not None or any(self._term.fleet.get(node) is None for node in nodes):
            await self._term.until_all_heard()  # a leader of a moment ago knows only some of them
        if asked.with_tag is not None:
            nodes += [node for node in self._with_tag(asked.with_tag) if node not in nodes]
        if not nodes:
            lacks = (
                f"no node that was heard has the tag {asked.with_tag!r}" if asked.with_tag else "name nodes, or a tag"
            )
            return ErrorReply(lacks)
        if len(nodes) > NODES_MAX:
            return ErrorReply(
                f"{len(nodes)} nodes have the tag {asked.with_tag!r}, an order takes {NODES_MAX}: name them"
            )
        results: dict[str, Ordered] = {}
        limiter = anyio.CapacityLimiter(IN_FLIGHT)

        async def one(node: str) -> None:
            async with limiter:
                try:
                    results[node] = await self._one(node, asked, change(node))
                except BrokerError as error:  # of this node alone: the others may fare better
                    results[node] = Ordered(node, False, f"the broker is in trouble, ask again: {error}", again=True)

        async with anyio.create_task_group() as tasks:
            for node in nodes:
                tasks.start_soon(one, node)
        return OrderReply(tuple(results[node] for node in nodes))

    def _with_tag(self, tag: str) -> list[str]:
        found = []
        for seen in self._term.fleet:
            wished = self._term.decisions.of(seen.heartbeat.node).tags
            if tag in (seen.heartbeat.tags if wished is None else wished):
                found.append(seen.heartbeat.node)
        return found

    async def _one(self, node: str, asked: NodeOrder, change: Change) -> Ordered:
        term, key = self._term, s.node_settings_key(node)
        if term.fleet.get(node) is None and node not in term.decisions and not asked.force:
            said = "no such node was heard; if it is to come yet, say so with --force"
            return Ordered(node, False, said, is_unknown=True)
        for _ in range(TRIES):
            found = await keys.read(term.connection, key)
            # Checked after the value is read: a leader that slept must not carry out yesterday's order.
            if asked.deadline is not None and term.now() > asked.deadline:
                return Ordered(node, False, "too late: the order's own deadline has passed", again=True)
            if not term.holds():
                raise Deposed("the lease has run out")
            wishes = wishes_of(node, found)
            changed = change(wishes)
            if isinstance(changed, str):
                return Ordered(node, False, changed)
            if changed == wishes and (found is not None or changed == NOTHING):
                return Ordered(node, True, f"{told(changed)} already{self._unheard(node)}")
            body = b"" if changed == NOTHING else codec.encode(changed)
            revision = await keys.write(term.connection, key, body, expected=found.revision if found else 0)
            if revision is not None:
                term.decisions.take({key: Found(body, revision) if body else None})
                return Ordered(node, True, f"{told(changed)}{self._unheard(node)}")
        return Ordered(node, False, "others keep deciding about it: look, then ask again", again=True)

    def _unheard(self, node: str) -> str:
        return "; it is not heard" if self._term.fleet.get(node) is None else ""


async def read(term: Term) -> None:
    """At takeover, before anything is placed: all that is decided. Raises Unanswered, ApiRefused."""
    term.decisions.take(await keys.read_all(term.connection, ALL_NODES))


async def follow(term: Term) -> None:
    """Keep what is decided in step for the length of the term."""
    await keys.follow(term.connection, (ALL_NODES,), term.decisions.take)


def cordoned(wishes: NodeWishes, reason: str) -> NodeWishes:
    return replace(wishes, cordoned=True, draining=False, now=False, reason=reason or wishes.reason)


def uncordoned(wishes: NodeWishes) -> NodeWishes:
    return replace(wishes, cordoned=False, draining=False, paused=False, now=False, reason="")


def drained(wishes: NodeWishes, *, now: bool, reason: str) -> NodeWishes:
    return replace(wishes, cordoned=False, draining=True, now=now, reason=reason or wishes.reason)


def configured(wishes: NodeWishes, asked: NodeChange, own_tags: tuple[str, ...] | None) -> NodeWishes | str:
    """The wishes with what is asked; `own_tags`: of the node's own settings, None where they are not known."""
    slots = None if asked.own_slots else asked.slots if asked.slots is not None else wishes.slots
    tags = None if asked.own_tags else wishes.tags
    if asked.add_tags or asked.remove_tags:
        base = own_tags if tags is None else tags
        if base is None:
            return "it was never heard, so its own tags are not known: none can be added to them or removed"
        if missing := [tag for tag in asked.remove_tags if tag not in base]:
            return f"it does not have the tag {', '.join(missing)}"
        kept = [tag for tag in base if tag not in asked.remove_tags]
        tags = tuple(dict.fromkeys((*kept, *asked.add_tags)))
        if len(tags) > TAGS_MAX:
            return f"it would have {len(tags)} tags, {TAGS_MAX} are the most"
        if tags == own_tags:
            tags = None
    return replace(
        wishes,
        slots=slots,
        tags=tags,
        paused=wishes.paused if asked.paused is None else asked.paused,
        download_limit=_limit(wishes.download_limit, asked.download_limit),
        upload_limit=_limit(wishes.upload_limit, asked.upload_limit),
    )


def _limit(stands: int | None, asked: int | None) -> int | None:
    return stands if asked is None else asked or None


def told(wishes: NodeWishes) -> str:
    """What is wished of a node, in words."""
    now = " at once" if wishes.now else ""
    closed = [f"draining{now}" if wishes.draining else "cordoned" if wishes.cordoned else ""]
    closed += ["paused" if wishes.paused else ""]
    slots = "" if wishes.slots is None else "1 slot" if wishes.slots == 1 else f"{wishes.slots} slots"
    tags = "" if wishes.tags is None else f"tags {','.join(wishes.tags)}" if wishes.tags else "no tags"
    limits = [
        f"{way} at {format_size(limit)}/s"
        for way, limit in (("downloads", wishes.download_limit), ("uploads", wishes.upload_limit))
        if limit is not None
    ]
    return ", ".join(filter(None, (*(closed if any(closed) else ["takes tasks"]), slots, tags, *limits)))
