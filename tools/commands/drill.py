"""`drill`: a storm of faults on a cluster of its own."""

from typing import Annotated

import typer

from tools.commands.common import Json, run
from tools.drill import limits


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel="Processes")(drill)


def drill(
    tasks: Annotated[int, typer.Option(min=1, max=limits.TASKS_MAX, help="How many downloads.")] = limits.TASKS,
    seconds: Annotated[
        int, typer.Option(min=limits.SECONDS_MIN, max=limits.SECONDS_MAX, help="How long the storm lasts.")
    ] = limits.SECONDS,
    seed: Annotated[
        int | None, typer.Option(min=0, max=limits.SEED_MAX, help="The same storm again; default: a new one.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Break a cluster for real and check that nothing is lost and nothing done twice.

    It starts a cluster of its own (nats-server, two coordinators, three nodes, a web server), submits downloads, and
    kills or freezes one of its processes every second. Then the books must balance: one outcome for each accepted
    request, and the right SHA-256 for each file. Exits 1 where they don't, and keeps everything for a look.

    Examples:

        downdraft drill

        downdraft drill --tasks 2000 --seconds 120

        downdraft drill --seed 4711 --json
    """
    import random

    from schemas.settings import LogSettings
    from tools.drill.run import run_drill
    from tools.logs import configure

    configure(LogSettings(level="error"))
    chosen = seed if seed is not None else random.SystemRandom().randint(0, limits.SEED_MAX)
    raise typer.Exit(run(lambda: run_drill(chosen, tasks, seconds, as_json=as_json)))
