"""API keys of the HTTP gateway: `key create`, `key ls`, `key revoke`."""

from typing import Annotated

import typer

from tools.commandline import App
from tools.commands.common import Creds, Json, Server, with_client


def register(app: typer.Typer) -> None:
    group = App(help="API keys of the HTTP gateway: who may do what in whose name.", no_args_is_help=True)
    group.command("create")(create)
    group.command("ls")(list_keys)
    group.command("revoke")(revoke)
    app.add_typer(group, name="key", rich_help_panel="Processes")


def create(
    owner: Annotated[str, typer.Option(help="In whose name it submits, and whose tasks it sees.")] = "default",
    scope: Annotated[
        list[str] | None,
        typer.Option(help="What it may do: read, submit, admin (everything, for every owner). Repeatable."),
    ] = None,
    note: Annotated[str, typer.Option(help="What it is for, for people.")] = "",
    as_json: Json = False,
    server: Server = None,
    creds: Creds = None,
) -> None:
    """Make an API key and print it, once: it is stored nowhere. Without --scope it may read and submit.

    Examples:

        downdraft key create --owner team-a --note "nightly mirror"

        downdraft key create --owner ops --scope admin --json
    """
    from tools.apikeys import make_key

    with_client(
        server, creds, lambda client: make_key(client, owner, scope or ["read", "submit"], note, as_json=as_json)
    )


def list_keys(
    everything: Annotated[bool, typer.Option("--all", help="Revoked ones too.")] = False,
    as_json: Json = False,
    server: Server = None,
    creds: Creds = None,
) -> None:
    """List the API keys: their ids, owners and scopes, never the keys themselves.

    Example:

        downdraft key ls --all
    """
    from tools.apikeys import print_keys

    with_client(server, creds, lambda client: print_keys(client, everything=everything, as_json=as_json))


def revoke(
    keys: Annotated[list[str], typer.Argument(metavar="KEY…", help="Ids, as `downdraft key ls` shows them.")],
    as_json: Json = False,
    server: Server = None,
    creds: Creds = None,
) -> None:
    """Revoke API keys: within two seconds no gateway takes them any more.

    Example:

        downdraft key revoke 1a2b3c4d
    """
    from tools.apikeys import revoke_keys

    with_client(server, creds, lambda client: revoke_keys(client, keys, as_json=as_json))
