"""`downdraft submit`: one file from one or more addresses."""

from datetime import datetime
from typing import Annotated, Any

import typer

from tools.commands.common import Creds, Json, Server, with_client


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel="Tasks")(submit)


def submit(
    uris: Annotated[list[str], typer.Argument(metavar="URI…", help="Mirrors of one file.")],
    out: Annotated[str | None, typer.Option("--out", "-o", help="File name to save as.")] = None,
    folder: Annotated[str | None, typer.Option("--dir", "-d", help="Folder below the node's download folder.")] = None,
    tag: Annotated[list[str] | None, typer.Option("--tag", "-t", help="Only nodes with this tag. Repeatable.")] = None,
    priority: Annotated[int, typer.Option("--priority", "-p", min=-10, max=10, help="Higher goes first.")] = 0,
    checksum: Annotated[str | None, typer.Option(help="The digest it must have: sha-256=<hex>.")] = None,
    size: Annotated[str | None, typer.Option(help="The size it must have: bytes, or 20M.")] = None,
    header: Annotated[
        list[str] | None, typer.Option("--header", "-H", help="'Name: value' to send. Repeatable.")
    ] = None,
    option: Annotated[list[str] | None, typer.Option("--option", help="aria2 option name=value. Repeatable.")] = None,
    label: Annotated[list[str] | None, typer.Option("--label", "-l", help="Your own name=value. Repeatable.")] = None,
    not_before: Annotated[datetime | None, typer.Option(help="Don't start earlier (local time).")] = None,
    deadline: Annotated[datetime | None, typer.Option(help="Fail if not finished by then (local time).")] = None,
    own_id: Annotated[str | None, typer.Option("--id", help="Your id: submitting it again is the same task.")] = None,
    name: Annotated[str | None, typer.Option(help="A name to show to people.")] = None,
    max_attempts: Annotated[int | None, typer.Option(min=1, max=100, help="Tries before it fails.")] = None,
    owner: Annotated[str | None, typer.Option(help="On whose behalf; default: yours.")] = None,
    wait: Annotated[bool, typer.Option("--wait", "-w", help="Stay until it has ended, with a progress bar.")] = False,
    as_json: Json = False,
    server: Server = None,
    creds: Creds = None,
) -> None:
    """Submit a download. Prints the task's id; with --wait exits 1 unless it completes.

    Examples:

        downdraft submit https://example.org/debian.iso --wait

        downdraft submit https://a.example/f https://b.example/f --out f --checksum sha-256=…

        downdraft submit https://example.org/big --tag ssd --priority 5 --label project=mirror
    """
    from schemas.request import Request, normalise
    from tools.submitting import submit_one

    request = normalise(
        Request(
            uris=tuple(uris),
            out=out,
            dir=folder,
            tags=tuple(tag or ()),
            priority=priority,
            checksum=checksum,
            size=size,
            headers=_pairs(header, ":", "--header"),
            options=dict(_pairs(option, "=", "--option")),
            labels=_pairs(label, "=", "--label"),
            not_before=_zoned(not_before),
            deadline=_zoned(deadline),
            id=own_id,
            name=name,
            max_attempts=max_attempts,
        )
    )
    ok = with_client(server, creds, lambda client: submit_one(client, request, owner=owner, wait=wait, as_json=as_json))
    if not ok:
        raise typer.Exit(1)


def _pairs(texts: list[str] | None, separator: str, flag: str) -> dict[str, Any]:
    pairs = {}
    for text in texts or ():
        name, found, value = text.partition(separator)
        if not found or not name.strip():
            raise typer.BadParameter(f"{text!r}: write name{separator}value", param_hint=flag)
        pairs[name.strip()] = value.strip()
    return pairs


def _zoned(moment: datetime | None) -> datetime | None:
    """A moment as typed is local time."""
    return moment.astimezone() if moment is not None else None
