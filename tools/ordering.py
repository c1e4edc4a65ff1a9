"""Deciding about nodes: `cordon`, `uncordon`, `drain` and `node-set`; waiting for drained ones to be empty."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext

import anyio
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from broker.cluster import Client, Refused
from schemas.control import NodesReply, NodeStanding, Steer
from schemas.orders import NodeOrder, Ordered
from tools.looking import print_json

LOOK_EVERY_S = 0.5
LINE_EVERY_S = 10.0
"""Without a terminal: a line says how many are left, so often at most."""
PATIENCE_S = 30.0
"""While it waits, a new leader is waited for so long."""


async def order(client: Client, verb: str, asked: NodeOrder, *, as_json: bool) -> list[str] | None:
    """Ask for `verb` and tell what became of it. The nodes it was done to; None where it was refused of some."""
    reply = await client.order(verb, asked)
    tell(reply.results, as_json=as_json)
    return [result.node for result in reply.results] if all(result.ok for result in reply.results) else None


def tell(results: Sequence[Ordered], *, as_json: bool) -> None:
    console = Console(highlight=False, soft_wrap=True)
    width = max((len(result.node) for result in results), default=0)
    for result in results:
        if as_json:
            print_json(result)
        else:
            mark = "[green]✓[/green]" if result.ok else "[red]✗[/red]"
            console.print(f"{mark} {result.node:<{width}}  {escape(result.said)}")


async def drain(client: Client, asked: NodeOrder, *, wait: bool, as_json: bool) -> bool:
    """Drain nodes; with `wait` until they are empty. False where that was refused, or somebody decided otherwise."""
    nodes = await order(client, "drain", asked, as_json=as_json)
    if nodes is None:
        return False
    return not wait or await _until_empty(client, nodes, as_json=as_json)


async def _until_empty(client: Client, nodes: Sequence[str], *, as_json: bool) -> bool:
    """Show how many tasks are left, and tell of each node once it is empty, or is not drained any more."""
    console = Console(highlight=False)
    waiting, most, is_done = set(nodes), 0, True
    empty: set[str] = set()
    """By the last look: what was being placed just then is seen by the next one."""
    bar = _bar(console) if console.is_terminal and not as_json else None
    with bar or nullcontext():
        shown = bar.add_task("draining", total=None) if bar else None
        say = _saying(console, as_json=as_json)
        while True:
            left, unheard = await _look(client, nodes)
            empty, empty_before = {node for node in nodes if left[node] == 0}, empty
            over = [node for node in nodes if node in waiting and (left[node] is None or node in empty & empty_before)]
            tell([_ended(node, left[node], unheard=node in unheard) for node in over], as_json=as_json)
            waiting -= set(over)
            is_done = is_done and all(left[node] is not None for node in over)
            if not waiting:
                return is_done
            count = sum(left[node] or 0 for node in waiting)
            most = max(most, count)
            if bar and shown is not None:
                bar.update(shown, total=most, completed=most - count)
            else:
                say(count, len(waiting))
            await anyio.sleep(LOOK_EVERY_S)


def _ended(node: str, left: int | None, *, unheard: bool) -> Ordered:
    if left is None:
        return Ordered(node, False, "is not being drained any more: somebody decided otherwise")
    return Ordered(node, True, "was not heard: there is nothing to wait for" if unheard else "drained")


def _saying(console: Console, *, as_json: bool) -> Callable[[int, int], None]:
    """Where there is no bar: a line now and then, if it says something new."""
    last_at, last = 0.0, ""

    def say(count: int, nodes: int) -> None:
        nonlocal last_at, last
        tasks = "1 task" if count == 1 else f"{count:,} tasks"
        line = f"{tasks} left on {nodes:,} nodes" if nodes > 1 else f"{tasks} left"
        if count and not as_json and line != last and anyio.current_time() - last_at >= LINE_EVERY_S:
            last_at, last = anyio.current_time(), line
            console.print(line, soft_wrap=True)

    return say


async def _look(client: Client, nodes: Sequence[str]) -> tuple[dict[str, int | None], set[str]]:
    """How many tasks are left on each node, at least one until it is drained; None: it is not drained any more.

    And which of them were not heard.
    """
    until = anyio.current_time() + PATIENCE_S
    while True:
        try:
            reply = await client.ask("nodes", Steer(), NodesReply)
            break
        except Refused:
            if anyio.current_time() >= until:
                raise
        await anyio.sleep(LOOK_EVERY_S)
    left: dict[str, int | None] = dict.fromkeys(nodes)
    for view in reply.nodes:
        if view.node in left and view.wishes.draining:
            # One that is gone is empty once its tasks went elsewhere.
            left[view.node] = max(view.assigned, int(view.standing is NodeStanding.DRAINING))
    for unheard in reply.unheard:
        if unheard.node in left and unheard.wishes.draining:
            left[unheard.node] = unheard.assigned
    return left, {unheard.node for unheard in reply.unheard}


def _bar(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("given back or ended"))
    return Progress(*columns, console=console, transient=True)
