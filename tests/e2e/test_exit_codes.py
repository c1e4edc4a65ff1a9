"""What a script can rely on: exit codes, silence where it was interrupted, and no colour where it is not wanted."""

import json
import os
import pty
import re
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.harness.processes import COMMAND, Up, environment

ESCAPE = re.compile(r"\x1b")
COLOUR = re.compile(r"\x1b\[[\d;]*\b[39]\dm")
SHOW_CURSOR = "\x1b[?25h"
NOBODY = ("submit", "http://127.0.0.1:1/f", "--tag", "nobody-has-this", "--wait")


def on_a_terminal(up: Up, *arguments: str, until: str = "", then: int = 0, **settings: str) -> tuple[int, str]:
    """Run it on a terminal; once it has shown `until`, send it the signal `then`. Exit code and output."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=up.folder,
        env=environment() | {"TERM": "xterm", "COLUMNS": "120"} | settings,
        stdin=subprocess.DEVNULL,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    )
    os.close(slave)
    said, told = "", False
    with suppress(OSError):  # EIO: it has closed its side
        while data := os.read(master, 65536):
            said += data.decode(errors="replace")
            if until and until in said and not told:
                told = True
                process.send_signal(then)
    os.close(master)
    return process.wait(30), said


def interrupted(up: Up, *arguments: str, by: int) -> tuple[int, str, str]:
    """Run it, signal it once it has connected, and what came of it."""
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=up.folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 30
    while not is_connected(process.pid):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(by)
    out, err = process.communicate(timeout=30)
    return process.returncode, out, err


def is_connected(pid: int) -> bool:
    return any(connection.status == "ESTABLISHED" for connection in psutil.Process(pid).net_connections("tcp"))


async def test_0_done(cluster: Up) -> None:
    assert (await cluster.arun("stats")).returncode == 0


async def test_1_what_was_asked_for_did_not_happen(cluster: Up) -> None:
    assert (await cluster.arun("show", "0123456789abcdef")).returncode == 1
    done = await cluster.arun("submit", "http://127.0.0.1:1/f", "--max-attempts", "1", "--wait", "--json")
    assert (done.returncode, json.loads(done.stdout)["state"]) == (1, "failed")
    unanswered = await cluster.arun("stats", "--server", "nats://127.0.0.1:1")
    assert unanswered.returncode == 1
    assert "no nats-server answers at nats://127.0.0.1:1" in unanswered.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("stats", "--no-such-option"),
        ("no-such-command",),
        ("submit", "gopher://x/y"),
        ("up", "--nodes", "-1"),
        ("ls", "--state", "flying"),
        ("stats", "--creds", "no-such-file"),
        ("stats", "--server", "nats://["),
        ("coordinator", "--name", "a.host.of.ours"),
    ],
    ids=str,
)
async def test_2_bad_input(cluster: Up, arguments: tuple[str, ...]) -> None:
    done = await cluster.arun(*arguments)
    assert done.returncode == 2, done
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


async def test_2_no_cluster_to_be_found(cluster: Up, tmp_path: Path) -> None:
    assert Up(tmp_path, cluster.process).run("stats").returncode == 2


@pytest.mark.parametrize(("by", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("arguments", [NOBODY, ("events",), ("watch",)], ids=["submit --wait", "events", "watch"])
def test_interrupted_it_ends_at_once_and_in_order(cluster: Up, arguments: tuple[str, ...], by: int, code: int) -> None:
    returncode, _, err = interrupted(cluster, *arguments, by=by)
    assert returncode == code, err
    assert "Traceback" not in err
    assert len(err.splitlines()) <= 2  # at most that the download goes on
    cluster.run("clear", "--yes")


@pytest.mark.parametrize(("by", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_on_a_terminal_it_leaves_the_cursor_as_it_was(cluster: Up, by: int, code: int) -> None:
    returncode, said = on_a_terminal(cluster, *NOBODY, until="queued", then=by)
    assert returncode == code
    assert said.rindex(SHOW_CURSOR) > said.rindex("queued")
    assert "Traceback" not in said
    cluster.run("clear", "--yes")


def test_a_terminal_gets_colour(cluster: Up) -> None:
    for arguments in (("nodes",), ("ls", "--help"), ("show", "0123456789abcdef"), ("stats", "--creds", "none")):
        assert COLOUR.search(on_a_terminal(cluster, *arguments)[1]), arguments


def test_no_color_means_none(cluster: Up) -> None:
    for arguments in (("nodes",), ("ls", "--help"), ("show", "0123456789abcdef"), ("stats", "--creds", "none")):
        said = on_a_terminal(cluster, *arguments, NO_COLOR="1")[1]
        assert said
        assert not COLOUR.search(said), arguments


def test_a_dumb_terminal_and_a_pipe_get_no_escapes(cluster: Up) -> None:
    for arguments in (("nodes",), ("ls", "--help"), ("show", "0123456789abcdef"), ("stats", "--creds", "none")):
        said = on_a_terminal(cluster, *arguments, TERM="dumb")[1]
        piped = cluster.run(*arguments)
        assert said
        assert not ESCAPE.search(said), arguments
        assert not ESCAPE.search(piped.stdout + piped.stderr), arguments
