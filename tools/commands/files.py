"""Finished files: `get`, `rm`."""

from pathlib import Path
from typing import Annotated

import typer

from tools.commands.common import Creds, Ids, Json, Server, with_client


def register(app: typer.Typer) -> None:
    for command in (get, rm):
        app.command(rich_help_panel="Files")(command)


def get(
    ids: Ids,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="PATH", help="A file, a folder, or - for stdout; default: here.")
    ] = ".",
    force: Annotated[bool, typer.Option("--force", "-f", help="Overwrite a file that is there already.")] = False,
    as_json: Json = False,
    server: Server = None,
    creds: Creds = None,
) -> None:
    """Fetch finished files from their nodes, checked against the digest they were downloaded with.

    What an interrupted get left in `<name>.part` is not fetched again. With `-o -` the bytes are out before they are
    checked: look at the exit code. A task of several files is fetched into a folder.

    Examples:

        downdraft get 0123456789abcdef

        downdraft get 0123456789abcdef fedcba9876543210 -o ~/Downloads/

        downdraft get 0123456789abcdef -o - | tar xz
    """
    from tools.fetching import STDOUT
    from tools.getting import get_all

    if output == STDOUT and as_json:
        raise typer.BadParameter("stdout can't take both the file and the JSON", param_hint="--json")
    if len(ids) > 1 and not Path(output).is_dir():
        raise typer.BadParameter("several files need a folder that exists", param_hint="--output")
    if not with_client(server, creds, lambda client: get_all(client, tuple(ids), output, force=force, as_json=as_json)):
        raise typer.Exit(1)


def rm(
    ids: Ids,
    files: Annotated[bool, typer.Option("--files", help="Delete the finished files on their nodes too.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask before files are deleted.")] = False,
    as_json: Json = False,
    server: Server = None,
    creds: Creds = None,
) -> None:
    """Cancel live tasks; with --files delete the finished files of completed ones.

    A file is deleted only if it is still the very file that was downloaded. Exits 1 where anything stays.

    Examples:

        downdraft rm 0123456789abcdef

        downdraft rm 0123456789abcdef --files --yes
    """
    import sys

    from tools.removing import files_of, question, remove_all

    tasks = tuple(ids)
    if files and not yes and sys.stdin.isatty():
        found = with_client(server, creds, lambda client: files_of(client, tasks))
        if found and not typer.confirm(question(found), err=True):
            raise typer.Exit(1)
    if not with_client(server, creds, lambda client: remove_all(client, tasks, files=files, as_json=as_json)):
        raise typer.Exit(1)
