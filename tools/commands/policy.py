"""The cluster's policy: `policy show`, `policy set`."""

from typing import Annotated, Any

import typer

from tools.commandline import App, Command
from tools.commands import completing
from tools.commands.common import Creds, Json, Server, with_client

ENTRIES = ("--owner", "--origin")
"""Options that take the `field=value` words after them, too."""
_GIVEN = [[each] for each in ENTRIES]
_GIVEN_AT_ONCE = tuple(f"{each}=" for each in ENTRIES)

Many = list[str] | None


class SetCommand(Command):
    """`--owner alice weight=2 queued=9` means `--owner 'alice weight=2 queued=9'`."""

    def parse_args(self, ctx: Any, args: list[str]) -> Any:
        return super().parse_args(ctx, _joined(args))


def _joined(args: list[str]) -> list[str]:
    joined: list[str] = []
    for word in args:
        # After `--owner alice`, and after `--owner=alice`.
        is_entry = joined[-2:-1] in _GIVEN or (joined and joined[-1].startswith(_GIVEN_AT_ONCE))
        if is_entry and "=" in word and not word.startswith("-"):
            joined[-1] += f" {word}"
        else:
            joined.append(word)
    return joined


def register(app: typer.Typer) -> None:
    group = App(
        help="The cluster's policy: how tasks are placed, whose turn it is, and every limit.", no_args_is_help=True
    )
    group.command("show")(show)
    group.command("set", cls=SetCommand)(set_policy)
    app.add_typer(group, name="policy", rich_help_panel="Placing")


def show(
    toml: Annotated[bool, typer.Option("--toml", help="Print TOML, to be edited and given to `set --file`.")] = False,
    as_json: Json = False,
    server: Server = None,
    creds: Creds = None,
) -> None:
    """Show the policy: the strategy, shares and limits of owners, limits of origins, bandwidth.

    Examples:

        downdraft policy show

        downdraft policy show --toml

        downdraft policy show --json | jq .policy.owners
    """
    from tools.policyshow import show as show_policy

    with_client(server, creds, lambda client: show_policy(client, as_json=as_json, toml=toml))


def set_policy(
    fields: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FIELD=VALUE…]",
            help="Such as strategy=spread, owners.alice.weight=2, bin_pack_weights.disk=0.5.",
            autocompletion=completing.policy_fields,
        ),
    ] = None,
    strategy: Annotated[
        str | None,
        typer.Option(
            "--strategy",
            metavar="NAME",
            help="Which of the fitting nodes takes a task.",
            autocompletion=completing.strategies,
        ),
    ] = None,
    spread_tag: Annotated[
        str | None, typer.Option("--spread-tag", metavar="TAG", help="With spread: evenly over its values first.")
    ] = None,
    owners: Annotated[
        Many,
        typer.Option(
            "--owner",
            metavar="NAME FIELD=VALUE…",
            help="weight, queued, running of an owner; '*': all others. Repeatable.",
        ),
    ] = None,
    origins: Annotated[
        Many,
        typer.Option(
            "--origin",
            metavar="HOST FIELD=VALUE…",
            help="running, bytes_per_s of host, host:port, '*.suffix' or '*': each other. Repeatable.",
        ),
    ] = None,
    windows: Annotated[
        Many,
        typer.Option(
            "--window", metavar="WINDOW", help="Add a bandwidth window: 'Mon-Fri 08:00-18:00 20M'. Repeatable."
        ),
    ] = None,
    time_zone: Annotated[
        str | None, typer.Option("--time-zone", metavar="ZONE", help="Of the windows, such as Europe/Berlin.")
    ] = None,
    unset: Annotated[
        Many,
        typer.Option(
            "--unset",
            metavar="FIELD",
            help="Back to the default: strategy, owners.alice, origins.*.example.org.running, bandwidth.1. Repeatable.",
        ),
    ] = None,
    file: Annotated[
        str | None,
        typer.Option(
            "--file", "-f", metavar="FILE", help="Replace the whole policy by this JSON or TOML; -: standard input."
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Show what would change, and set nothing.")] = False,
    as_json: Json = False,
    server: Server = None,
    creds: Creds = None,
) -> None:
    """Change fields of the policy, or replace it; the coordinator follows at once. Exits 2 for what is not valid.

    What is not named stays as it is. What is unset is unset first. The words after --owner and --origin belong to
    them.

    Examples:

        downdraft policy set strategy=bin-pack

        downdraft policy set --strategy spread --spread-tag zone

        downdraft policy set --owner alice weight=2 queued=1000 --owner '*' queued=10000

        downdraft policy set --origin '*.example.org' running=4 bytes_per_s=20M --dry-run

        downdraft policy set --window 'Mon-Fri 08:00-18:00 20M' --time-zone Europe/Berlin

        downdraft policy set --file policy.toml
    """
    from tools.policyedit import Edits, edited
    from tools.policyfile import read_file
    from tools.policyshow import change

    named = {"strategy": strategy, "spread_tag": spread_tag, "time_zone": time_zone}
    words = [*(fields or ()), *(f"{field}={value}" for field, value in named.items() if value is not None)]
    edits = Edits(words, owners or (), origins or (), windows or (), unset or ())
    if (file is not None) == any(edits):
        raise typer.BadParameter("say what to change, such as strategy=spread, or give a whole policy with --file")
    if file is None:
        based_on, edit = None, lambda values: edited(values, edits)
    else:
        values, based_on = read_file(file)
        edit = lambda _: values  # noqa: E731 - beside the other one
    with_client(
        server,
        creds,
        lambda client: change(
            client, edit, whole=file is not None, based_on=based_on, dry_run=dry_run, as_json=as_json
        ),
    )
