"""The command line starts quickly: what it does not need it does not load. benchmarks/startup.py measures times."""

import subprocess
import sys
from pathlib import Path

from tests.harness.processes import environment

HEAVY = {
    "aiohttp",
    "anyio",
    "aria2p",
    "asyncio",
    "msgspec",
    "nats",
    "nkeys",
    "pydantic",
    "requests",
    "rich",
    "structlog",
}
EVERY_HELP = """
import sys, typer
from tools.cli import app
group = typer.main.get_command(app)
context = group.make_context("downdraft", ["ls"])
print(group.get_help(context))
for name, command in group.commands.items():
    print(command.get_help(typer.Context(command, info_name=name, parent=context)))
print(*sys.modules, file=sys.stderr)
"""


def loaded(*arguments: str, folder: Path) -> set[str]:
    """The modules that `python -m tools <arguments>` imports."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-P", "-m", "tools", *arguments],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}


def test_no_help_loads_what_only_the_work_needs() -> None:
    done = subprocess.run(
        [sys.executable, "-c", EVERY_HELP], capture_output=True, text=True, timeout=60, check=True, env=environment()
    )
    assert done.stdout.count("Usage:") > 20
    assert HEAVY & set(done.stderr.split()) == set()


def test_asking_for_the_version_or_for_help_loads_none_of_it(tmp_path: Path) -> None:
    for arguments in (["--version"], ["--help"], ["ls", "--help"], ["policy", "set", "--help"]):
        modules = loaded(*arguments, folder=tmp_path)
        assert "tools.cli" in modules
        assert HEAVY & modules == set(), arguments


def test_a_command_that_talks_to_the_cluster_loads_neither_websockets_nor_what_only_nodes_need(tmp_path: Path) -> None:
    modules = loaded("ls", "--json", folder=tmp_path)  # ends where it finds no cluster, with everything loaded
    assert "nats.aio.client" in modules
    assert {"aiohttp.client", "aria2p", "attr._make", "psutil", "pydantic", "pygments", "requests"} & modules == set()
