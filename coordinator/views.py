"""Rows and heartbeats as the control verbs show them: put together, without secrets."""

import anyio
from msgspec.structs import replace

from coordinator.aside import FAILS
from coordinator.fleet import Fleet
from coordinator.term import Term
from schemas.control import NodeStanding, NodeView, UnheardNode
from schemas.heartbeat import ALL, RUNNING_PHASES, Heartbeat, Held
from schemas.lifecycle import State
from schemas.nodes import NodeWishes
from schemas.task import StoredRow
from schemas.view import TaskView, view_of


class Holdings:
    """What each node last said of each attempt it holds: indexed once for each heartbeat."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._by_node: dict[str, tuple[Heartbeat, dict[str, Held]]] = {}

    def __repr__(self) -> str:
        return f"<Holdings of {len(self._by_node)} nodes>"

    def of(self, stored: StoredRow) -> Held | None:
        """What the row's node said of this very attempt."""
        place = stored.row.place
        seen = self._fleet.get(place)
        if seen is None:
            self._by_node.pop(place, None)
            return None
        beat, index = self._by_node.get(place, (None, {}))
        if beat is not seen.heartbeat:
            index = {held.task: held for held in seen.heartbeat.held}
            self._by_node[place] = (seen.heartbeat, index)
        held = index.get(stored.row.task)
        return held if held is not None and held.attempt == stored.row.attempt else None


def state_of(stored: StoredRow, held: Held | None) -> State:
    """A row's state with what its node said last: `active` is known from heartbeats, it needs no write."""
    row = stored.row
    if row.state is State.ASSIGNED and held is not None and held.phase in RUNNING_PHASES:
        return State.ACTIVE
    return row.state


def live(term: Term, stored: StoredRow, held: Held | None, *, in_full: bool = True) -> TaskView:
    """A task that has not ended; `held` is what its node said of it."""
    due_in_s = term.desk.due_in_s(stored) if stored.row.state is State.QUEUED else 0.0
    phase = held.phase if held else ""
    return view_of(stored.row, state_of(stored, held), phase=phase, due_in_s=round(due_in_s, 1), in_full=in_full)


def nodes(term: Term, *, with_tasks: bool) -> tuple[NodeView, ...]:
    """The fleet as heard; what tasks a node holds, has failed and from where is for admins."""
    now, lost_after_s = anyio.current_time(), term.settings.node_lost_after_s
    clock = term.connection.clock.now()
    found = []
    for seen in term.fleet:
        beat = seen.heartbeat
        online = term.fleet.is_online(beat.node, now, lost_after_s)
        assigned, wishes = term.book.count_at(beat.node), term.decisions.of(beat.node)
        against = term.conduct.against(beat.node)
        aside_s = max(0.0, against.until - clock) if against is not None else 0.0
        found.append(
            NodeView(
                node=beat.node,
                online=online,
                heard_ago_s=round(now - seen.heard_at, 1),
                assigned=assigned,
                heartbeat=beat if with_tasks else for_owners(beat),
                standing=standing_of(beat, wishes, online=online, assigned=assigned, is_aside=aside_s > 0),
                wishes=wishes,
                set_aside=(against.why if with_tasks else FAILS) if against is not None else "",
                set_aside_s=round(aside_s, 1),
            )
        )
    return tuple(found)


def for_owners(beat: Heartbeat) -> Heartbeat:
    """Without the tasks, and the origins, of whoever they are."""
    return replace(beat, held=(), origins={}, held_back=tuple(share for share in beat.held_back if share == ALL))


def unheard(term: Term) -> tuple[UnheardNode, ...]:
    """Nodes about which something is decided and that were not heard, or were forgotten since."""
    decided = sorted(term.decisions.all().items())
    return tuple(
        UnheardNode(node=node, wishes=wishes, assigned=term.book.count_at(node))
        for node, wishes in decided
        if term.fleet.get(node) is None
    )


def standing_of(beat: Heartbeat, wishes: NodeWishes, *, online: bool, assigned: int, is_aside: bool) -> NodeStanding:
    """How a node stands: first whether it is there, then what was decided, then what is wrong with it."""
    if not online:
        return NodeStanding.GONE if beat.leaving else NodeStanding.OFFLINE
    if wishes.draining:
        return NodeStanding.DRAINING if assigned or beat.held else NodeStanding.DRAINED
    if wishes.is_closed:
        return NodeStanding.CORDONED
    if beat.trouble:
        return NodeStanding.TROUBLE
    return NodeStanding.ASIDE if is_aside else NodeStanding.ONLINE
