"""Three nodes: tasks go where their tags allow, a drained node is left, and an origin's limits hold on all of them."""

import json
import os
import re
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.harness.processes import Up, running_up
from tests.harness.waiting import eventually
from tests.integration.node.origin import Origin

FILES = 12
BODY = bytes(640 << 10)
"""Half a second at the origin's slow pace, over one connection."""
LEFT_ALONE_S = 6


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """Three nodes of four slots each; one coordinator leads, another stands by."""
    with running_up(tmp_path_factory.mktemp("three"), "--nodes", "3", "--slots", "4", "--coordinators", "2") as up:
        yield up


async def stats(up: Up) -> dict[str, Any]:
    """Empty while nobody leads."""
    done = await up.arun("stats", "--json")
    found: dict[str, Any] = json.loads(done.stdout) if done.returncode == 0 else {}
    return found


async def kill_leader(up: Up) -> None:
    leader = (await stats(up))["leader"]
    os.kill(up.pid(leader), signal.SIGKILL)


def listed(up: Up, origin: Origin, kind: str, count: int = FILES) -> Path:
    """An input file of so many downloads."""
    names = [f"{kind}-{number}" for number in range(count)]
    origin.files |= dict.fromkeys(names, BODY)
    file = up.folder / f"{kind}.txt"
    file.write_text("\n".join(origin.url(f"slow/{name}") for name in names))
    return file


async def test_tags_decide_where_tasks_go(three: Up, origin: Origin) -> None:
    for name, tag in (("node-1", "zone=east"), ("node-2", "zone=west"), ("node-3", "metered")):
        assert (await three.arun("node-set", name, "--tag", tag)).returncode == 0
    await eventually(lambda: _have_tags(three, {"zone=east", "zone=west", "metered"}), within_s=20)
    wishes = {
        "required": ["tag=zone=west"],
        "avoided": ["avoid-tag=metered", "avoid-tag=zone=west"],
        "preferred": ["prefer-tag=metered"],
    }
    wanted = {"required": "node-2", "avoided": "node-1", "preferred": "node-3"}
    file = three.folder / "tagged.txt"
    lines = []
    for kind, asked in wishes.items():
        for number in range(3):
            origin.files[f"{kind}-{number}"] = b"x"
            lines += [origin.url(f"file/{kind}-{number}"), *(f"  {option}" for option in asked)]
    file.write_text("\n".join(lines))
    done = await three.arun("submit", "--input-file", str(file), "--wait")
    assert done.returncode == 0, done.stdout + done.stderr
    placed = re.findall(r"completed (node-\d):(\w+)-\d", done.stdout)
    assert len(placed) == 9
    assert set(placed) == {(node, kind) for kind, node in wanted.items()}


async def test_a_drained_node_ends_what_it_runs_and_the_others_take_the_rest(three: Up, origin: Origin) -> None:
    file = listed(three, origin, "drained", 15)
    waiting = []

    async def submit() -> None:
        waiting.append(await three.arun("submit", "--input-file", str(file), "--wait"))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(submit)
        await eventually(lambda: origin.sending >= 9, within_s=20)
        drained = await three.arun("drain", "node-3", "--wait")
    assert (drained.returncode, waiting[0].returncode) == (0, 0), drained.stdout + waiting[0].stdout
    assert all(count == 1 for count in _asked_times(origin).values()), "what ran there was not begun anew elsewhere"
    await three.arun("uncordon", "node-3")


async def _have_tags(up: Up, tags: set[str]) -> bool:
    shown = await up.arun("nodes", "--json")
    found = [json.loads(line) for line in shown.stdout.splitlines()]
    return tags <= {tag for one in found for tag in one["heartbeat"]["tags"]}


def _asked_times(origin: Origin) -> Counter[str]:
    """How often each file was sent from its beginning."""
    return Counter(one.path for one in origin.asked if one.method == "GET" and not one.range)


@pytest.mark.parametrize("dies", [False, True], ids=["one-leader", "its-leader-dies"])
async def test_two_at_once_are_two_on_all_nodes_together(three: Up, origin: Origin, dies: bool) -> None:
    set_ = await three.arun("policy", "set", "--origin", f"127.0.0.1:{origin.port}", "running=2")
    assert set_.returncode == 0, set_.stderr
    file = listed(three, origin, f"limited-{dies}")
    done = []

    async def submit() -> None:
        done.append(await three.arun("submit", "--input-file", str(file), "--wait"))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(submit)
        await eventually(lambda: origin.sending == 2, within_s=20)
        if dies:
            await kill_leader(three)
    assert done[0].returncode == 0, done[0].stdout + done[0].stderr
    assert origin.sending_max == 2
    assert len({one.path for one in origin.asked}) == FILES


async def test_an_origin_that_asks_one_node_for_time_is_left_alone_by_all(three: Up, origin: Origin) -> None:
    """Also by the next leader; what runs goes on."""
    running = listed(three, origin, "running", 1)
    origin.files["running-0"] = 8 * BODY
    assert (await three.arun("submit", "--input-file", str(running))).returncode == 0
    await eventually(lambda: origin.sending == 1, within_s=20)
    origin.is_busy, origin.retry_after = True, str(LEFT_ALONE_S)
    origin.files["refused"] = BODY
    assert (await three.arun("submit", origin.url("slow/refused"))).returncode == 0
    await eventually(lambda: sum(one.path.endswith("refused") for one in origin.asked) >= 2, within_s=20)
    refused_at = anyio.current_time()
    origin.is_busy = False
    file = listed(three, origin, "waiting")
    name = f"127.0.0.1:{origin.port}"
    await eventually(lambda: _is_left_alone(three, name))
    await kill_leader(three)
    done = await three.arun("submit", "--input-file", str(file), "--wait")
    assert done.returncode == 0, done.stdout + done.stderr
    first = min(one.at for one in origin.asked if "waiting" in one.path)
    assert first - refused_at > LEFT_ALONE_S - 1, "no node began one of them before"
    assert [one.range for one in origin.asked if one.path.endswith("running-0") and one.method == "GET"] == [""]


async def _is_left_alone(up: Up, origin: str) -> bool:
    return origin in (await stats(up)).get("cooling", {})
