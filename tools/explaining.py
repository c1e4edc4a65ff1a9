"""`explain`: why a task stands where it stands, and what keeps it waiting."""

from collections.abc import Iterable
from datetime import UTC, datetime

from rich.console import Console
from rich.markup import escape

from broker.cluster import Client
from schemas.control import ExplainQuery, ExplainReply, NodeVerdict, Placed
from schemas.lifecycle import FINISHED, Desired, State
from tools.looking import COLOURS, age, clock, print_json
from tools.tables import Cell, Column, print_table, printable

NODES = (
    Column("rank", right=True),
    Column("node"),
    Column("score", drop=2),
    Column("notes", may_cut=True, wraps=True, least=24),
)
WAITS = "it waits for "
PLACES = (
    Column("when"),
    Column("attempt", drop=2, right=True),
    Column("node"),
    Column("why", may_cut=True, wraps=True, least=24),
)


async def explain_one(client: Client, task: str, *, as_json: bool) -> None:
    """Raises Refused where there is no such task."""
    reply = await client.ask("explain", ExplainQuery(task), ExplainReply)
    if as_json:
        print_json(reply)
        return
    console = Console(highlight=False)
    console.soft_wrap = not console.is_terminal  # there sentences wrap between words
    name = f"  {escape(printable(reply.name))}" if reply.name else ""
    state = "paused" if is_paused(reply) else str(reply.state)
    console.print(f"{reply.task}  [{COLOURS[reply.state]}]{state}[/]{name}")
    for line in sentences(reply, datetime.now(UTC)):
        console.print(escape(printable(line)))
    if len(reply.placed) > 1:
        console.print("\nwhere it was placed", style="bold")
        print_table(PLACES, [_place(one) for one in reply.placed])
    if reply.nodes:
        console.print(f"\nnodes, as {escape(reply.strategy)} sees them now", style="bold")
        print_table(NODES, [_node(one, reply.node) for one in ordered(reply.nodes)])
    elif reply.state not in (*FINISHED, State.ENDING):
        console.print("no nodes have been heard")


def is_paused(reply: ExplainReply) -> bool:
    return reply.desired is Desired.PAUSE and reply.state not in (*FINISHED, State.ENDING)


def sentences(reply: ExplainReply, now: datetime) -> list[str]:
    """What is told above the table. Pure."""
    asks = [f"asks for: {', '.join(reply.asks_for)}"] if reply.asks_for else []
    if reply.state is State.QUEUED:
        return [*_waiting(reply, now), *asks]
    placed = [f"chosen as {reply.why}"] if reply.node and reply.why else []
    if reply.state in FINISHED:
        where = f" on {reply.node}" if reply.node else ", never placed"
        why = f": {reply.reason}" if reply.reason else ""
        return [f"{reply.state}{where}{why}", *placed, *asks]
    if reply.state is State.ENDING:
        return [f"ending: {reply.reason}", *asks]
    since = next((one for one in reversed(reply.placed) if one.node == reply.node), None)
    when = f" since {clock(since.time)} ({age((now - since.time).total_seconds())})" if since else ""
    return [f"{'runs' if reply.state is State.ACTIVE else 'is'} on {reply.node}{when}", *placed, *asks]


def _waiting(reply: ExplainReply, now: datetime) -> list[str]:
    lines = [what.removeprefix("it ") if what.startswith(WAITS) else f"waits: {what}" for what in reply.waits_for]
    lines = lines or ["waits for nothing: it is placed with the next look"]
    if reply.reason:
        lines.append(f"came back to the queue: {reply.reason}")
    queue = [f"priority {reply.priority:+d}"] if reply.priority else []
    if reply.ahead is not None and not is_paused(reply):
        goes = "goes" if reply.ahead == 1 else "go"
        queue.append(
            f"{reply.ahead:,} of {reply.owner}'s {goes} before it" if reply.ahead else f"{reply.owner}'s first"
        )
    if reply.submitted:
        queue.append(f"submitted {age((now - reply.submitted).total_seconds())} ago")
    return [*lines, ", ".join(queue)] if queue else lines


def ordered(nodes: Iterable[NodeVerdict]) -> list[NodeVerdict]:
    """Those that can have the task, best first; then the others, those that are there first. Pure."""

    def place(one: NodeVerdict) -> tuple[bool, int, bool, str]:
        return one.rank is None, one.rank or 0, not one.online, one.node

    return sorted(nodes, key=place)


def _node(one: NodeVerdict, here: str) -> tuple[Cell, ...]:
    style = "dim" if one.excluded or one.rank is None else "green"
    told = "; ".join(filter(None, ("it is here" if one.node == here else "", one.excluded, one.note)))
    score = ", ".join("-" if part is None else part if isinstance(part, str) else f"{part:g}" for part in one.score)
    return (
        Cell(str(one.rank) if one.rank is not None else "", style),
        Cell(one.node, style),
        Cell(score, style),
        Cell(told, "dim" if style == "dim" else ""),
    )


def _place(one: Placed) -> tuple[Cell, ...]:
    when = one.time.astimezone().strftime("%d %b %H:%M:%S")
    return Cell(when, "dim"), Cell(str(one.attempt)), Cell(one.node), Cell(one.why)
