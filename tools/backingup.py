"""What `backup` and `restore` do and print."""

from collections.abc import Awaitable, Callable
from pathlib import Path

from rich.console import Console

from broker import backup
from broker.backup import BackupFailed, Saved
from broker.connection import connect
from schemas.sizes import format_size
from tools.looking import print_json


async def save_all(url: str, creds: str, folder: Path, *, as_json: bool) -> None:
    """Save every stream into `folder`, which must be new or empty. Raises BackupFailed."""
    if folder.exists() and any(folder.iterdir()):
        raise BackupFailed(f"{str(folder)!r} is not empty: name a new folder, one for each backup")
    async with connect(url, creds, name="backup") as connection:
        saved = await _each(lambda stream: backup.save(connection, stream, folder), as_json=as_json)
    if not saved:
        raise BackupFailed("there are no streams: no coordinator has ever run on this broker")


async def restore_all(url: str, creds: str, folder: Path, replicas: int | None, *, as_json: bool) -> None:
    """Bring every stream of `folder` back to a broker that has none, or those that an earlier try brought back.

    Raises BackupFailed.
    """
    if not any((folder / stream / backup.META).exists() for stream in backup.IN_ORDER):
        raise BackupFailed(f"there is no backup in {str(folder)!r}")
    async with connect(url, creds, name="restore") as connection:
        states = await backup.existing(connection)
        there = {stream: backup.brought_back(stream, state, folder) for stream, state in states.items()}
        if others := [stream for stream, found in there.items() if found is None]:
            raise BackupFailed(
                f"this broker has streams already ({', '.join(others)}): restore to one that is empty, and before any "
                "coordinator starts, which makes them"
            )

        async def bring_back(stream: str) -> Saved | None:
            return there.get(stream) or await backup.bring_back(connection, stream, folder, replicas)

        await _each(bring_back, as_json=as_json)


async def _each(work: Callable[[str], Awaitable[Saved | None]], *, as_json: bool) -> list[Saved]:
    console, done = Console(highlight=False), []
    for stream in backup.IN_ORDER:
        one = await work(stream)
        if one is None:
            continue
        done.append(one)
        if as_json:
            print_json(one)
        else:
            noted = "  (was there)" if one.was_there else ""
            console.print(f"{one.stream:<13} {one.messages:>9,} messages  {format_size(one.bytes)}{noted}")
    return done
