"""Many requests at once: input files from disk and pipes, bad lines, repeats, and waiting for all of it."""

import json
import signal
import subprocess
from pathlib import Path

import anyio

from tests.harness.processes import COMMAND, Up, environment
from tests.harness.waiting import eventually
from tests.integration.node.origin import Origin


async def pipe(cluster: Up, body: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """`downdraft submit -i -` with `body` at its standard input."""
    done = await anyio.run_process(
        [*COMMAND, "submit", "--input-file", "-", *arguments],
        input=body.encode(),
        cwd=cluster.folder,
        env=environment(),
        check=False,
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def listed(folder: Path, body: str) -> str:
    file = folder / "list.txt"
    file.write_text(body)
    return str(file)


async def test_a_file_is_submitted_and_its_ids_printed_one_a_line(cluster: Up, origin: Origin) -> None:
    origin.files["f"] = b"hello"
    body = "".join(f"{origin.url('file/f')}\n  out=one-{n}\n  label=n={n}\n" for n in range(50))
    done = await cluster.arun("submit", "-i", listed(cluster.folder, body), "--dir", "fifty", "--label", "x=y")
    assert done.returncode == 0, done.stderr
    ids = done.stdout.split()
    assert len(set(ids)) == 50
    view = await cluster.state(ids[7], "completed")
    assert view["labels"]["x"] == "y"
    assert view["path"].startswith("fifty/one-")


async def test_mirrors_stand_on_one_line(cluster: Up, origin: Origin) -> None:
    origin.files["f"] = b"hello"
    done = await pipe(
        cluster, f"{origin.url('status/404')}\t{origin.url('file/f')}\n  out=mirrored\n", "--wait", "--json"
    )
    assert done.returncode == 0, done.stderr
    view = json.loads(done.stdout)
    assert (view["state"], view["bytes"], len(view["uris"])) == ("completed", 5, 2)


async def test_a_pipe_is_read_while_it_is_written(cluster: Up, origin: Origin) -> None:
    origin.files["f"] = b"hello"
    command = [*COMMAND, "submit", "-i", "-"]
    async with await anyio.open_process(command, cwd=cluster.folder, env=environment()) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        # An entry is whole when the next one begins.
        await process.stdin.send(f"{origin.url('file/f')}\n  out=first\n{origin.url('file/f')}\n".encode())
        with anyio.fail_after(60):
            first = (await process.stdout.receive()).decode().split()
        assert len(first) == 1
        await process.stdin.send(b"  out=second\n")
        await process.stdin.aclose()
        rest = b""
        async for piece in process.stdout:
            rest += piece
        assert len(rest.split()) == 1
        assert await process.wait() == 0


async def test_bad_lines_are_named_the_rest_is_submitted_and_the_exit_code_is_2(cluster: Up, origin: Origin) -> None:
    origin.files["f"] = b"hello"
    good = origin.url("file/f")
    body = f"{good}\n  out=a\n\ngopher://x/y\n  out=b\n{good}\n  split=99\n"
    body += f"{good}\n  gid=0123456789abcdef\n{good}\n  out=c\n"
    done = await pipe(cluster, body, "--json")
    assert done.returncode == 2
    assert [json.loads(line)["line"] for line in done.stdout.splitlines()] == [1, 10]
    assert [line.split(":")[0] for line in done.stderr.splitlines()[:3]] == ["line 4", "line 7", "line 9"]
    assert "submitted 2, refused 3" in done.stderr


async def test_a_dry_run_checks_everything_and_submits_nothing(cluster: Up, origin: Origin) -> None:
    body = f"{origin.url('file/f')}\n{origin.url('file/f')}\n  split=99\n"
    done = await pipe(cluster, body, "--dry-run", "--id-prefix", "dry")
    assert (done.returncode, done.stdout.strip()) == (2, "1 would be submitted, 1 refused")
    assert done.stderr.startswith("line 3: ")
    fine = await cluster.arun("submit", origin.url("file/f"), "--dry-run")
    assert (fine.returncode, fine.stdout.strip()) == (0, "1 would be submitted, 0 refused")


async def test_what_is_meant_for_one_file_is_refused_for_many(cluster: Up, origin: Origin) -> None:
    file = listed(cluster.folder, origin.url("file/f"))
    for arguments, expected in (
        (("-i", file, "http://x/y"), "not both"),
        (("-i", file, "--out", "x"), "is for one file"),
        (("-i", file, "--id", "x"), "use --id-prefix"),
        (("http://x/y", "--id-prefix", "x"), "goes with --input-file"),
        ((), "give at least one"),
        (("-i", "no-such-file"), "can't read"),
        (("-i", file, "--dir", "/etc", "--dry-run"), "must be relative"),
    ):
        done = await cluster.arun("submit", *arguments)
        assert done.returncode == 2, arguments
        assert expected in " ".join((done.stdout + done.stderr).split()), arguments


async def test_repeating_a_run_with_its_prefix_makes_no_second_task(cluster: Up, origin: Origin) -> None:
    origin.files["f"] = b"hello"
    entries = [f"{origin.url('file/f')}\n  out=again-{n}\n" for n in range(20)]
    first = await pipe(cluster, "".join(entries[:10]), "--id-prefix", "night-1", "--wait", "--json")
    assert first.returncode == 0, first.stderr
    asked = len(origin.asked)
    # Later the list is longer, and in another order: what was there is the same all the same.
    again = await pipe(cluster, "".join(reversed(entries)), "--id-prefix", "night-1", "--wait", "--json")
    assert again.returncode == 0, again.stderr
    views = [json.loads(line) for line in again.stdout.splitlines()]
    assert {view["state"] for view in views} == {"completed"}
    assert len(views) == 20
    assert {json.loads(line)["task"] for line in first.stdout.splitlines()} < {view["task"] for view in views}
    assert len([one for one in origin.asked[asked:] if one.method == "GET"]) == 10
    other = await pipe(cluster, entries[0], "--id-prefix", "night-2")
    assert other.stdout.split()[0] not in {view["task"] for view in views}


async def test_waiting_for_many_tells_each_end_and_exits_1_if_one_failed(cluster: Up, origin: Origin) -> None:
    origin.files["f"] = b"hello"
    body = "".join(f"{origin.url('file/f')}\n  out=many-{n}\n" for n in range(300))
    body += f"{origin.url('status/404')}\n  out=missing\n"
    done = await pipe(cluster, body, "--wait", "--json")
    assert done.returncode == 1, done.stderr
    views = [json.loads(line) for line in done.stdout.splitlines()]
    assert len({view["task"] for view in views}) == 301
    [failed] = [view for view in views if view["state"] == "failed"]
    assert failed["name"] == "missing"
    assert "300 completed, 1 failed; 1.46 KiB in" in done.stderr
    assert f"{failed['task']} failed missing: the origin answered 404" in done.stderr


async def test_the_same_entry_twice_is_one_task_and_no_reason_to_wait_for_ever(cluster: Up, origin: Origin) -> None:
    origin.files["f"] = b"hello"
    done = await pipe(cluster, f"{origin.url('file/f')}\n  out=twin\n" * 3, "--wait", "--json")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 1


async def test_a_producer_waits_by_asking(cluster: Up, origin: Origin) -> None:
    origin.files["f"] = b"hello"
    body = "".join(f"{origin.url('file/f')}\n  out=asked-{n}\n" for n in range(40))
    done = await pipe(cluster, body, "--wait", "--json", "--creds", cluster.creds("producer"))
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 40


async def test_waiting_for_many_survives_a_broker_restart(cluster: Up, origin: Origin) -> None:
    origin.files["f"] = b"x" * 200_000
    body = "".join(f"{origin.url('slow/f')}\n  out=slow-{n}\n" for n in range(60))
    done: list[subprocess.CompletedProcess[str]] = []

    async def submit() -> None:
        done.append(await pipe(cluster, body, "--wait", "--json"))

    asked = len(origin.asked)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(submit)
        await eventually(lambda: len(origin.asked) > asked + 10, within_s=60)
        cluster_broker = cluster.pid("nats-server")
        await anyio.run_process(["kill", "-9", str(cluster_broker)])
    assert done[0].returncode == 0, done[0].stderr
    assert len(done[0].stdout.splitlines()) == 60


async def test_an_interrupted_run_says_how_to_go_on(cluster: Up, origin: Origin) -> None:
    command = [*COMMAND, "submit", "-i", "-"]
    async with await anyio.open_process(command, cwd=cluster.folder, env=environment()) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        await process.stdin.send(f"{origin.url('file/x')}\n  tag=nobody\n{origin.url('file/y')}\n".encode())
        with anyio.fail_after(60):
            first = (await process.stdout.receive()).decode().strip()
        process.send_signal(signal.SIGINT)
        said = b""
        async for piece in process.stderr:
            said += piece
        assert await process.wait() == 130
    text = said.decode()
    assert "interrupted: 1 requests are submitted" in text
    prefix = text.split("--id-prefix ")[1].split(":")[0]
    again = await pipe(cluster, f"{origin.url('file/x')}\n  tag=nobody\n", "--id-prefix", prefix)
    assert again.stdout.split() == [first]
    await cluster.arun("cancel", first)
