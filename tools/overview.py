"""`nodes` and `stats`: the cluster as a whole."""

from typing import Any

import msgspec
from msgspec import Struct
from rich.console import Console

from schemas import subjects as s
from schemas.control import NodesReply, NodeView, StatsReply, Steer, StoreUse
from schemas.heartbeat import Heartbeat
from schemas.lifecycle import Outcome, State
from schemas.oddity import WORDS, Oddity
from schemas.sizes import format_size
from tools.client import Client
from tools.looking import COLOURS, age, print_json
from tools.tables import Cell, Column, print_table

NODES = (
    Column("node"),
    Column("status"),
    Column("running", right=True),
    Column("speed", drop=1, right=True),
    Column("disk free", drop=2, right=True),
    Column("cpu", drop=4, right=True),
    Column("memory", drop=5, right=True),
    Column("placed", drop=6, right=True),
    Column("version", drop=8),
    Column("can", drop=7, may_cut=True),
    Column("tags", drop=3, may_cut=True),
    Column("notes", may_cut=True),
)

STATS = (Column("what"), Column("count", right=True), Column("note", may_cut=True))
STORE_SHOWN_SHARE = 0.8
"""A stream this full gets a line; at this share of TASKS claiming stops."""
COOLING_SHOWN = 3
STORES = {
    s.REQUESTS_STREAM: "when full, producers are refused",
    s.TASKS_STREAM: "nothing is claimed until there is room",
    s.EVENTS_STREAM: "when full, no task can end",
    s.BUCKET_STREAM: "the broker's whole store is full: nothing can be written",
}
LATER = (State.ASSIGNED, State.ACTIVE, State.ENDING)


async def list_nodes(client: Client, *, as_json: bool) -> None:
    reply = await client.ask("nodes", Steer(), NodesReply)
    if as_json:
        for node in reply.nodes:
            print_json(every_field(node))
    elif reply.nodes:
        print_table(NODES, [_node(node) for node in reply.nodes])
    else:
        Console().print("no nodes have been heard")


def _node(node: NodeView) -> tuple[Cell, ...]:
    beat = node.heartbeat
    status = Cell("online", "green")
    if beat.leaving or beat.trouble:
        status = Cell("leaving" if beat.leaving else "no tasks", "yellow")
    if not node.online:
        gone = "gone" if beat.leaving else "offline"
        status = Cell(f"{gone} {age(node.heard_ago_s)}", "red")
    cells = (
        Cell(node.node, "" if node.online else "dim"),
        status,
        Cell(f"{beat.running}/{beat.slots}"),
        Cell(f"{format_size(beat.bytes_per_s)}/s"),
        Cell(format_size(beat.disk_free_bytes)),
        Cell(f"{beat.cpu_percent:.0f} %"),
        Cell(format_size(beat.memory_bytes)),
        Cell(str(node.assigned)),
        Cell(beat.version),
        Cell(",".join(beat.capabilities)),
        Cell(",".join(beat.tags)),
        Cell(_notes(beat), "yellow" if beat.trouble else "dim"),
    )
    # What a node said last is no news any more once it is silent.
    return cells if node.online else (*cells[:2], *(Cell(cell.text, "dim") for cell in cells[2:]))


def _notes(beat: Heartbeat) -> str:
    partials = f"{format_size(beat.partial_bytes)} in partial files without a task" if beat.partial_bytes else ""
    return "; ".join(filter(None, (beat.trouble, partials)))


async def show_stats(client: Client, *, as_json: bool) -> None:
    reply = await client.ask("stats", Steer(), StatsReply)
    if as_json:
        print_json(reply)
        return
    print_table(STATS, _stats(reply), head=False)


def _stats(reply: StatsReply) -> list[tuple[Cell, ...]]:
    oldest = f"the oldest for {age(reply.oldest_queued_s)}" if reply.oldest_queued_s is not None else ""
    window = f"in the last {age(reply.recent_s)}"
    return [
        (Cell("leader", "dim"), Cell(reply.leader), Cell(f"term {reply.epoch}", "dim")),
        _count("nodes online", reply.nodes_online, f"of {reply.nodes} heard", "green"),
        _count("running", reply.running, f"of {reply.slots} slots, {format_size(reply.bytes_per_s)}/s", "blue"),
        _count("unclaimed", reply.inbox, "requests in the inbox", "yellow"),
        _count("queued", reply.states.get("queued", 0), oldest, COLOURS[State.QUEUED]),
        *(_count(str(state), reply.states.get(str(state), 0), "", COLOURS[state]) for state in LATER),
        _count("paused", reply.paused, "of these", "yellow"),
        *(_count(str(end), reply.recent.get(str(end), 0), window, COLOURS[State(end)]) for end in Outcome),
        *_cooling(reply.cooling),
        *(_store(store) for store in reply.stores if store.is_refusing or store.share >= STORE_SHOWN_SHARE),
        *(
            _count("passed over", reply.oddities[kind], words, "yellow")
            for kind, words in WORDS.items()
            if reply.oddities.get(kind) and kind is not Oddity.REQUEST_REJECTED
        ),
    ]


def _cooling(cooling: dict[str, float]) -> list[tuple[Cell, ...]]:
    """Origins that asked to be left alone: those for longest by name."""
    if not cooling:
        return []
    longest = sorted(cooling.items(), key=lambda one: (-one[1], one[0]))
    named = ", ".join(f"{origin} for {age(left_s)} more" for origin, left_s in longest[:COOLING_SHOWN])
    return [_count("cooling", len(cooling), f"asked to be left alone: {named}", "yellow")]


def _store(store: StoreUse) -> tuple[Cell, ...]:
    """A store that is full, or nearly: what that means and where to learn what to do."""
    full = store.is_refusing or store.share >= 1
    share = f"{store.share:.0%}" if store.max_bytes > 0 else "full"
    of = f" of {format_size(store.max_bytes)}" if store.max_bytes > 0 else ""
    said = f"{format_size(store.used_bytes)}{of}: {STORES.get(store.stream, '')}; see `downdraft doctor`"
    return Cell(store.stream, "dim"), Cell(share, "red" if full else "yellow"), Cell(said, "dim")


def _count(name: str, count: int, note: str, colour: str) -> tuple[Cell, ...]:
    return Cell(name, "dim"), Cell(f"{count:,}", colour if count else "dim"), Cell(note, "dim")


def every_field(value: Any) -> Any:
    """A Struct as an object with all its fields, those included that are left out on the wire."""
    if isinstance(value, Struct):
        return {field: every_field(getattr(value, field)) for field in value.__struct_fields__}
    if isinstance(value, tuple):
        return [every_field(item) for item in value]
    return msgspec.to_builtins(value)
