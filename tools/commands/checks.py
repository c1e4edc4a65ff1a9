"""Looking over one's set-up: `doctor`, `config`, `schema`."""

from typing import Annotated

import typer

from tools.commands.common import Config, Creds, Json, Server, run


def register(app: typer.Typer) -> None:
    for command in (doctor, config, schema):
        app.command(rich_help_panel="Setup")(command)


def doctor(as_json: Json = False, server: Server = None, creds: Creds = None, config: Config = None) -> None:
    """Check everything: settings, binaries, disk, broker, streams, coordinator, nodes. Exits 1 if there is a problem.

    Each check is fine, a warning or a problem, with what to do about it. Works without a cluster too, as far as
    that goes.

    Examples:

        downdraft doctor

        downdraft doctor --json | jq 'select(.status == "problem")'
    """
    from schemas.settings import LogSettings
    from tools.doctor.diagnosing import diagnose
    from tools.doctor.findings import Status
    from tools.doctor.report import print_findings
    from tools.logs import configure

    configure(LogSettings(level="error"))
    findings = run(lambda: diagnose(server, creds, config))
    print_findings(findings, as_json=as_json)
    if any(finding.status is Status.PROBLEM for finding in findings):
        raise typer.Exit(1)


def config(
    changed: Annotated[bool, typer.Option("--changed", help="Only those that are not at their default.")] = False,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Show every setting in force and where it came from: default, file or environment.

    Examples:

        downdraft config

        downdraft config --changed --json
    """
    from tools.configured import print_settings
    from tools.context import load_settings, settings_file

    print_settings(load_settings(config), settings_file(config), only_changed=changed, as_json=as_json)


def schema(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="One payload: request, event, heartbeat …; default: all.")
    ] = None,
    asyncapi: Annotated[
        bool, typer.Option("--asyncapi", help="Print an AsyncAPI 3.0 document instead: subjects, and who may use them.")
    ] = False,
) -> None:
    """Print the JSON Schema of what is on the wire, for programs in any language.

    Examples:

        downdraft schema

        downdraft schema request

        downdraft schema --asyncapi
    """
    import json

    from schemas.asyncapi import document
    from schemas.contract import PAYLOADS, json_schema

    if asyncapi and name:
        raise typer.BadParameter("--asyncapi prints one document about everything", param_hint="NAME")
    if name and name not in PAYLOADS:
        raise typer.BadParameter(f"there is no payload {name!r}; there are {', '.join(PAYLOADS)}", param_hint="NAME")
    typer.echo(json.dumps(document() if asyncapi else json_schema(name or ""), indent=2, ensure_ascii=False))
