"""Looking at the cluster: `ls`, `show`, `watch`, `events`, `nodes`, `stats`."""

from typing import Annotated

import typer

from tools.commands.common import Creds, Json, Server, with_client


def register(app: typer.Typer) -> None:
    for command in (show, watch, events, nodes, stats):
        app.command(rich_help_panel="Looking")(command)
    app.command("ls", rich_help_panel="Looking")(list_tasks)


def list_tasks(
    state: Annotated[
        list[str] | None, typer.Option("--state", help="Only queued, assigned, active or ending. Repeatable.")
    ] = None,
    finished: Annotated[int, typer.Option("--finished", min=0, help="Show this many of the latest outcomes too.")] = 20,
    limit: Annotated[int, typer.Option(min=1, help="Show at most this many live tasks.")] = 1000,
    as_json: Json = False,
    server: Server = None,
    creds: Creds = None,
) -> None:
    """List live tasks and the latest outcomes.

    Examples:

        downdraft ls

        downdraft ls --state queued --json
    """
    from schemas.lifecycle import State
    from tools.looking import list_all

    try:
        states = tuple(State(text) for text in state or ())
    except ValueError as error:
        raise typer.BadParameter(f"{error}; there are {', '.join(State)}", param_hint="--state") from error
    with_client(server, creds, lambda client: list_all(client, states, limit=limit, finished=finished, as_json=as_json))


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
    from tools.looking import show_one

    if not with_client(server, creds, lambda client: show_one(client, task, as_json=as_json)):
        raise typer.Exit(1)


def watch(server: Server = None, creds: Creds = None) -> None:
    """Watch running downloads live until Ctrl-C.

    Example:

        downdraft watch
    """
    from tools.watching import watch_all

    with_client(server, creds, watch_all)


def events(
    task: Annotated[str | None, typer.Option("--task", help="Only of this task.")] = None,
    count: Annotated[int, typer.Option("--count", min=0, help="End after so many; 0: never.")] = 0,
    as_json: Json = False,
    server: Server = None,
    creds: Creds = None,
) -> None:
    """Print events as they happen, until Ctrl-C.

    Examples:

        downdraft events

        downdraft events --json | jq 'select(.type == "finished.completed").path'
    """
    from tools.watching import print_events

    with_client(server, creds, lambda client: print_events(client, task, count=count, as_json=as_json))


def nodes(as_json: Json = False, server: Server = None, creds: Creds = None) -> None:
    """List the nodes: slots, load, speed, disk and tags.

    Example:

        downdraft nodes
    """
    from tools.looking import list_nodes

    with_client(server, creds, lambda client: list_nodes(client, as_json=as_json))


def stats(as_json: Json = False, server: Server = None, creds: Creds = None) -> None:
    """Show counts by state and outcome, and the cluster's speed.

    Example:

        downdraft stats --json
    """
    from tools.looking import show_stats

    with_client(server, creds, lambda client: show_stats(client, as_json=as_json))
