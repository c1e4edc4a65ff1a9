"""The broker's state as files: `backup`, `restore`."""

from pathlib import Path
from typing import Annotated

import typer

from tools.commands.common import Creds, Json, Server, run

Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of one backup.")]
ADMIN = "admin"
"""Whose credentials are taken where none are named: no other role may copy whole streams."""


def register(app: typer.Typer) -> None:
    app.command("backup", rich_help_panel="Processes")(backup)
    app.command("restore", rich_help_panel="Processes")(restore)


def backup(folder: Folder, as_json: Json = False, server: Server = None, creds: Creds = None) -> None:
    """Save all that the broker keeps into a new folder, while the cluster works: tasks, events, keys, policy.

    With the credentials of the admin. Finished files and the folder of the cluster's keys are not in it. Secrets that
    stand in requests are: keep it as you keep those.

    Examples:

        downdraft backup backup-monday

        downdraft backup backup-monday --server nats://broker:4222 --creds keys/admin.creds
    """
    from tools.backingup import save_all

    url, file = _cluster(server, creds)
    run(lambda: save_all(url, file, folder, as_json=as_json))


def restore(
    folder: Folder,
    replicas: Annotated[
        int | None, typer.Option(min=1, max=5, help="Copies of each stream; default: as many as there were.")
    ] = None,
    as_json: Json = False,
    server: Server = None,
    creds: Creds = None,
) -> None:
    """Bring a backup back to a broker that has nothing yet: before any coordinator or gateway starts there.

    Examples:

        downdraft restore backup-monday --server nats://broker:4222 --creds keys/admin.creds

        downdraft restore backup-monday --replicas 3 --server nats://broker:4222 --creds keys/admin.creds
    """
    from tools.backingup import restore_all

    url, file = _cluster(server, creds)
    run(lambda: restore_all(url, file, folder, replicas, as_json=as_json))


def _cluster(server: str | None, creds: str | None) -> tuple[str, str]:
    from schemas.settings import LogSettings
    from tools.context import locate
    from tools.logs import configure

    configure(LogSettings(level="error"))
    return locate(server, creds, ADMIN)
