"""Deciding about nodes by the command line, on a cluster of real processes."""

import json
import os
import signal
from typing import Any

from tests.harness.processes import Up
from tests.harness.waiting import eventually
from tests.integration.node.origin import Origin


async def node(cluster: Up, name: str) -> dict[str, Any]:
    """What `downdraft nodes --json` prints of a node."""
    done = await cluster.arun("nodes", "--json")
    found = [json.loads(line) for line in done.stdout.splitlines()]
    return next((one for one in found if one["node"] == name), {})


async def test_a_cordoned_node_stays_so_when_it_is_started_again(cluster: Up, origin: Origin) -> None:
    done = await cluster.arun("cordon", "node-2", "--reason", "new disks")
    assert (done.returncode, done.stdout) == (0, "✓ node-2  cordoned\n")
    before = (await node(cluster, "node-2"))["heartbeat"]["instance"]
    os.kill(cluster.pid("node-2"), signal.SIGKILL)

    async def is_back() -> dict[str, Any] | None:
        shown = await node(cluster, "node-2")
        return shown if shown["online"] and shown["heartbeat"]["instance"] != before else None

    shown = await eventually(is_back, within_s=30, every_s=0.5)
    assert (shown["standing"], shown["wishes"]["reason"]) == ("cordoned", "new disks")
    task = (await cluster.arun("submit", origin.url("file/f"), "--tag", "archive")).stdout.strip()
    assert (await cluster.state(task, "queued"))["node"] == ""
    assert (await cluster.arun("uncordon", "node-2")).returncode == 0
    await cluster.state(task, "failed", "completed")


async def test_drain_returns_when_the_node_is_empty(cluster: Up, origin: Origin) -> None:
    origin.files["big"] = bytes(200 << 20)
    task = (await cluster.arun("submit", origin.url("slow/big"), "--tag", "archive")).stdout.strip()
    await cluster.state(task, "active")
    done = await cluster.arun("drain", "node-2", "--now", "--wait")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "✓ node-2  drained")
    assert (await cluster.show(task))["state"] == "queued", "no other node has its tag"
    await cluster.arun("cancel", task)
    await cluster.arun("uncordon", "node-2")


async def test_slots_and_tags_are_set_while_a_node_runs(cluster: Up) -> None:
    done = await cluster.arun("node-set", "node-1", "--slots", "3", "--tag", "fast", "--json")
    told = json.loads(done.stdout)
    assert (told["node"], told["ok"], told["said"]) == ("node-1", True, "takes tasks, 3 slots, tags fast")

    async def holds() -> bool:
        beat = (await node(cluster, "node-1"))["heartbeat"]
        return (beat["slots"], beat["tags"], beat["own_slots"], beat["own_tags"]) == (3, ["fast"], 8, [])

    await eventually(holds, within_s=10, every_s=0.2)
    assert (await cluster.arun("node-set", "node-1", "--own-slots", "--own-tags")).returncode == 0
    for wrong, says in (
        (("node-set", "node-1"), "say what to set"),
        (("cordon",), "name nodes, or all with a tag"),
        (("node-set", "node-1", "--tag", "a b"), "for --tag"),
    ):
        done = await cluster.arun(*wrong)
        assert done.returncode == 2
        assert says in done.stderr
    done = await cluster.arun("cordon", "node-7")
    assert done.returncode == 1
    assert "no such node was heard" in done.stdout


async def test_an_owner_may_not_decide_about_nodes(cluster: Up) -> None:
    done = await cluster.arun("cordon", "node-1", "--server", cluster.url, "--creds", cluster.creds("producer"))
    assert done.returncode == 1
    assert "only an operator decides about nodes" in done.stderr
