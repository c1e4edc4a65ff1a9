"""Following the cluster: `watch`, `events`."""

from datetime import datetime
from typing import Annotated

import typer

from tools.commands.common import Creds, Json, Server, with_client


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel="Looking")(watch)
    app.command(rich_help_panel="Looking")(events)


Tasks = Annotated[
    list[str] | None, typer.Argument(metavar="[TASK…]", help="Only these: 16 hex digits each, as `downdraft ls` shows.")
]


def watch(
    tasks: Tasks = None,
    tag: Annotated[
        list[str] | None, typer.Option("--tag", "-t", help="Only tasks that ask for this tag. Repeatable.")
    ] = None,
    as_json: Json = False,
    server: Server = None,
    creds: Creds = None,
) -> None:
    """Watch downloads live until Ctrl-C: what runs, how fast, what has just ended.

    Where the output is no terminal, a line is printed whenever something has changed.

    Examples:

        downdraft watch

        downdraft watch --tag archive
    """
    from tools.watching import watch_all

    _check_ids(tasks)
    with_client(server, creds, lambda client: watch_all(client, tasks or (), tag or (), as_json=as_json))


def events(
    tasks: Tasks = None,
    since: Annotated[
        str | None, typer.Option(metavar="MOMENT", help="What is stored since then: 30s, 10m, 2h, 7d ago, or ISO 8601.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="With --since: then go on with what happens.")] = False,
    kind: Annotated[
        list[str] | None,
        typer.Option(
            "--type",
            metavar="KIND",
            help="Only this type, such as started, or completed; finished: any end. Repeatable.",
        ),
    ] = None,
    command: Annotated[
        str | None,
        typer.Option(
            "--exec", metavar="CMD", help="Run it for each outcome: JSON on stdin, DOWNDRAFT_… in its environment."
        ),
    ] = None,
    count: Annotated[int, typer.Option("--count", "-n", min=0, help="End after so many; 0: never.")] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print no events; for --exec.")] = False,
    as_json: Json = False,
    server: Server = None,
    creds: Creds = None,
) -> None:
    """Print events as they happen, until Ctrl-C; with --since those that are stored, and end.

    None is missed and none comes twice, even while the broker restarts. With --exec, exits 1 if a command failed.

    Examples:

        downdraft events

        downdraft events --json | jq 'select(.type == "finished.completed").path'

        downdraft events --since 2h --type failed

        downdraft events --since 10m --follow --quiet --exec 'sh -c "echo $DOWNDRAFT_TASK $DOWNDRAFT_OUTCOME"'
    """
    from tools.following import Wanted, print_events
    from tools.hooks import parse_command

    _check_ids(tasks)
    wanted = Wanted(
        tasks=tuple(dict.fromkeys(tasks or ())),
        kinds=_kinds(kind or []),
        since=_moment(since),
        follow=follow,
        stop_after=count,
        as_json=as_json,
        quiet=quiet,
        command=parse_command(command) if command is not None else [],
    )
    if wanted.command and wanted.kinds and not any(each.startswith("finished") for each in wanted.kinds):
        raise typer.BadParameter("runs for outcomes, and --type leaves them all out", param_hint="--exec")
    if not with_client(server, creds, lambda client: print_events(client, wanted)):
        raise typer.Exit(1)


def _kinds(texts: list[str]) -> tuple[str, ...]:
    """Types as they are called in events; an outcome's name alone will do."""
    from broker.follow import OUTCOMES
    from schemas.event import KINDS

    known = {kind.removeprefix("finished."): kind for kind in KINDS} | {kind: kind for kind in (*KINDS, OUTCOMES)}
    for text in texts:
        if text not in known:
            raise typer.BadParameter(f"there is no {text!r}; there are {', '.join(known)}", param_hint="--type")
    return tuple(dict.fromkeys(known[text] for text in texts))


def _moment(text: str | None) -> datetime | None:
    from datetime import UTC

    from tools.moments import parse_moment

    try:
        return parse_moment(text, datetime.now(UTC)) if text is not None else None
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--since") from error


def _check_ids(tasks: list[str] | None) -> None:
    from schemas.ids import TASK_ID

    for task in tasks or ():
        if not TASK_ID.match(task):
            raise typer.BadParameter(f"{task!r} is not a task id: 16 hex digits are", param_hint="TASK…")
