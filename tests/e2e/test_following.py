"""`downdraft events`: what is stored, what happens, and a command for each outcome."""

import json
import os
import shlex
import signal
import sys
from pathlib import Path

import anyio

from tests.harness.processes import COMMAND, Up, environment
from tests.harness.waiting import eventually
from tests.integration.node.origin import Origin


async def submit(cluster: Up, url: str, *arguments: str) -> str:
    """Submit and wait; the task."""
    done = await cluster.arun("submit", url, "--wait", "--json", *arguments)
    told = json.loads(done.stdout)
    assert told["finished"], done.stdout + done.stderr
    return str(told["task"])


def a_hook(folder: Path, code: str) -> str:
    """A command that runs `code` with the event as `event` and the environment as `env`."""
    script = folder / f"hook-{abs(hash(code))}.py"
    script.write_text(f"import json, os, sys, time\nenv, event = os.environ, json.load(sys.stdin)\n{code}\n")
    return shlex.join([sys.executable, str(script)])


async def test_since_prints_what_is_stored_and_ends(cluster: Up, origin: Origin) -> None:
    origin.files["f"] = b"hello"
    task = await submit(cluster, origin.url("file/f"))
    printed: list[str] = []

    async def is_stored() -> bool:
        """Who waits hears an event as it is published, which is a moment before the broker has stored it."""
        done = await cluster.arun("events", task, "--since", "10m", "--json")
        assert done.returncode == 0, done.stderr
        printed[:] = [json.loads(line)["type"] for line in done.stdout.splitlines()]
        return len(printed) >= 4

    await eventually(is_stored, within_s=30)
    assert printed == ["queued", "assigned", "started", "finished.completed"]


async def test_types_and_count_narrow_it(cluster: Up, origin: Origin) -> None:
    origin.files["f"] = b"hello"
    good = await submit(cluster, origin.url("file/f"))
    bad = await submit(cluster, origin.url("status/404"))
    done = await cluster.arun("events", good, bad, "--since", "10m", "--json", "--type", "finished")
    assert [json.loads(line)["task"] for line in done.stdout.splitlines()] == [good, bad]
    done = await cluster.arun("events", good, bad, "--since", "10m", "--json", "--type", "failed")
    assert [json.loads(line)["task"] for line in done.stdout.splitlines()] == [bad]
    done = await cluster.arun("events", "--since", "10m", "--count", "2")
    assert len(done.stdout.splitlines()) == 2


async def test_bad_input_is_refused(cluster: Up) -> None:
    for arguments, expected in (
        (("--since", "tomorrow"), "is no moment"),
        (("--type", "finnished"), "there is no 'finnished'"),
        (("nonsense",), "is not a task id"),
        (("--exec", "no-such-command"), "there is no command"),
        (("--exec", "true", "--type", "queued"), "leaves them all out"),
    ):
        done = await cluster.arun("events", *arguments)
        assert done.returncode == 2, arguments
        assert expected in " ".join((done.stdout + done.stderr).split()), arguments


async def test_a_command_runs_once_for_each_outcome_and_is_told_of_it(cluster: Up, origin: Origin) -> None:
    origin.files["f"] = b"hello"
    good = await submit(cluster, origin.url("file/f"), "--name", "A good one")
    bad = await submit(cluster, origin.url("status/404"))
    told = "{k[10:]: v for k, v in env.items() if k.startswith('DOWNDRAFT_')}"
    hook = a_hook(cluster.folder, f"print(json.dumps([event['task'], event['type'], {told}]))")
    done = await cluster.arun("events", good, bad, "--since", "10m", "--quiet", "--exec", hook)
    assert done.returncode == 0, done.stderr
    runs = {run[0]: run for run in map(json.loads, done.stdout.splitlines())}
    assert len(done.stdout.splitlines()) == 2
    assert runs[good][1] == "finished.completed"
    assert runs[good][2] | {"NODE": "", "PATH": "", "DIGEST": ""} == {
        "TASK": good,
        "OUTCOME": "completed",
        "NAME": "A good one",
        "NODE": "",
        "PATH": "",
        "REASON": "",
        "BYTES": "5",
        "DIGEST": "",
    }
    assert runs[good][2]["DIGEST"].startswith("sha-256=")
    assert (runs[bad][2]["OUTCOME"], "404" in runs[bad][2]["REASON"]) == ("failed", True)


async def test_a_command_that_fails_is_said_and_counts_in_the_exit_code(cluster: Up, origin: Origin) -> None:
    origin.files["f"] = b"hello"
    task = await submit(cluster, origin.url("file/f"))
    hook = a_hook(cluster.folder, "sys.exit(3)")
    done = await cluster.arun("events", task, "--since", "10m", "--exec", hook)
    assert done.returncode == 1
    assert done.stderr.strip() == f"--exec for {task}: exit code 3"
    assert len(done.stdout.splitlines()) >= 2, "the events are printed too"


async def test_a_command_that_reads_nothing_is_no_trouble(cluster: Up, origin: Origin) -> None:
    origin.files["f"] = b"hello"
    task = await submit(cluster, origin.url("file/f"))
    done = await cluster.arun("events", task, "--since", "10m", "--exec", "true")
    assert (done.returncode, done.stderr) == (0, "")


async def test_no_more_than_four_commands_run_at_once(cluster: Up, origin: Origin) -> None:
    origin.files["f"] = b"hello"
    file = cluster.folder / "twelve.txt"
    file.write_text("".join(f"{origin.url('file/f')}\n  out=twelve-{n}\n" for n in range(12)))
    done = await cluster.arun("submit", "-i", str(file), "--wait", "--json")
    tasks = [json.loads(line)["task"] for line in done.stdout.splitlines()]
    # One write a line: where output is unbuffered, print writes the line's end apart, and four write to one pipe.
    a_span = "a = time.time(); time.sleep(0.3); os.write(1, f'[{a}, {time.time()}]\\n'.encode())"
    hook = a_hook(cluster.folder, a_span)
    done = await cluster.arun("events", *tasks, "--since", "10m", "--quiet", "--exec", hook)
    spans = [tuple(json.loads(line)) for line in done.stdout.splitlines()]
    assert len(spans) == 12
    assert max(sum(a <= at < b for a, b in spans) for at, _ in spans) in range(2, 5)


async def test_ctrl_c_waits_for_the_command_that_runs(cluster: Up, origin: Origin) -> None:
    origin.files["f"] = b"hello"
    task = await submit(cluster, origin.url("file/f"))
    began, ended = cluster.folder / "began", cluster.folder / "ended"
    hook = a_hook(cluster.folder, f"open({str(began)!r}, 'w'); time.sleep(1.5); open({str(ended)!r}, 'w')")
    command = [*COMMAND, "events", task, "--since", "10m", "--follow", "--exec", hook]
    async with await anyio.open_process(command, cwd=cluster.folder, env=environment()) as process:
        await eventually(began.exists, within_s=60)
        assert not ended.exists()
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 130
        assert ended.exists()


async def test_following_survives_a_broker_restart_without_a_gap(cluster: Up, origin: Origin) -> None:
    origin.files["f"] = b"hello"
    log = cluster.folder / "hooked"
    hook = a_hook(cluster.folder, f"open({str(log)!r}, 'a').write(env['DOWNDRAFT_TASK'] + '\\n')")
    command = [*COMMAND, "events", "--since", "1s", "--follow", "--json", "--type", "finished", "--exec", hook]
    async with await anyio.open_process(command, cwd=cluster.folder, env=environment(), stderr=None) as process:
        assert process.stdout is not None
        received = bytearray()

        async def read() -> None:
            assert process.stdout is not None
            async for piece in process.stdout:
                received.extend(piece)

        def seen() -> list[str]:
            whole = bytes(received).rpartition(b"\n")[0]
            return [json.loads(line)["task"] for line in whole.splitlines()]

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read)
            first = await submit(cluster, origin.url("file/f"))
            while first not in seen():  # until it listens
                first = await submit(cluster, origin.url("file/f"))
            pid = cluster.pid("nats-server")
            os.kill(pid, signal.SIGKILL)
            await eventually(lambda: cluster.pid("nats-server") != pid, within_s=60, what="restarted")
            after = [await submit(cluster, origin.url("file/f")) for _ in range(3)]
            await eventually(lambda: set(after) <= set(seen()), within_s=60)
            await eventually(lambda: set(after) <= set(log.read_text().split()), within_s=60)
            process.send_signal(signal.SIGINT)
            assert await process.wait() == 130
        assert len(seen()) == len(set(seen()))
        hooked = log.read_text().split()
        assert sorted(hooked) == sorted(seen())


async def test_a_viewer_sees_what_happens_but_can_not_go_back(cluster: Up, origin: Origin) -> None:
    origin.files["f"] = b"hello"
    viewer = ("--creds", cluster.creds("viewer"))
    done = await cluster.arun("events", "--since", "10m", *viewer)
    assert done.returncode == 1
    assert "can't read what is stored: use an operator's" in done.stderr
    lines: list[str] = []

    async def listen() -> None:
        seen = await cluster.arun("events", "--type", "completed", "--json", "--count", "1", *viewer)
        lines.extend(seen.stdout.splitlines())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(listen)
        while not lines:
            await submit(cluster, origin.url("file/f"))
    assert json.loads(lines[0])["type"] == "finished.completed"


async def test_a_producer_is_told_what_it_may_do_instead(cluster: Up) -> None:
    for command in ("events", "watch"):
        done = await cluster.arun(command, "--creds", cluster.creds("producer"))
        assert done.returncode == 1
        assert "a producer's credentials see only their own tasks" in done.stderr
