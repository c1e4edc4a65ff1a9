"""Steering tasks, by ids or by what they are: `cancel`, `pause`, `resume`, `retry`, `clear`, `prioritise`, `limit`."""

from typing import Annotated

import typer

from tools.commands.common import Creds, Json, Server, rate_of
from tools.commands.filters import Chosen, filtered
from tools.commands.ordering import Order, steer

SomeIds = Annotated[
    list[str] | None, typer.Argument(metavar="[TASK…]", help="Task ids: 16 hex digits, as `downdraft ls` shows.")
]
Everything = Annotated[bool, typer.Option("--all", help="All your tasks that this can be done to.")]
DryRun = Annotated[bool, typer.Option("--dry-run", "-n", help="Show which tasks it would be, and do nothing.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask first.")]


def register(app: typer.Typer) -> None:
    for command in (cancel, pause, resume, retry, clear, prioritise, limit):
        app.command(rich_help_panel="Tasks")(command)


@filtered
def cancel(
    ids: SomeIds = None,
    keep_partial: Annotated[
        bool, typer.Option("--keep-partial", help="Keep what has come of them, as <name>.part on their nodes.")
    ] = False,
    everything: Everything = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: Json = False,
    server: Server = None,
    creds: Creds = None,
    *,
    chosen: Chosen,
) -> None:
    """Cancel tasks, running or queued. A file that is complete already stays complete.

    Tasks that do not match any more when their turn comes are left alone. What has come of the others is deleted, but
    with --keep-partial where a task stands at a node: then `downdraft show` says where that is.

    Examples:

        downdraft cancel 0123456789abcdef

        downdraft cancel 0123456789abcdef --keep-partial

        downdraft cancel --label project=mirror --since 2h

        downdraft cancel --state queued --origin '*.example.org' --dry-run
    """
    from schemas.control import Cancel

    asked = Cancel(keep_partial=keep_partial)
    steer(Order("cancel", ids, chosen, everything, dry_run, yes, as_json, server, creds, asked))


@filtered
def pause(
    ids: SomeIds = None,
    everything: Everything = False,
    dry_run: DryRun = False,
    as_json: Json = False,
    server: Server = None,
    creds: Creds = None,
    *,
    chosen: Chosen,
) -> None:
    """Pause tasks; what is downloaded so far is kept.

    Examples:

        downdraft pause 0123456789abcdef

        downdraft pause --node attic --state active
    """
    steer(Order("pause", ids, chosen, everything, dry_run, True, as_json, server, creds))


@filtered
def resume(
    ids: SomeIds = None,
    everything: Everything = False,
    dry_run: DryRun = False,
    as_json: Json = False,
    server: Server = None,
    creds: Creds = None,
    *,
    chosen: Chosen,
) -> None:
    """Let paused tasks go on.

    Examples:

        downdraft resume 0123456789abcdef

        downdraft resume --all
    """
    steer(Order("resume", ids, chosen, everything, dry_run, True, as_json, server, creds))


@filtered
def retry(
    ids: SomeIds = None,
    everything: Everything = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: Json = False,
    server: Server = None,
    creds: Creds = None,
    *,
    chosen: Chosen,
) -> None:
    """Try again: at once what waits for its next try, as a new task what has ended.

    A filter that names no state, and --all, mean what waits and what failed.

    Examples:

        downdraft retry 0123456789abcdef

        downdraft retry --state failed --since 1h
    """
    steer(Order("retry", ids, chosen, everything, dry_run, yes, as_json, server, creds))


@filtered
def clear(
    ids: SomeIds = None,
    everything: Everything = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: Json = False,
    server: Server = None,
    creds: Creds = None,
    *,
    chosen: Chosen,
) -> None:
    """Cancel what is queued, all of it or what matches; what runs goes on.

    Examples:

        downdraft clear

        downdraft clear --tag archive --yes
    """
    steer(Order("clear", ids, chosen, everything, dry_run, yes, as_json, server, creds))


@filtered
def prioritise(
    ids: SomeIds = None,
    priority: Annotated[
        int | None, typer.Option("--priority", "-p", min=-10, max=10, help="Higher goes first, running ones excepted.")
    ] = None,
    front: Annotated[bool, typer.Option("--front", help="Before all others of their owner and priority.")] = False,
    back: Annotated[bool, typer.Option("--back", help="Behind all others of their owner and priority.")] = False,
    position: Annotated[
        int | None, typer.Option("--position", min=0, help="Behind so many others of their owner and priority.")
    ] = None,
    everything: Everything = False,
    dry_run: DryRun = False,
    as_json: Json = False,
    server: Server = None,
    creds: Creds = None,
    *,
    chosen: Chosen,
) -> None:
    """Change tasks' priority, or their position in the queue, or both.

    Several tasks are moved together and keep their order. One that runs already runs on: its new priority counts if
    it has to be placed again.

    Examples:

        downdraft prioritise 0123456789abcdef --front

        downdraft prioritise --label project=mirror --priority 5

        downdraft prioritise 0123456789abcdef --priority 0 --position 3
    """
    from schemas.control import How, Prioritise

    if sum((front, back, position is not None)) > 1:
        raise typer.BadParameter("they exclude one another", param_hint="--front, --back and --position")
    if not (front or back) and position is None and priority is None:
        raise typer.BadParameter("say which, or --front, --back or --position", param_hint="--priority")
    place = 0 if front or back else position
    asked = Prioritise(priority=priority, position=place, how=How.END if back else How.SET)
    steer(Order("prioritise", ids, chosen, everything, dry_run, True, as_json, server, creds, asked))


@filtered
def limit(
    ids: SomeIds = None,
    download: Annotated[
        str | None, typer.Option("--download", metavar="RATE", help="Bytes a second it may receive; none for any.")
    ] = None,
    upload: Annotated[
        str | None, typer.Option("--upload", metavar="RATE", help="Bytes a second a torrent may send.")
    ] = None,
    everything: Everything = False,
    dry_run: DryRun = False,
    as_json: Json = False,
    server: Server = None,
    creds: Creds = None,
    *,
    chosen: Chosen,
) -> None:
    """Set how fast tasks may be, from now on: what runs goes on, slower or faster within a second or two.

    Examples:

        downdraft limit 0123456789abcdef --download 2M

        downdraft limit --tag archive --download none
    """
    from schemas.control import SetLimits

    if download is None and upload is None:
        raise typer.BadParameter("say how fast, such as 2M, or none", param_hint="--download")
    asked = SetLimits(download=rate_of(download, "--download"), upload=rate_of(upload, "--upload"))
    steer(Order("limit", ids, chosen, everything, dry_run, True, as_json, server, creds, asked))
