"""Finding and steering tasks by what they are, by the command line."""

import json
import os
import pty
import subprocess
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import anyio.to_thread
import pytest

from broker.cluster import open_client
from schemas.request import Request
from tests.harness.processes import COMMAND, Up, environment
from tests.integration.node.origin import Origin

VIEW_FIELDS = {"task", "owner", "state", "name", "uris", "node", "tags", "labels", "submitted", "finished", "history"}


@pytest.fixture(autouse=True)
async def tidy(cluster: Up) -> AsyncIterator[None]:
    """The tests share a cluster: what one leaves waiting must not be found by the next."""
    yield
    await cluster.arun("cancel", "--all")


async def waiting(cluster: Up, *arguments: str, uri: str = "http://h.example.invalid/f") -> str:
    """Submit a task that no node can run; its id."""
    done = await cluster.arun("submit", uri, "--tag", "nobody-has-this", *arguments)
    task = done.stdout.strip()
    await cluster.state(task, "queued")
    return task


async def listed(cluster: Up, *arguments: str) -> list[dict[str, Any]]:
    done = await cluster.arun("ls", "--json", *arguments)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


async def test_ls_finds_live_tasks_by_each_kind_of_condition(cluster: Up) -> None:
    one = await waiting(cluster, "--label", "run=7", "--name", "Debian", uri="http://a.example.invalid/x")
    two = await waiting(cluster, "--label", "run=8", uri="http://b.elsewhere.invalid:81/y")
    for arguments, expected in (
        (("--state", "queued"), {one, two}),
        (("--label", "run=7"), {one}),
        (("--label", "run", "--tag", "nobody-has-this"), {one, two}),
        (("--origin", "*.example.invalid"), {one}),
        (("--origin", "b.elsewhere.invalid:81"), {two}),
        (("--text", "deb"), {one}),
        (("--owner", "default", "--since", "10m"), {one, two}),
        (("--owner", "team-z"), set()),
        (("--until", "10m"), set()),
        (("--state", "paused"), set()),
    ):
        found = await listed(cluster, "--finished", "0", *arguments)
        assert {view["task"] for view in found} == expected, arguments
        assert all(view.keys() >= VIEW_FIELDS for view in found)


async def test_ls_finds_outcomes_by_filter_newest_last(cluster: Up, origin: Origin) -> None:
    origin.files["f"] = b"hello"
    ids = []
    for number in range(3):
        done = await cluster.arun("submit", origin.url("file/f"), "--out", f"o{number}", "--label", "batch=z", "--wait")
        ids.append(done.stdout.split()[0])
    found = await listed(cluster, "--state", "completed", "--label", "batch=z")
    assert [view["task"] for view in found] == ids
    assert [v["task"] for v in await listed(cluster, "--label", "batch=z", "--finished", "1")] == ids[-1:]
    assert [v["task"] for v in await listed(cluster, "--text", "O1", "--state", "completed")] == [ids[1]]
    assert not await listed(cluster, "--state", "failed", "--label", "batch=z")


async def test_in_a_pipe_ls_cuts_nothing(cluster: Up) -> None:
    name = "a name that is far longer than any terminal has room for " * 3
    task = await waiting(cluster, "--name", name.strip())
    done = await cluster.arun("ls", "--finished", "0")
    (line,) = [line for line in done.stdout.splitlines() if line.startswith(task)]
    assert name.strip() in line


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("cancel",), "name tasks, or a filter; --all for all"),
        (("retry",), "name tasks, or a filter; --all for all"),
        (("cancel", "--all", "--state", "queued"), "leave out the ids and the filter"),
        (("cancel", "--state", "completed"), "has ended"),
        (("clear", "--state", "active"), "downdraft cancel"),
        (("ls", "--state", "busy"), "there are queued, assigned"),
        (("ls", "--since", "yesterday"), "is no moment"),
        (("cancel", "--text", ""), "it is empty"),
        (("cancel", "--label", ""), "--label"),
    ],
    ids=" ".join,
)
async def test_what_is_not_clear_is_refused(cluster: Up, arguments: tuple[str, ...], expected: str) -> None:
    task = await waiting(cluster)
    done = await cluster.arun(*arguments)
    assert done.returncode == 2, done.stdout + done.stderr
    assert expected in " ".join(done.stderr.split())
    assert (await cluster.show(task))["state"] == "queued"


async def test_a_dry_run_shows_the_tasks_and_does_nothing(cluster: Up) -> None:
    task, other = await waiting(cluster, "--label", "dry=1"), await waiting(cluster)
    done = await cluster.arun("cancel", "--label", "dry", "--dry-run", "--json")
    assert done.returncode == 0
    assert [json.loads(line)["task"] for line in done.stdout.splitlines()] == [task]
    assert "cancel: 1 task; nothing was done" in done.stderr
    by_id = await cluster.arun("pause", other, "--dry-run")
    assert other in by_id.stdout
    assert [(await cluster.show(one))["desired"] for one in (task, other)] == ["run", "run"]


async def test_cancel_by_filter_takes_what_matches_and_nothing_else(cluster: Up) -> None:
    meant, other = await waiting(cluster, "--label", "go=1"), await waiting(cluster)
    done = await cluster.arun("cancel", "--label", "go=1", "--json")
    assert done.returncode == 0
    (result,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert (result["task"], result["ok"], result["matched"]) == (meant, True, True)
    await cluster.state(meant, "cancelled")
    assert (await cluster.show(other))["state"] == "queued"
    again = await cluster.arun("cancel", "--label", "go=1")
    assert (again.returncode, again.stdout.strip()) == (0, "no task matches")


async def test_pause_and_resume_by_filter(cluster: Up) -> None:
    tasks = {await waiting(cluster, "--label", "nap=1") for _ in range(2)}
    assert (await cluster.arun("pause", "--label", "nap")).returncode == 0
    assert {view["task"] for view in await listed(cluster, "--state", "paused")} == tasks
    done = await cluster.arun("resume", "--all")
    assert all(task in done.stdout for task in tasks)
    assert not await listed(cluster, "--state", "paused", "--finished", "0")


async def test_clear_by_filter_and_by_id_leaves_the_rest_queued(cluster: Up) -> None:
    one, two, rest = [await waiting(cluster, "--label", f"n={number}") for number in range(3)]
    assert one in (await cluster.arun("clear", "--label", "n=0")).stdout
    assert two in (await cluster.arun("clear", two)).stdout
    assert [view["task"] for view in await listed(cluster, "--state", "queued", "--finished", "0")] == [rest]
    await cluster.arun("clear")
    await cluster.state(rest, "cancelled")


async def queued(cluster: Up, count: int, owner: str = "default", tag: str = "nobody-has-this") -> list[str]:
    """Tasks that no node can run, as the queue has them."""
    request = Request(uris=("http://h.example.invalid/f",), tags=(tag,))
    async with open_client(cluster.url, cluster.creds("operator")) as client:
        tasks = [str(await client.submit(request, owner)) for _ in range(count)]
    await cluster.state(tasks[-1], "queued")
    return tasks


async def queue(cluster: Up, *arguments: str) -> list[str]:
    return [view["task"] for view in await listed(cluster, "--sort", "queue", *arguments)]


async def test_clear_takes_the_tasks_of_one_owner_or_of_one_tag(cluster: Up) -> None:
    his, tagged, rest = await queued(cluster, 2, "bob"), await queued(cluster, 2, tag="this"), await queued(cluster, 1)
    for condition, meant in ((("--owner", "bob"), his), (("--tag", "this"), tagged)):
        done = await cluster.arun("clear", *condition, "--yes", "--json")
        results = [json.loads(line) for line in done.stdout.splitlines()]
        assert {(result["task"], result["ok"]) for result in results} == {(task, True) for task in meant}
    assert await queue(cluster) == rest


async def test_the_queue_is_listed_in_its_order_and_changed_by_prioritise(cluster: Up) -> None:
    a, b, c = await queued(cluster, 3)
    done = await cluster.arun("prioritise", c, "--front")
    assert (done.returncode, done.stdout.strip()) == (0, f"✓ {c}  priority 0, goes first")
    assert await queue(cluster) == [c, a, b]
    done = await cluster.arun("prioritize", c, "--position", "1", "--json")
    assert (json.loads(done.stdout)["position"], await queue(cluster, "--limit", "2")) == (1, [a, c])
    assert [view["task"] for view in await listed(cluster, "--finished", "0")] == [a, b, c], "otherwise by age"


async def test_prioritise_by_filter_moves_what_matches_together(cluster: Up) -> None:
    tasks, his = await queued(cluster, 4), await queued(cluster, 2, "bob")
    await cluster.arun("prioritise", tasks[3], tasks[1], "--back")
    done = await cluster.arun("prioritise", "--owner", "bob", "--back", "--priority", "1", "--json")
    assert [json.loads(line)["position"] for line in done.stdout.splitlines()] == [0, 1]
    assert await queue(cluster) == [*his, tasks[0], tasks[2], tasks[1], tasks[3]]


async def test_retry_by_filter_tries_again_what_failed(cluster: Up, origin: Origin) -> None:
    done = await cluster.arun("submit", origin.url("missing"), "--label", "try=1", "--wait", "--max-attempts", "1")
    task = done.stdout.split()[0]
    found = await cluster.arun("retry", "--state", "failed", "--label", "try=1", "--since", "1h", "--json")
    assert found.returncode == 0, found.stderr
    (result,) = [json.loads(line) for line in found.stdout.splitlines()]
    assert (result["task"], result["ok"]) == (task, True)
    assert (await cluster.state(result["new_task"], "failed"))["retry_of"] == task
    by_id = await cluster.arun("retry", task)
    assert by_id.returncode == 1
    assert f"it was retried as {result['new_task']} already" in by_id.stdout


async def test_owners_steer_their_own_by_filter_and_are_told_that_they_may_not_search_the_log(cluster: Up) -> None:
    task = await waiting(cluster)
    creds = ("--server", cluster.url, "--creds", cluster.creds("producer"))
    shown = await cluster.arun("ls", *creds)
    assert task in shown.stdout
    assert "can't be searched" in shown.stderr
    refused = await cluster.arun("ls", "--state", "failed", *creds)
    assert refused.returncode == 2
    assert "downdraft show" in refused.stderr
    assert (await cluster.arun("cancel", "--state", "queued", *creds)).returncode == 0
    await cluster.state(task, "cancelled")


def on_a_terminal(cluster: Up, answer: str, *arguments: str) -> tuple[int, str]:
    """Run a command whose stdin and stderr are a terminal, and type an answer."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, *arguments], cwd=cluster.folder, env=environment(), stdin=slave, stdout=subprocess.PIPE, stderr=slave
    )
    os.close(slave)
    os.write(master, answer.encode())
    out, _ = process.communicate(timeout=60)
    asked = ""
    with suppress(OSError):  # nothing was written, and the other end is closed
        asked = os.read(master, 10_000).decode()
    os.close(master)
    return process.returncode, asked + out.decode()


async def test_on_a_terminal_many_are_only_cancelled_after_a_yes(cluster: Up) -> None:
    task = await waiting(cluster)

    async def clear(answer: str, *arguments: str) -> tuple[int, str]:
        return await anyio.to_thread.run_sync(lambda: on_a_terminal(cluster, answer, "clear", *arguments))

    code, said = await clear("n\n")
    assert (code, "Clear 1 task?" in said) == (1, True)
    assert (await cluster.show(task))["state"] == "queued"
    code, said = await clear("y\n")
    assert (code, task in said) == (0, True)
    other = await waiting(cluster)
    code, said = await clear("", "--yes")
    assert (code, other in said, "?" in said) == (0, True, False)


async def test_stats_nodes_and_show_tell_every_field_to_scripts(cluster: Up, origin: Origin) -> None:
    origin.files["f"] = b"hello"
    done = await cluster.arun("submit", origin.url("file/f"), "--out", "s", "--wait")
    stats = json.loads((await cluster.arun("stats", "--json")).stdout)
    assert stats["recent"]["completed"] >= 1
    assert stats["states"].keys() == {"queued", "assigned", "active", "ending"}
    assert stats.keys() >= {"leader", "epoch", "paused", "inbox", "oldest_queued_s", "recent_s", "nodes_online"}
    node = json.loads((await cluster.arun("nodes", "--json")).stdout.splitlines()[0])
    assert {"tags", "leaving", "held", "cpu_percent"} <= node["heartbeat"].keys(), "defaults too"
    shown = json.loads((await cluster.arun("show", done.stdout.split()[0], "--json")).stdout)
    assert shown["task"].keys() >= VIEW_FIELDS


async def test_stats_nodes_and_show_are_readable(cluster: Up, origin: Origin) -> None:
    done = await cluster.arun("submit", origin.url("missing"), "--out", "t", "--wait", "--max-attempts", "1")
    assert "in the last 10m" in (await cluster.arun("stats")).stdout
    nodes = (await cluster.arun("nodes")).stdout.splitlines()
    assert [line.split()[1] for line in nodes[1:]] == ["online", "online"]
    shown = (await cluster.arun("show", done.stdout.split()[0])).stdout
    assert "attempts that ended" in shown
    assert "finished.failed" in shown
