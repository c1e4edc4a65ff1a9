"""Looking at the cluster: `ls`, `show`, `explain`, `nodes`, `stats`."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from tools.commands.common import Creds, Json, Server, with_client
from tools.commands.filters import Chosen, filter_from, filtered

if TYPE_CHECKING:
    from schemas.filter import TaskFilter


class Sorting(StrEnum):
    AGE = "age"
    QUEUE = "queue"


def register(app: typer.Typer) -> None:
    for command in (show, explain, nodes, stats):
        app.command(rich_help_panel="Looking")(command)
    app.command("ls", rich_help_panel="Looking")(list_tasks)


@filtered
def list_tasks(
    finished: Annotated[
        int | None,
        typer.Option(
            "--finished", min=0, help="Show this many of the latest outcomes; default: 20, or --limit with --state."
        ),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Show at most this many live tasks.")] = 1000,
    sort: Annotated[
        Sorting, typer.Option("--sort", help="By age, or only what is queued, in the order of its going first.")
    ] = Sorting.AGE,
    as_json: Json = False,
    server: Server = None,
    creds: Creds = None,
    *,
    chosen: Chosen,
) -> None:
    """List live tasks, the oldest first, and the latest outcomes.

    Examples:

        downdraft ls

        downdraft ls --state failed --since 2h

        downdraft ls --sort queue --owner team-a

        downdraft ls --owner team-a --label project=mirror --json
    """
    from tools.listing import list_tasks

    where = filter_from(chosen)
    if sort is Sorting.QUEUE:
        where = _of_the_queue(where)
    in_queue_order = sort is Sorting.QUEUE
    with_client(
        server,
        creds,
        lambda client: list_tasks(
            client, where, limit=limit, finished=finished, in_queue_order=in_queue_order, as_json=as_json
        ),
    )


def _of_the_queue(where: "TaskFilter") -> "TaskFilter":
    """The filter, for what is queued. Raises typer.BadParameter where it is for something else."""
    from msgspec.structs import replace

    from schemas.filter import Standing

    if not {Standing.QUEUED}.issuperset(where.states):
        raise typer.BadParameter("only what is queued has a position; leave it out", param_hint="--state")
    return replace(where, states=(Standing.QUEUED,))


def show(
    task: Annotated[str, typer.Argument(metavar="TASK", help="Task id.")],
    as_json: Json = False,
    server: Server = None,
    creds: Creds = None,
) -> None:
    """Show one task: where it stands and everything that happened to it. Exits 1 if there is none.

    Example:

        downdraft show 0123456789abcdef
    """
    from tools.showing import show_one

    if not with_client(server, creds, lambda client: show_one(client, task, as_json=as_json)):
        raise typer.Exit(1)


def explain(
    task: Annotated[str, typer.Argument(metavar="TASK", help="Task id.")],
    as_json: Json = False,
    server: Server = None,
    creds: Creds = None,
) -> None:
    """Explain where a task stands: what it waits for, or why it was placed there, and what speaks against each node.

    Examples:

        downdraft explain 0123456789abcdef

        downdraft explain 0123456789abcdef --json | jq -r '.nodes[] | select(.rank == null) | .excluded'
    """
    from tools.explaining import explain_one

    with_client(server, creds, lambda client: explain_one(client, task, as_json=as_json))


def nodes(as_json: Json = False, server: Server = None, creds: Creds = None) -> None:
    """List the nodes: how each stands, and its slots, load, speed, disk and tags.

    Examples:

        downdraft nodes

        downdraft nodes --json | jq -r 'select(.online | not).node'
    """
    from tools.nodelist import list_nodes

    with_client(server, creds, lambda client: list_nodes(client, as_json=as_json))


def stats(as_json: Json = False, server: Server = None, creds: Creds = None) -> None:
    """Show counts by state, what ended in the last ten minutes, and the cluster's speed.

    Examples:

        downdraft stats

        downdraft stats --json | jq .recent.completed
    """
    from tools.overview import show_stats

    with_client(server, creds, lambda client: show_stats(client, as_json=as_json))
