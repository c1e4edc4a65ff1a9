"""`downdraft`: the command line. Each command imports what it needs when it runs, so that `--help` is quick."""

import os
import sys
from typing import Annotated

import typer

from tools.commands import cluster, look, steer, submit

app = typer.Typer(
    name="downdraft",
    help="A distributed download cluster: publish requests to NATS, nodes drive aria2, events tell what happens.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        from schemas import __version__

        typer.echo(f"downdraft {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


cluster.register(app)
submit.register(app)
look.register(app)
steer.register(app)


def main() -> None:
    """The entry point: errors that are meant for people are printed as one sentence, with their exit code."""
    from schemas.errors import DowndraftError

    try:
        app()
    except* DowndraftError as group:
        first = _first(group)
        typer.secho(f"downdraft: {first}", fg="red", err=True)
        sys.exit(first.exit_code if isinstance(first, DowndraftError) else 1)
    except* BrokenPipeError:
        # Whoever read our output has seen enough. Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except* KeyboardInterrupt:
        sys.exit(130)


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
