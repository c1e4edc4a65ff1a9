"""The command line as a script sees it: output, JSON lines, exit codes."""

import json
import shlex

import anyio

from schemas import __version__
from tests.harness.processes import COMMAND, Up, environment
from tests.integration.node.origin import Origin


async def test_version_and_help(cluster: Up) -> None:
    assert (await cluster.arun("--version")).stdout.strip() == f"downdraft {__version__}"
    assert "submit" in (await cluster.arun("--help")).stdout


async def test_submit_prints_the_id_and_show_tells_its_story(cluster: Up, origin: Origin) -> None:
    origin.files["f"] = b"hello"
    done = await cluster.arun("submit", origin.url("file/f"), "--label", "project=x", "--json", "--wait")
    assert done.returncode == 0, done.stderr
    view = json.loads(done.stdout)
    assert (view["state"], view["bytes"]) == ("completed", 5)
    shown = json.loads((await cluster.arun("show", view["task"], "--json")).stdout)
    assert shown["events"][0]["type"] == "queued"
    assert shown["task"]["labels"] == {"project": "x"}


async def test_submitting_an_id_again_is_the_same_task(cluster: Up, origin: Origin) -> None:
    origin.files["f"] = b"hello"
    ids = {
        (await cluster.arun("submit", origin.url("file/f"), "--id", "mine", "--wait")).stdout.split()[0] for _ in "ab"
    }
    assert len(ids) == 1
    assert len([asked for asked in origin.asked if asked.method == "GET"]) == 1


async def test_ls_and_nodes_are_json_lines(cluster: Up, origin: Origin) -> None:
    origin.files["f"] = b"hello"
    await cluster.arun("submit", origin.url("file/f"), "--wait")
    tasks = [json.loads(line) for line in (await cluster.arun("ls", "--json")).stdout.splitlines()]
    assert any(task["state"] == "completed" for task in tasks)
    nodes = [json.loads(line) for line in (await cluster.arun("nodes", "--json")).stdout.splitlines()]
    assert [node["node"] for node in nodes] == ["node-1", "node-2"]
    assert nodes[1]["heartbeat"]["tags"] == ["archive"]


async def test_a_reader_that_has_seen_enough_is_no_error_to_shout_about(cluster: Up, origin: Origin) -> None:
    for _ in range(2):
        await cluster.arun("submit", origin.url("file/f"), "--tag", "nobody-has-this")
    line = f"{shlex.join(COMMAND)} ls --json | head -n 1"
    done = await anyio.run_process(line, cwd=cluster.folder, env=environment())
    assert json.loads(done.stdout)["state"] == "queued"
    assert done.stderr == b""
    await cluster.arun("clear")


async def test_a_task_that_no_node_can_run_waits_and_can_be_cleared(cluster: Up, origin: Origin) -> None:
    task = (await cluster.arun("submit", origin.url("file/f"), "--tag", "nobody-has-this")).stdout.strip()
    assert (await cluster.state(task, "queued"))["attempt"] == 1
    done = await cluster.arun("clear")
    assert task in done.stdout
    await cluster.state(task, "cancelled")


async def test_bad_input_is_refused_before_anything_is_sent(cluster: Up) -> None:
    for arguments, expected in (
        (("submit", "gopher://x/y"), "scheme 'gopher' is not allowed"),
        (("submit", "http://x/y", "--out", "../z"), "must not leave the download folder"),
        (("submit", "http://x/y", "--option", "dir=/etc"), "use the field `dir`"),
        (("submit", "http://x/y", "--header", "no colon"), "write name:value"),
        (("submit", "http://x/y", "--tag", "bad tag", "--wait"), "tags"),
        (("submit", "http://x/y", "--label", "a b=c"), "labels"),
    ):
        done = await cluster.arun(*arguments)
        assert done.returncode == 2, arguments
        assert expected in " ".join((done.stdout + done.stderr).split())


async def test_an_unknown_task_is_exit_1(cluster: Up) -> None:
    done = await cluster.arun("show", "0123456789abcdef")
    assert (done.returncode, done.stdout.strip()) == (1, "no task 0123456789abcdef")


async def test_without_a_cluster_the_command_says_how_to_get_one(tmp_path, cluster: Up) -> None:  # type: ignore[no-untyped-def]
    done = Up(tmp_path, cluster.process).run("ls")
    assert done.returncode == 2
    assert "start one with `downdraft up`" in done.stderr


async def test_events_prints_what_happens_as_json_lines(cluster: Up, origin: Origin) -> None:
    origin.files["f"] = b"hello"
    lines: list[str] = []

    async def listen() -> None:
        done = await cluster.arun("events", "--json", "--count", "4")
        lines.extend(done.stdout.splitlines())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(listen)
        while not lines:
            await cluster.arun("submit", origin.url("file/f"), "--wait")
    assert {json.loads(line)["type"] for line in lines} <= {"queued", "assigned", "started", "finished.completed"}
