"""`get` and `rm` as their users run them, on a cluster of real processes that also die."""

import hashlib
import json
import os
import random
import signal
import subprocess
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from tests.harness.metalinks import Entry, meta4
from tests.harness.processes import COMMAND, Up, environment
from tests.harness.waiting import eventually
from tests.integration.node.origin import Origin

MIB = 1 << 20
LARGE = 20 * MIB


async def stored(cluster: Up, origin: Origin, size: int, *arguments: str) -> tuple[str, bytes, Path]:
    """A completed task, its bytes and where they lie on its node."""
    body = random.Random(size).randbytes(size)
    origin.files["f"] = body
    done = await cluster.arun("submit", origin.url("file/f"), "--wait", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    view = await cluster.show(done.stdout.split()[0])
    return str(view["task"]), body, cluster.downloads(str(view["node"])) / str(view["path"])


async def raw(cluster: Up, *arguments: str) -> "subprocess.CompletedProcess[bytes]":
    """A command whose output is no text."""
    return await anyio.run_process([*COMMAND, *arguments], cwd=cluster.folder, env=environment(), check=False)


async def test_a_file_is_fetched_whole_and_only_once(cluster: Up, origin: Origin, tmp_path: Path) -> None:
    task, body, _ = await stored(cluster, origin, LARGE, "--out", "large.bin")
    done = await cluster.arun("get", task, "-o", str(tmp_path), "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert told["digest"] == f"sha-256={hashlib.sha256(body).hexdigest()}"
    assert (told["ok"], told["bytes"]) == (True, LARGE)
    target = Path(told["path"])
    assert target.parent == tmp_path
    assert target.read_bytes() == body
    assert list(tmp_path.iterdir()) == [target], "no .part is left"

    target.write_bytes(b"mine")
    again = await cluster.arun("get", task, "-o", str(tmp_path))
    assert again.returncode == 1
    assert "exists: --force overwrites it" in again.stdout
    assert target.read_bytes() == b"mine"
    assert (await cluster.arun("get", task, "-o", str(tmp_path), "--force")).returncode == 0
    assert target.read_bytes() == body


async def test_stdout_gets_the_bytes_and_nothing_else(cluster: Up, origin: Origin) -> None:
    task, body, _ = await stored(cluster, origin, 3 * MIB + 1)
    done = await raw(cluster, "get", task, "-o", "-")
    assert done.returncode == 0
    assert done.stdout == body
    assert task.encode() in done.stderr


async def test_several_files_go_into_a_folder(cluster: Up, origin: Origin, tmp_path: Path) -> None:
    first, body, _ = await stored(cluster, origin, 0, "--out", "empty")
    second, other, _ = await stored(cluster, origin, 1000, "--out", "small")
    done = await cluster.arun("get", first, second, "0123456789abcdef", "-o", str(tmp_path), "--json")
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["ok"] for one in told] == [True, True, False]
    assert "no such task" in told[2]["said"]
    assert done.returncode == 1
    assert sorted(Path(one["path"]).read_bytes() for one in told[:2]) == sorted([body, other])
    refused = await cluster.arun("get", first, second, "-o", str(tmp_path / "nowhere"))
    assert refused.returncode == 2


async def test_a_task_of_several_files_is_shown_fetched_and_deleted_as_one(
    cluster: Up, origin: Origin, tmp_path: Path
) -> None:
    bodies = {"a.bin": random.Random(1).randbytes(100_000), "deep/b.bin": random.Random(2).randbytes(1000)}
    origin.files |= {"a.bin": bodies["a.bin"], "b.bin": bodies["deep/b.bin"]}
    entries = [Entry(path, [origin.url(f"file/{Path(path).name}")], body) for path, body in bodies.items()]
    origin.files["suite.meta4"] = meta4(*entries)
    done = await cluster.arun("submit", origin.url("file/suite.meta4"), "--wait", "--dir", "several")
    assert done.returncode == 0, done.stdout + done.stderr
    task = done.stdout.split()[0]
    view = await cluster.show(task)
    assert view["path"] == "several/suite"
    assert [one["path"] for one in view["files"]] == [f"several/suite/{path}" for path in bodies]
    shown = await cluster.arun("show", task)
    for told in ("several/suite/deep/b.bin", view["files"][0]["digest"], "files=2"):
        assert told in shown.stdout

    fetched = await cluster.arun("get", task, "-o", str(tmp_path), "--json")
    assert fetched.returncode == 0, fetched.stdout + fetched.stderr
    assert json.loads(fetched.stdout)["files"] == 2
    for path, body in bodies.items():
        assert (tmp_path / "suite" / path).read_bytes() == body
    (tmp_path / "suite/deep/b.bin").unlink()
    again = await cluster.arun("get", task, "-o", str(tmp_path), "--json")
    assert json.loads(again.stdout)["resumed_from"] == len(bodies["a.bin"]), "what is there is not fetched again"
    (tmp_path / "suite/a.bin").write_bytes(b"mine")
    assert "exists: --force overwrites it" in (await cluster.arun("get", task, "-o", str(tmp_path))).stdout
    assert (await cluster.arun("get", task, "-o", "-")).returncode == 1

    folder = cluster.downloads(str(view["node"])) / "several"
    removed = await cluster.arun("rm", task, "--files", "--yes")
    assert removed.returncode == 0, removed.stdout
    assert "deleted with its 2 files" in removed.stdout
    assert list(folder.iterdir()) == []


async def test_an_interrupted_get_goes_on_where_it_was(cluster: Up, origin: Origin, tmp_path: Path) -> None:
    task, body, _ = await stored(cluster, origin, 2 * MIB)
    (tmp_path / "f.part").write_bytes(body[:1_000_000])
    done = await cluster.arun("get", task, "-o", str(tmp_path / "f"), "--json")
    assert json.loads(done.stdout)["resumed_from"] == 1_000_000
    assert (tmp_path / "f").read_bytes() == body


async def test_a_part_of_something_else_is_started_over(cluster: Up, origin: Origin, tmp_path: Path) -> None:
    task, body, _ = await stored(cluster, origin, 2 * MIB)
    (tmp_path / "f.part").write_bytes(b"another file's beginning")
    done = await cluster.arun("get", task, "-o", str(tmp_path / "f"), "--json")
    assert (done.returncode, json.loads(done.stdout)["resumed_from"]) == (0, 0)
    assert (tmp_path / "f").read_bytes() == body


@pytest.mark.parametrize("target", ["file", "stdout"])
async def test_a_file_that_was_changed_on_its_node_is_not_taken_for_whole(
    cluster: Up, origin: Origin, tmp_path: Path, target: str
) -> None:
    task, _, file = await stored(cluster, origin, 2 * MIB)
    with file.open("r+b") as opened:
        opened.seek(MIB)
        opened.write(b"changed")
    done = await raw(cluster, "get", task, "-o", str(tmp_path / "f") if target == "file" else "-")
    assert done.returncode == 1
    said = (done.stdout if target == "file" else done.stderr).decode()
    assert "is not what was downloaded any more" in said
    assert list(tmp_path.iterdir()) == []


async def test_a_file_that_is_gone_or_of_another_size_is_told_apart(
    cluster: Up, origin: Origin, tmp_path: Path
) -> None:
    task, _, file = await stored(cluster, origin, 1000)
    file.write_bytes(b"short")
    done = await cluster.arun("get", task, "-o", str(tmp_path / "f"))
    assert (done.returncode, "has 5 bytes now, not 1000" in done.stdout) == (1, True)
    file.unlink()
    done = await cluster.arun("get", task, "-o", str(tmp_path / "f"))
    assert (done.returncode, "there is no file" in done.stdout) == (1, True)
    assert list(tmp_path.iterdir()) == []


async def test_a_task_without_a_file_says_how_it_stands(cluster: Up, origin: Origin) -> None:
    queued = (await cluster.arun("submit", origin.url("file/f"), "--tag", "nobody-has-this")).stdout.strip()
    done = await cluster.arun("get", queued)
    assert (done.returncode, "it is queued, not completed" in done.stdout) == (1, True)
    assert (await cluster.arun("rm", queued)).returncode == 0
    await cluster.state(queued, "cancelled")
    done = await cluster.arun("get", queued)
    assert (done.returncode, "it is cancelled, there is no file" in done.stdout) == (1, True)


async def test_producers_and_viewers_may_not_read_files(cluster: Up, origin: Origin, tmp_path: Path) -> None:
    task, _, _ = await stored(cluster, origin, 1000)
    for role in ("producer", "viewer"):
        arguments = ("get", task, "-o", str(tmp_path / "f"), "--server", cluster.url, "--creds", cluster.creds(role))
        done = await cluster.arun(*arguments)
        assert done.returncode == 1
        assert "these credentials may not read files" in done.stdout
    assert list(tmp_path.iterdir()) == []


class Stalled:
    """A `get -o -` whose reader takes nothing yet: it stops in the middle of the file."""

    def __init__(self, cluster: Up, task: str) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, "get", task, "-o", "-"],
            bufsize=0,
            cwd=cluster.folder,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    async def begun(self) -> None:
        """Wait for the first byte."""
        assert self.process.stdout is not None
        self.first = await anyio.to_thread.run_sync(self.process.stdout.read, 1)
        assert self.first

    async def rest(self) -> tuple[int, bytes, str]:
        """Read on to the end: exit code, all bytes, what it said."""
        out, err = await anyio.to_thread.run_sync(lambda: self.process.communicate(timeout=90))
        return self.process.returncode, self.first + out, err.decode()


async def test_a_broker_killed_in_the_middle_only_delays_a_get(cluster: Up, origin: Origin) -> None:
    task, body, _ = await stored(cluster, origin, LARGE)
    get = Stalled(cluster, task)
    await get.begun()
    pid, node = cluster.pid("nats-server"), cluster.pid("node-1")
    os.kill(pid, signal.SIGKILL)
    await eventually(lambda: cluster.pid("nats-server") != pid, within_s=20, what="restarted")
    code, got, said = await get.rest()
    assert code == 0, said
    assert got == body
    assert cluster.pid("node-1") == node, "the node lived through it"


async def test_a_node_killed_in_the_middle_only_delays_a_get(cluster: Up, origin: Origin) -> None:
    task, body, _ = await stored(cluster, origin, LARGE, "--tag", "archive")
    get = Stalled(cluster, task)
    await get.begun()
    os.kill(cluster.pid("node-2"), signal.SIGKILL)
    code, got, said = await get.rest()
    assert code == 0, said
    assert got == body


async def test_a_frozen_node_is_named_and_nothing_is_left(cluster: Up, origin: Origin, tmp_path: Path) -> None:
    task, _, _ = await stored(cluster, origin, 1000, "--tag", "archive")
    pid = cluster.pid("node-2")
    os.kill(pid, signal.SIGSTOP)
    try:
        done = await cluster.arun("get", task, "-o", str(tmp_path / "f"), timeout_s=90)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert done.returncode == 1
    assert "node node-2" in done.stdout
    assert list(tmp_path.iterdir()) == []


async def test_rm_says_that_a_file_stays_and_with_files_deletes_it(cluster: Up, origin: Origin, tmp_path: Path) -> None:
    task, _, file = await stored(cluster, origin, 1000, "--dir", "a/b")
    done = await cluster.arun("rm", task)
    assert done.returncode == 1
    assert f"downdraft rm {task} --files" in done.stdout
    assert file.exists()

    done = await cluster.arun("rm", task, "--files", "--json")
    told = json.loads(done.stdout)
    assert (done.returncode, told["ok"], told["path"]) == (0, True, "a/b/" + file.name)
    assert not file.exists()
    assert file.parent.is_dir()

    done = await cluster.arun("rm", task, "--files")
    assert (done.returncode, "there is no file" in done.stdout) == (1, True)
    done = await cluster.arun("get", task, "-o", str(tmp_path / "f"))
    assert (done.returncode, "there is no file" in done.stdout) == (1, True)


async def test_rm_leaves_a_changed_file_alone(cluster: Up, origin: Origin) -> None:
    task, body, file = await stored(cluster, origin, 1000)
    file.write_bytes(body[::-1])
    done = await cluster.arun("rm", task, "--files")
    assert (done.returncode, "another content now" in done.stdout) == (1, True)
    assert file.read_bytes() == body[::-1]


class AtTerminal:
    """A command whose stdin is a terminal, at which somebody types."""

    def __init__(self, cluster: Up, *arguments: str) -> None:
        self._ours, theirs = os.openpty()
        self._process = subprocess.Popen(
            [*COMMAND, *arguments],
            cwd=cluster.folder,
            env=environment(),
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        os.close(theirs)

    async def type(self, text: str) -> tuple[int, str]:
        """Exit code and stderr."""
        os.write(self._ours, text.encode())
        _, err = await anyio.to_thread.run_sync(lambda: self._process.communicate(timeout=60))
        os.close(self._ours)
        return self._process.returncode, err


async def test_rm_asks_on_a_terminal_before_files_are_deleted(cluster: Up, origin: Origin) -> None:
    task, _, file = await stored(cluster, origin, 1000)
    for typed, code in (("n\n", 1), ("y\n", 0)):
        exited, said = await AtTerminal(cluster, "rm", task, "--files").type(typed)
        assert exited == code, said
        assert "Delete " in said
        assert file.exists() == (code == 1)
