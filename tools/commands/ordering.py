"""From what was typed to what is done: a steering verb with its ids, or its filter."""

import sys
from typing import TYPE_CHECKING, NamedTuple

import typer

from tools.commands.common import with_client
from tools.commands.filters import Chosen, filter_from

if TYPE_CHECKING:
    from schemas.control import Steer
    from schemas.filter import TaskFilter
    from schemas.view import TaskView


class Order(NamedTuple):
    """What was typed."""

    verb: str
    ids: list[str] | None
    chosen: Chosen
    everything: bool
    dry_run: bool
    yes: bool
    as_json: bool
    server: str | None
    creds: str | None
    asked: "Steer | None" = None
    """What the verb needs to know beside the tasks."""


def steer(order: Order) -> None:
    """Find the tasks, ask where it matters, and do it. Exits 1 where it was not done to all of them."""
    from tools.steering import ASKS_FIRST, find, look_up

    where = filter_from(order.chosen)
    _check(order, where)
    ids = tuple(order.ids or ())
    if ids and not order.dry_run:
        _carry_out(order, ids, where if order.chosen else None)
        return
    found = with_client(
        order.server,
        order.creds,
        lambda client: look_up(client, order.verb, ids, where) if ids else find(client, order.verb, where, order.asked),
    )
    if found.note:
        typer.echo(found.note, err=True)
    count = "1 task" if len(found.views) == 1 else f"{len(found.views):,} tasks"
    if order.dry_run:
        _print(found.views, as_json=order.as_json)
        typer.echo(f"{order.verb}: {count}; nothing was done", err=True)
    elif not found.views:
        if not order.as_json:
            typer.echo("nothing is queued" if order.verb == "clear" and not order.chosen else "no task matches")
    else:
        # Connections don't wait for people: this one is closed while the question stands, and another one opened.
        asks = order.verb in ASKS_FIRST and not order.yes and sys.stdin.isatty()
        if asks and not typer.confirm(f"{order.verb.capitalize()} {count}?", err=True):
            raise typer.Exit(1)
        _carry_out(order, tuple(view.task for view in found.views), found.where)


def _check(order: Order, where: "TaskFilter") -> None:
    """Whether it is clear what is meant. Raises typer.BadParameter."""
    from schemas.meant import misfit

    if order.everything and (order.ids or order.chosen):
        raise typer.BadParameter("it means everything: leave out the ids and the filter", param_hint="--all")
    if not (order.everything or order.ids or order.chosen or order.verb == "clear"):
        raise typer.BadParameter("name tasks, or a filter; --all for all", param_hint=f"downdraft {order.verb}")
    if trouble := misfit(order.verb, where, order.asked):
        raise typer.BadParameter(trouble, param_hint="--state")


def _carry_out(order: Order, ids: tuple[str, ...], where: "TaskFilter | None") -> None:
    from tools.steering import steer_all

    ok = with_client(
        order.server,
        order.creds,
        lambda client: steer_all(client, order.verb, ids, where, order.asked, as_json=order.as_json),
    )
    if not ok:
        raise typer.Exit(1)


def _print(views: "list[TaskView]", *, as_json: bool) -> None:
    from tools.listing import print_tasks
    from tools.looking import print_json

    if as_json:
        for view in views:
            print_json(view)
    elif views:
        print_tasks(views)
