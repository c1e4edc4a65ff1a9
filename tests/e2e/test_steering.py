"""Cancel, pause and resume on running downloads, by the command line."""

import json

from tests.e2e.test_faults import check_whole, resumed_at, start_large
from tests.harness.processes import Up
from tests.harness.waiting import eventually, stays
from tests.integration.node.origin import Origin


async def test_a_running_download_is_cancelled_and_its_partial_file_deleted(cluster: Up, origin: Origin) -> None:
    task, _ = await start_large(cluster, origin)
    node = (await cluster.show(task))["node"]
    staging = cluster.downloads(node) / ".downdraft" / task
    assert staging.exists()
    done = await cluster.arun("cancel", task)
    assert done.returncode == 0
    assert "being cancelled" in done.stdout
    await cluster.state(task, "cancelled")
    await eventually(lambda: not staging.exists())
    again = await cluster.arun("cancel", task)
    assert again.returncode == 1
    assert "it is cancelled already" in again.stdout


async def test_a_paused_download_stops_and_goes_on_where_it_was(cluster: Up, origin: Origin) -> None:
    task, body = await start_large(cluster, origin)
    assert (await cluster.arun("pause", task)).returncode == 0
    await eventually(lambda: _phase(cluster, task, "paused"))
    node = (await cluster.show(task))["node"]
    data = cluster.downloads(node) / ".downdraft" / task / "data"
    size = data.stat().st_size
    await stays(lambda: data.stat().st_size == size, for_s=1.0, what="nothing flows while it is paused")
    assert (await cluster.arun("resume", task)).returncode == 0
    await check_whole(cluster, task, body)
    assert resumed_at(origin) > 2_000_000
    shown = json.loads((await cluster.arun("show", task, "--json")).stdout)
    kinds = [event["type"] for event in shown["events"]]
    assert kinds.index("paused") < kinds.index("resumed") < kinds.index("finished.completed")


async def _phase(cluster: Up, task: str, phase: str) -> bool:
    return (await cluster.show(task)).get("phase") == phase
