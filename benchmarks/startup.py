"""How long the command line takes to start, beside what Python itself and its libraries take.

With compiled bytecode, as an installed program has it; the first run, which compiles, does not count.
"""

import os
import sys
import tempfile

from benchmarks import usage
from benchmarks.cluster import CHECKOUT, Bench
from benchmarks.rows import Round, Row, compared

CASES = {"--help": ["--help"], "submit --help": ["submit", "--help"], "ls --json": ["ls", "--json"]}
PEERS = {"python -c pass": "pass", "import typer, rich": "import typer, rich"}
CEILING_MS = 300


async def measure(bench: Bench, *, rounds: int, runs: int = 15) -> list[Row]:
    """A row for each command and peer; the sides alternate, and a round is the median of its runs."""
    with tempfile.TemporaryDirectory(prefix="downdraft-bytecode-") as bytecode:
        environment = os.environ | {"PYTHONPYCACHEPREFIX": bytecode, "PYTHONPATH": os.fspath(CHECKOUT)}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)

        async def timed(command: list[str]) -> Round:
            taken = [await usage.of_command(command, cwd=bench.folder, env=environment) for _ in range(runs)]
            took_s, used = sorted(taken)[len(taken) // 2]
            return Round(took_s * 1000, used)

        rows = []
        for case, arguments in CASES.items():
            ours = [sys.executable, "-P", "-m", "tools", *arguments]
            for peer, code in PEERS.items():
                theirs = [sys.executable, "-c", code]
                for command in (ours, theirs):
                    await usage.of_command(command, cwd=bench.folder, env=environment)
                pairs = [(await timed(ours), await timed(theirs)) for _ in range(rounds)]
                floor = {"floor": CEILING_MS, "floor_of": "value", "floor_is_ceiling": True} if "--help" in case else {}
                rows.append(compared("startup", case, "ms", peer, pairs, **floor))
        return rows
