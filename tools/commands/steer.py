"""Steering tasks: `cancel`, `pause`, `resume`, `retry`, `clear`."""

import typer

from tools.commands.common import Creds, Ids, Json, Server, with_client


def register(app: typer.Typer) -> None:
    for command in (cancel, pause, resume, retry, clear):
        app.command(rich_help_panel="Tasks")(command)


def cancel(ids: Ids, as_json: Json = False, server: Server = None, creds: Creds = None) -> None:
    """Cancel tasks, running or queued. A file that is complete already stays complete.

    Example:

        downdraft cancel 0123456789abcdef
    """
    _steer("cancel", ids, as_json, server, creds)


def pause(ids: Ids, as_json: Json = False, server: Server = None, creds: Creds = None) -> None:
    """Pause tasks; what is downloaded so far is kept.

    Example:

        downdraft pause 0123456789abcdef
    """
    _steer("pause", ids, as_json, server, creds)


def resume(ids: Ids, as_json: Json = False, server: Server = None, creds: Creds = None) -> None:
    """Let paused tasks go on.

    Example:

        downdraft resume 0123456789abcdef
    """
    _steer("resume", ids, as_json, server, creds)


def retry(ids: Ids, as_json: Json = False, server: Server = None, creds: Creds = None) -> None:
    """Try again: at once what waits for its next try, as a new task what has ended.

    Example:

        downdraft retry 0123456789abcdef
    """
    _steer("retry", ids, as_json, server, creds)


def clear(as_json: Json = False, server: Server = None, creds: Creds = None) -> None:
    """Cancel everything that is queued; what runs goes on.

    Example:

        downdraft clear
    """
    _steer("clear", [], as_json, server, creds)


def _steer(verb: str, ids: list[str], as_json: bool, server: str | None, creds: str | None) -> None:
    from tools.looking import steer_all

    if not with_client(server, creds, lambda client: steer_all(client, verb, tuple(ids), as_json=as_json)):
        raise typer.Exit(1)
