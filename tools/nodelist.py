"""`nodes`: how each node of the cluster stands."""

from typing import Any

import msgspec
from msgspec import Struct
from rich.console import Console

from broker.cluster import Client
from schemas.control import NodesReply, NodeStanding, NodeView, Steer, UnheardNode
from schemas.heartbeat import Heartbeat
from schemas.sizes import format_size
from tools.looking import PARTIALS_TOLD_FROM_BYTES, age, print_json
from tools.tables import Cell, Column, print_table

NODES = (
    Column("node"),
    Column("status"),
    Column("running", right=True),
    Column("speed", drop=2, right=True),
    Column("disk free", drop=3, right=True),
    Column("cpu", drop=4, right=True),
    Column("memory", drop=5, right=True),
    Column("placed", drop=6, right=True),
    Column("version", drop=8),
    Column("can", drop=7, may_cut=True),
    Column("tags", may_cut=True),
    Column("notes", drop=1, may_cut=True, least=24),
)

COLOURS = {
    NodeStanding.ONLINE: "green",
    NodeStanding.DRAINED: "cyan",
    NodeStanding.OFFLINE: "red",
    NodeStanding.GONE: "red",
    NodeStanding.UNHEARD: "dim",
}
"""Of what is not here: yellow."""


async def list_nodes(client: Client, *, as_json: bool) -> None:
    reply = await client.ask("nodes", Steer(), NodesReply)
    if as_json:
        for node in (*reply.nodes, *reply.unheard):
            print_json(every_field(node))
    elif reply.nodes or reply.unheard:
        print_table(NODES, [*map(_heard, reply.nodes), *map(_unheard, reply.unheard)])
    else:
        Console().print("no nodes have been heard")


def standing_of(view: NodeView) -> NodeStanding:
    """How a node stands; a coordinator of an older version leaves it to us."""
    if view.standing is not None:
        return view.standing
    if not view.online:
        return NodeStanding.GONE if view.heartbeat.leaving else NodeStanding.OFFLINE
    return NodeStanding.TROUBLE if view.heartbeat.trouble else NodeStanding.ONLINE


def _speed(beat: Heartbeat) -> str:
    """What comes, and what may."""
    limits = [one for one in (beat.limit_bytes_per_s, beat.own_limit_bytes_per_s) if one is not None]
    limit = f" of {format_size(min(limits))}" if limits else ""
    return f"{format_size(beat.bytes_per_s)}{limit}/s"


def _heard(view: NodeView) -> tuple[Cell, ...]:
    beat, wishes, standing = view.heartbeat, view.wishes, standing_of(view)
    tags = beat.tags if wishes.tags is None else wishes.tags
    cells = (
        Cell(view.node, "" if view.online else "dim"),
        Cell(_status(view, standing), COLOURS.get(standing, "yellow")),
        Cell(f"{beat.running}/{beat.slots if wishes.slots is None else wishes.slots}"),
        Cell(_speed(beat)),
        Cell(format_size(beat.disk_free_bytes)),
        Cell(f"{beat.cpu_percent:.0f} %"),
        Cell(format_size(beat.memory_bytes)),
        Cell(str(view.assigned)),
        Cell(beat.version),
        Cell(",".join(beat.capabilities)),
        Cell(",".join(tags)),
        Cell(_notes(view), "yellow" if beat.trouble or view.set_aside else "dim"),
    )
    # What a node said last is no news any more once it is silent.
    return cells if view.online else (*cells[:2], *(Cell(cell.text, "dim") for cell in cells[2:]))


def _status(view: NodeView, standing: NodeStanding) -> str:
    match standing:
        case NodeStanding.OFFLINE | NodeStanding.GONE:
            return f"{standing} {age(view.heard_ago_s)}"
        case NodeStanding.DRAINING:
            return f"draining, {view.assigned} left"
        case NodeStanding.ASIDE:
            return f"set aside {age(view.set_aside_s)}"
        case NodeStanding.CORDONED if view.wishes.paused:
            return "paused"
        case _:
            return str(standing)


def _notes(view: NodeView) -> str:
    beat, wishes = view.heartbeat, view.wishes
    # Where something else is more important to say, what is decided is not to be forgotten.
    closed = wishes.closed
    is_said = standing_of(view) in (NodeStanding.DRAINING, NodeStanding.DRAINED, NodeStanding.CORDONED)
    tried = "given one task at a time: " if view.set_aside and not view.set_aside_s else ""
    left = beat.partial_bytes >= PARTIALS_TOLD_FROM_BYTES
    partials = f"{format_size(beat.partial_bytes)} in partial files without a task" if left else ""
    limits = [
        f"{way} limited to {format_size(limit)}/s"
        for way, limit in (("downloads", wishes.download_limit), ("uploads", wishes.upload_limit))
        if limit is not None
    ]
    told = (wishes.reason, "" if is_said else closed, beat.trouble, tried + view.set_aside, partials, *limits)
    return "; ".join(filter(None, told))


def _unheard(node: UnheardNode) -> tuple[Cell, ...]:
    wishes = node.wishes
    closed = wishes.closed
    told = "; ".join(filter(None, (closed, wishes.reason)))
    blank = {column.name: "" for column in NODES}
    slots, tags = f"-/{wishes.slots}" if wishes.slots else "", ",".join(wishes.tags or ())
    known = {"node": node.node, "status": str(node.standing), "running": slots, "tags": tags, "notes": told}
    known["placed"] = str(node.assigned or "")
    return tuple(Cell(text, "dim") for text in (blank | known).values())


def every_field(value: Any) -> Any:
    """A Struct as an object with all its fields, those included that are left out on the wire."""
    if isinstance(value, Struct):
        return {field: every_field(getattr(value, field)) for field in value.__struct_fields__}
    if isinstance(value, tuple):
        return [every_field(item) for item in value]
    return msgspec.to_builtins(value)
