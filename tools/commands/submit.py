"""`downdraft submit`: one file from one or more addresses, or many from an input file."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tools.commands.common import Creds, Json, Server, with_client

if TYPE_CHECKING:
    from datetime import datetime

    from broker.cluster import Client


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel="Tasks")(submit)


def submit(
    uris: Annotated[list[str] | None, typer.Argument(metavar="[URI…]", help="Mirrors of one file.")] = None,
    input_file: Annotated[
        str | None,
        typer.Option("--input-file", "-i", metavar="FILE", help="Many: an input file of aria2's kind; - for stdin."),
    ] = None,
    torrent: Annotated[
        str | None, typer.Option(metavar="FILE", help="A torrent file; addresses are its web seeds then.")
    ] = None,
    out: Annotated[str | None, typer.Option("--out", "-o", help="File name to save as.")] = None,
    if_exists: Annotated[
        str | None, typer.Option(help="Where such a file lies there: rename, overwrite, skip-if-same or fail.")
    ] = None,
    folder: Annotated[str | None, typer.Option("--dir", "-d", help="Folder below the node's download folder.")] = None,
    tag: Annotated[list[str] | None, typer.Option("--tag", "-t", help="Only nodes with this tag. Repeatable.")] = None,
    avoid_tag: Annotated[list[str] | None, typer.Option(help="No node with this tag. Repeatable.")] = None,
    prefer_tag: Annotated[
        list[str] | None, typer.Option(help="Rather a node with this tag, where several could. Repeatable.")
    ] = None,
    disk: Annotated[str | None, typer.Option(help="Room it needs on the disk, where more than its size: 10G.")] = None,
    bandwidth: Annotated[str | None, typer.Option(help="What it needs of its node's line, a second: 20M.")] = None,
    priority: Annotated[int, typer.Option("--priority", "-p", min=-10, max=10, help="Higher goes first.")] = 0,
    checksum: Annotated[str | None, typer.Option(help="The digest it must have: sha-256=<hex>.")] = None,
    size: Annotated[str | None, typer.Option(help="The size it must have: bytes, or 20M.")] = None,
    header: Annotated[
        list[str] | None, typer.Option("--header", "-H", help="'Name: value' to send. Repeatable.")
    ] = None,
    option: Annotated[list[str] | None, typer.Option("--option", help="aria2 option name=value. Repeatable.")] = None,
    label: Annotated[list[str] | None, typer.Option("--label", "-l", help="Your own name=value. Repeatable.")] = None,
    not_before: Annotated[
        str | None, typer.Option(metavar="WHEN", help="Don't start earlier: in 2h, or a date; local without a zone.")
    ] = None,
    paused: Annotated[bool, typer.Option("--paused", help="Wait until `downdraft resume`.")] = False,
    deadline: Annotated[str | None, typer.Option(metavar="WHEN", help="Fail if not finished by then.")] = None,
    own_id: Annotated[str | None, typer.Option("--id", help="Your id: submitting it again is the same task.")] = None,
    id_prefix: Annotated[
        str | None, typer.Option(help="With --input-file: ids that make a repeat of the same file the same tasks.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="A name to show to people.")] = None,
    max_attempts: Annotated[int | None, typer.Option(min=1, max=100, help="Tries before it fails.")] = None,
    owner: Annotated[str | None, typer.Option(help="On whose behalf; default: yours.")] = None,
    wait: Annotated[bool, typer.Option("--wait", "-w", help="Stay until all has ended, with progress bars.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print no ids and no outcomes.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, submit nothing.")] = False,
    as_json: Json = False,
    server: Server = None,
    creds: Creds = None,
) -> None:
    """Submit downloads. Prints the tasks' ids; with --wait how they ended, and exits 1 unless all completed.

    A `.torrent` address, a magnet link or --torrent FILE brings the files that the torrent leads to.
    Several addresses are mirrors of one file. Many files come with --input-file, in the form aria2c reads: the
    addresses of one file on a line, its options indented below. What the command line says holds for each of
    them. A line that can't be used is named on standard error, the others are submitted, and the exit code is 2.

    Examples:

        downdraft submit https://example.org/debian.iso --wait

        downdraft submit https://a.example/f https://b.example/f --out f --checksum sha-256=…

        downdraft submit https://example.org/big --tag ssd --priority 5 --label project=mirror

        downdraft submit https://example.org/big --prefer-tag zone=eu --avoid-tag metered --bandwidth 20M

        downdraft submit https://example.org/f.iso --dir '{owner}/{date}' --if-exists skip-if-same

        downdraft submit https://example.org/big --paused

        downdraft submit --torrent debian.torrent --option select-file=1,3 --wait

        downdraft submit --input-file list.txt --dir mirror --id-prefix nightly-2031-05-01 --wait
    """
    fields: dict[str, Any] = {
        "out": out,
        "dir": folder,
        "if_exists": if_exists,
        "tags": list(dict.fromkeys(tag or ())),
        "avoid_tags": list(dict.fromkeys(avoid_tag or ())),
        "prefer_tags": list(dict.fromkeys(prefer_tag or ())),
        "resources": {key: value for key, value in (("disk", disk), ("bandwidth", bandwidth)) if value is not None},
        "priority": priority,
        "checksum": checksum,
        "size": size,
        "headers": _pairs(header, ":", "--header"),
        "options": _pairs(option, "=", "--option"),
        "labels": _pairs(label, "=", "--label"),
        "not_before": _coming(not_before, "--not-before", id_prefix),
        "paused": paused or None,
        "deadline": _coming(deadline, "--deadline", id_prefix),
        "id": own_id,
        "name": name,
        "max_attempts": max_attempts,
    }
    fields = {field: value for field, value in fields.items() if value not in (None, [], {})}
    if input_file is not None:
        _check_many(uris, torrent, fields, id_prefix)
        from tools.bulk import Bulk, check_all, submit_many
        from tools.commands.common import run

        bulk = Bulk(input_file, fields, owner, id_prefix, wait, as_json, quiet)
        code = (
            run(lambda: check_all(bulk))
            if dry_run
            else with_client(server, creds, lambda client: submit_many(client, bulk))
        )
        raise typer.Exit(code)
    if id_prefix is not None:
        raise typer.BadParameter("goes with --input-file; for one file use --id", param_hint="--id-prefix")
    if not uris and torrent is None:
        raise typer.BadParameter("give at least one, or --input-file FILE", param_hint="URI…")
    fields |= {"uris": uris or []}
    _submit_one(fields, torrent, server, creds, dry_run, owner=owner, wait=wait, as_json=as_json, quiet=quiet)


def _submit_one(
    fields: dict[str, Any], torrent: str | None, server: str | None, creds: str | None, dry_run: bool, **how: Any
) -> None:
    from schemas import codec
    from schemas.checking import decode_request
    from tools.payloads import read_torrent_file, reference, stored
    from tools.submitting import submit_one

    content = b""
    if torrent is not None:
        content = read_torrent_file(torrent)
        fields |= {"torrent": reference(content)}
    request = decode_request(codec.encode(fields))
    if dry_run:
        typer.echo("1 would be submitted, 0 refused")
        return

    async def submit(client: "Client") -> bool:
        await stored(client, content)
        return await submit_one(client, request, **how)

    if not with_client(server, creds, submit):
        raise typer.Exit(1)


def _check_many(uris: list[str] | None, torrent: str | None, fields: dict[str, Any], id_prefix: str | None) -> None:
    """Refuse what can't be meant for each of many files."""
    if torrent is not None:
        raise typer.BadParameter("give a torrent or an input file, not both", param_hint="--torrent")
    if uris:
        raise typer.BadParameter("give addresses or an input file, not both", param_hint="--input-file")
    for field in ("out", "checksum", "size", "id", "name"):
        if field in fields:
            hint = ", or use --id-prefix" if field == "id" else ""
            told = f"is for one file; write {field}=… below its addresses{hint}"
            raise typer.BadParameter(told, param_hint=f"--{field}")
    if id_prefix is not None and not 1 <= len(id_prefix) <= ID_PREFIX_CHARS_MAX:
        raise typer.BadParameter(f"has 1 to {ID_PREFIX_CHARS_MAX} characters", param_hint="--id-prefix")


ID_PREFIX_CHARS_MAX = 200
"""An id has 256 at most, and what is put behind the prefix takes 17."""


def _pairs(texts: list[str] | None, separator: str, flag: str) -> dict[str, Any]:
    pairs = {}
    for text in texts or ():
        name, found, value = text.partition(separator)
        if not found or not name.strip():
            raise typer.BadParameter(f"{text!r}: write name{separator}value", param_hint=flag)
        pairs[name.strip()] = value.strip()
    return pairs


def _coming(text: str | None, flag: str, id_prefix: str | None) -> "datetime | None":
    """A moment as typed. Raises typer.BadParameter where it is none, or a deadline that has passed."""
    if text is None:
        return None
    from datetime import UTC, datetime

    from tools.moments import is_span, parse_coming

    if id_prefix is not None and is_span(text):
        told = "with --id-prefix write a date: a span is another moment, and so other tasks, with each run"
        raise typer.BadParameter(told, param_hint=flag)
    now = datetime.now(UTC)
    try:
        moment = parse_coming(text, now)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=flag) from error
    if flag == "--deadline" and moment <= now:
        raise typer.BadParameter(f"{text!r} has passed already: the task would fail at once", param_hint=flag)
    return moment
