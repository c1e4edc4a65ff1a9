"""A Docker engine to test with: the one that runs here, else one that a helper beside the checkout starts."""

import fcntl
import os
import shlex
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

CHECKOUT = Path(__file__).resolve().parents[2]
HELPER = CHECKOUT.parent / "shared" / "lab" / "compose_lab.sh"
HELPER_WITHIN_S = 600
COMING_OR_GOING = Path(tempfile.gettempdir()) / "downdraft-tests-engine.lock"
"""Held while the helper's engine is started or stopped."""
USERS = COMING_OR_GOING.with_suffix(".users")
"""Held, shared, by every process that uses it; not empty where one of them started it."""


class NoEngine(Exception):
    """There is no Docker engine with Compose here."""


class Engine(NamedTuple):
    environment: dict[str, str]
    """For `docker`: which engine, and how it is talked to."""
    build_network: str
    """The network in which images are built; '' for the usual."""


@contextmanager
def running_engine() -> Iterator[Engine]:
    """An engine for the length of the block; one that was started for it is stopped afterwards. Raises NoEngine."""
    engine = Engine(dict(os.environ), "")
    if _answers(engine.environment):
        yield engine
        return
    if not HELPER.exists() or os.geteuid() != 0:
        raise NoEngine("no Docker engine with Compose answers here")
    helped = Engine(os.environ | _exports(_helper("env")), "host")
    with _shared(helped):
        yield helped


@contextmanager
def _shared(helped: Engine) -> Iterator[None]:
    """Test processes beside each other have one engine: the first starts it, and the last stops what was started."""
    with USERS.open("a+") as users:
        try:
            with _alone():
                if not _answers(helped.environment):
                    users.write(f"{os.getpid()}\n")
                    users.flush()
                _helper("up")
                if not _answers(helped.environment):
                    raise NoEngine(f"{HELPER} started no Docker engine that answers")
                fcntl.flock(users, fcntl.LOCK_SH)
            yield
        finally:
            with _alone():
                _stop_if_last(users)


@contextmanager
def _alone() -> Iterator[None]:
    with COMING_OR_GOING.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _stop_if_last(users: IO[str]) -> None:
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    users.seek(0)
    if users.read():
        _helper("down")
        users.truncate(0)


def _answers(environment: dict[str, str]) -> bool:
    try:
        return all(
            subprocess.run(["docker", *command], env=environment, capture_output=True, timeout=30).returncode == 0  # noqa: S607
            for command in (["version"], ["compose", "version"])
        )
    except (OSError, subprocess.TimeoutExpired):
        return False


def _helper(verb: str) -> str:
    ended = subprocess.run(
        [str(HELPER), verb], capture_output=True, text=True, timeout=HELPER_WITHIN_S, stdin=subprocess.DEVNULL
    )
    if ended.returncode != 0:
        raise NoEngine(f"{HELPER} {verb}: {ended.stderr[-500:]}")
    return ended.stdout


def _exports(shell: str) -> dict[str, str]:
    """The variables of one `export A=b C=d` line."""
    words = shlex.split(shell)
    return dict(word.split("=", 1) for word in words if "=" in word)
