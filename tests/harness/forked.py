"""Command lines in processes that need not load everything first: forked from one that has, once for all tests.

A command is a process of its own as ever, with its own folder, environment, output and exit code; but four fifths of
the time that a short one takes go to loading modules. How commands start for users is what
tests/e2e/test_examples.py and tests/unit/tools/test_startup.py see to.
"""

import os
import random
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Mapping, Sequence
from functools import cache
from multiprocessing import connection, get_context
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import NamedTuple

LOADED = ["tools.cli", "tools.doctor.diagnosing", "tools.listing", "tools.overview", "tools.submitting"]
"""With these most that any command loads."""


class Command(NamedTuple):
    """What to run, where, and the folder for what comes of it."""

    arguments: Sequence[str]
    cwd: Path
    environment: Mapping[str, str]
    results: Path


@cache
def _context() -> ForkServerContext:
    context = get_context("forkserver")
    context.set_forkserver_preload([*LOADED, __name__])
    return context


def run(
    arguments: Sequence[str], *, cwd: Path, environment: Mapping[str, str], timeout_s: float
) -> "subprocess.CompletedProcess[str]":
    """`downdraft <arguments>`, as subprocess.run would have it; from any thread. Raises TimeoutExpired."""
    with tempfile.TemporaryDirectory(prefix="downdraft-command-") as folder:
        results = Path(folder)
        command = Command(arguments, cwd, environment, results)
        process = _context().Process(target=_live, args=(command,))
        process.start()
        # Not `join`: it would read an end that another thread's `start` may have read.
        if not connection.wait([process.sentinel], timeout_s):
            process.kill()
            raise subprocess.TimeoutExpired(["downdraft", *arguments], timeout_s)
        code, out, err = [(results / name).read_text() for name in ("code", "out", "err")]
    return subprocess.CompletedProcess(["downdraft", *arguments], int(code), out, err)


def _live(command: Command) -> None:
    """In the process: become what the command line says."""
    places: tuple[str | Path, ...] = (os.devnull, command.results / "out", command.results / "err")
    for number, place in enumerate(places):
        opened = os.open(place, os.O_RDWR | os.O_CREAT, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    os.chdir(command.cwd)
    os.environ.clear()
    os.environ.update(command.environment)
    time.tzset()
    random.seed()
    code = _main(command.arguments)
    (command.results / "code").write_text(str(code))


def _main(arguments: Sequence[str]) -> int:
    from tools.cli import main

    sys.argv = ["downdraft", *arguments]
    try:
        main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(bool(end.code))
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0
