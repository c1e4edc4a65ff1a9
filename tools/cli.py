"""`downdraft`: the command line. Each command imports what it needs when it runs, so that `--help` is quick."""

import os
import sys
from typing import Annotated

import typer

from tools.commandline import App, colour
from tools.commands import backup, checks, cluster, drill, files, fleet, follow, key, look, policy, steer, submit
from tools.postponed import left_out, postponed

EPILOG = """Exit codes:
  0    done
  1    what was asked for did not happen
  2    bad input: an option, a request, a setting
  3    node: another process runs under this id
  130  interrupted (143: by SIGTERM)
"""

app = App(
    name="downdraft",
    help="A distributed download cluster: publish requests to NATS, nodes drive aria2, events tell what happens.",
    epilog=EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
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
key.register(app)
backup.register(app)
drill.register(app)
submit.register(app)
look.register(app)
follow.register(app)
steer.register(app)
policy.register(app)
fleet.register(app)
files.register(app)
checks.register(app)


def main() -> None:
    """The entry point: errors that are meant for people are printed as one sentence, with their exit code."""
    from schemas.errors import DowndraftError

    code = None
    try:
        # Either takes a good part of a command's time to load. nats-py needs aiohttp for websockets only; structlog
        # would colour tracebacks, and ours are plain.
        with postponed("aiohttp"), left_out("rich.traceback"):
            app()
    except* DowndraftError as group:
        first = _first(group)
        typer.secho(f"downdraft: {first}", fg="red", err=True, color=colour())
        code = first.exit_code if isinstance(first, DowndraftError) else 1
    except* BrokenPipeError:
        # Whoever read our output has seen enough. Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except* KeyboardInterrupt:
        code = 130
    if code is not None:
        sys.exit(code)  # not above: Python 3.11.2 would put it into a group, and end with a traceback


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
