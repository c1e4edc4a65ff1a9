"""Deciding about nodes: `cordon`, `uncordon`, `drain`, `node-set`."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tools.commands import completing
from tools.commands.common import Creds, Json, Server, rate_of, with_client

if TYPE_CHECKING:
    from schemas.orders import NodeOrder

SomeNodes = Annotated[
    list[str] | None,
    typer.Argument(metavar="[NODE…]", help="Node ids, as `downdraft nodes` shows.", autocompletion=completing.nodes),
]
WithTag = Annotated[
    str | None, typer.Option("--with-tag", metavar="TAG", help="All nodes with this tag, beside those named.")
]
Reason = Annotated[str, typer.Option("--reason", help="Why, for people: `downdraft nodes` shows it.")]
Force = Annotated[bool, typer.Option("--force", help="Also nodes that were never heard: they are to come yet.")]


TYPED_AS = {
    "nodes": "NODE",
    "with_tag": "--with-tag",
    "reason": "--reason",
    "add_tags": "--tag",
    "remove_tags": "--untag",
    "download_limit": "--download-limit",
    "upload_limit": "--upload-limit",
}


NODE_ID_FORM = "a node id is 1 to 63 of a-z, 0-9 and '-'"


def register(app: typer.Typer) -> None:
    for command in (cordon, uncordon, drain):
        app.command(rich_help_panel="Nodes")(command)
    app.command("node-set", rich_help_panel="Nodes")(node_set)


def cordon(
    nodes: SomeNodes = None,
    with_tag: WithTag = None,
    reason: Reason = "",
    force: Force = False,
    as_json: Json = False,
    server: Server = None,
    creds: Creds = None,
) -> None:
    """Give nodes nothing new; what they hold goes on. It lasts until `uncordon`, whatever restarts.

    Examples:

        downdraft cordon attic

        downdraft cordon --with-tag zone=b --reason "switch is replaced"
    """
    _order("cordon", {"nodes": nodes, "with_tag": with_tag, "reason": reason, "force": force}, as_json, server, creds)


def uncordon(
    nodes: SomeNodes = None,
    with_tag: WithTag = None,
    force: Force = False,
    as_json: Json = False,
    server: Server = None,
    creds: Creds = None,
) -> None:
    """Give nodes tasks again: after `cordon`, after `drain`, or one that is set aside.

    Example:

        downdraft uncordon attic
    """
    _order("uncordon", {"nodes": nodes, "with_tag": with_tag, "force": force}, as_json, server, creds)


def drain(
    nodes: SomeNodes = None,
    with_tag: WithTag = None,
    now: Annotated[bool, typer.Option("--now", help="Don't wait for what runs: it goes on elsewhere.")] = False,
    wait: Annotated[bool, typer.Option("--wait", "-w", help="Return when the nodes are empty.")] = False,
    reason: Reason = "",
    force: Force = False,
    as_json: Json = False,
    server: Server = None,
    creds: Creds = None,
) -> None:
    """Empty nodes: nothing new goes there, what waits there goes elsewhere, what runs is finished.

    A drained node goes on serving its finished files. With --wait it exits 1 if somebody decides otherwise meanwhile.

    Examples:

        downdraft drain attic

        downdraft drain attic cellar --now --wait --reason "new disks"
    """
    from tools.ordering import drain as drain_nodes

    asked = _asked({"nodes": nodes, "with_tag": with_tag, "now": now, "reason": reason, "force": force})
    if not with_client(server, creds, lambda client: drain_nodes(client, asked, wait=wait, as_json=as_json)):
        raise typer.Exit(1)


def node_set(
    nodes: SomeNodes = None,
    with_tag: WithTag = None,
    slots: Annotated[int | None, typer.Option(min=1, max=1024, help="Downloads it runs at once from now on.")] = None,
    own_slots: Annotated[bool, typer.Option("--own-slots", help="As its own settings say.")] = False,
    tag: Annotated[list[str] | None, typer.Option("--tag", metavar="TAG", help="Add a tag. Repeatable.")] = None,
    untag: Annotated[
        list[str] | None, typer.Option("--untag", metavar="TAG", help="Take a tag away. Repeatable.")
    ] = None,
    own_tags: Annotated[bool, typer.Option("--own-tags", help="As its own settings say.")] = False,
    download_limit: Annotated[
        str | None, typer.Option(metavar="RATE", help="Bytes a second over all its downloads; none for any.")
    ] = None,
    upload_limit: Annotated[
        str | None, typer.Option(metavar="RATE", help="Bytes a second its torrents may send; none for any.")
    ] = None,
    paused: Annotated[
        bool | None, typer.Option("--paused/--resumed", help="Stop what runs and keep it there; let it go on.")
    ] = None,
    force: Force = False,
    as_json: Json = False,
    server: Server = None,
    creds: Creds = None,
) -> None:
    """Set nodes' slots, tags and limits while they run, or pause them. It holds whatever restarts.

    With fewer slots than downloads that run, those are finished and no new one begins. What a paused node holds stays
    there, and goes on from where it was.

    Examples:

        downdraft node-set attic --slots 4

        downdraft node-set attic --tag ssd --untag slow

        downdraft node-set attic --own-slots --own-tags

        downdraft node-set attic --download-limit 20M --upload-limit none

        downdraft node-set attic --paused

        downdraft node-set attic --resumed
    """
    from schemas.nodes import SPEED_LIMIT_MIN

    limits = {
        "download_limit": rate_of(download_limit, "--download-limit", least=SPEED_LIMIT_MIN),
        "upload_limit": rate_of(upload_limit, "--upload-limit", least=SPEED_LIMIT_MIN),
    }
    said = (slots, paused, *limits.values())
    if not (own_slots or tag or untag or own_tags or any(one is not None for one in said)):
        raise typer.BadParameter(
            "say what to set: --slots, --tag, --untag, --own-slots, --own-tags, --download-limit, --upload-limit, "
            "--paused or --resumed"
        )
    if slots is not None and own_slots:
        raise typer.BadParameter("they exclude each other", param_hint="--slots, --own-slots")
    if both := sorted({*(tag or ())} & {*(untag or ())}):
        raise typer.BadParameter(f"can't be both added and taken away: {', '.join(both)}", param_hint="--tag, --untag")
    wanted = {
        "nodes": nodes,
        "with_tag": with_tag,
        "force": force,
        "slots": slots,
        "own_slots": own_slots,
        "add_tags": tag,
        "remove_tags": untag,
        "own_tags": own_tags,
        "paused": paused,
        **limits,
    }
    _order("configure", wanted, as_json, server, creds)


def _order(verb: str, wanted: dict[str, Any], as_json: bool, server: str | None, creds: str | None) -> None:
    from tools.ordering import order

    asked = _asked(wanted, changes=verb == "configure")
    if with_client(server, creds, lambda client: order(client, verb, asked, as_json=as_json)) is None:
        raise typer.Exit(1)


def _asked(wanted: dict[str, Any], *, changes: bool = False) -> "NodeOrder":
    """What was typed, checked as the coordinator will. Raises typer.BadParameter."""
    import msgspec

    from schemas import codec
    from schemas.checking import TAG_FORM
    from schemas.orders import NodeChange, NodeOrder

    if not wanted["nodes"] and not wanted["with_tag"]:
        raise typer.BadParameter("name nodes, or all with a tag by --with-tag", param_hint="NODE")
    given = {name: value for name, value in wanted.items() if value is not None and value != ""}
    try:
        return msgspec.convert(given, NodeChange if changes else NodeOrder)
    except msgspec.ValidationError as error:
        where, what = codec.explain(error)
        field = where.partition("[")[0]
        if "regex" in what:
            what = NODE_ID_FORM if field == "nodes" else TAG_FORM
        raise typer.BadParameter(what, param_hint=TYPED_AS.get(field, where)) from error
