"""REST against a real cluster: submitting, steering, nodes, the policy, and whose tasks are whose."""

import base64
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import pytest

from broker import payloads
from broker.cluster import open_client
from schemas.apikey import Scope
from schemas.options import ALLOWED
from schemas.payload import INLINE_BYTES_MAX
from tests.gateway.http import Http, calling
from tests.harness.processes import Up
from tests.harness.waiting import eventually
from tests.harness.web import make_key

NOWHERE = "http://127.0.0.1:9/f"
"""Tasks with the tag that no node has wait for ever."""


SETTINGS = {"DOWNDRAFT_COORDINATOR_ALLOW_NOOP": "true"}


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """A process that stands still for the length of the block."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.fixture
async def admin(up: Up) -> AsyncIterator[Http]:
    async with calling(up) as http:
        yield http


def waiting(**fields: Any) -> dict[str, Any]:
    """A request that no node takes."""
    return {"uris": [NOWHERE], "tags": ["no-such-node"], "id": uuid4().hex} | fields


async def submitted(http: Http, **fields: Any) -> str:
    """A task that waits for ever."""
    answer = await http("POST", "/api/v1/tasks", waiting(**fields))
    assert answer.status == 201, answer
    return str(answer.body["task"])


async def state_of(http: Http, task: str) -> dict[str, Any]:
    found: dict[str, Any] = (await http("GET", f"/api/v1/tasks/{task}/explain")).body
    return found


async def test_a_submitted_request_becomes_the_task_that_the_answer_names(admin: Http, up: Up) -> None:
    answer = await admin("POST", "/api/v1/tasks", {"uri": "noop:one", "name": "One"})
    assert answer.status == 201
    assert answer.headers["Location"] == f"/api/v1/tasks/{answer.body['task']}"
    assert answer.body["name"] == "One"
    await up.state(answer.body["task"], "completed")


async def test_a_bad_request_is_told_what_is_wrong_and_where(admin: Http) -> None:
    answer = await admin("POST", "/api/v1/tasks", {"uris": ["gopher://x/y"]})
    assert answer.status == 422
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.body["field"] == "uris[0]"
    assert "scheme" in answer.body["detail"]
    assert (await admin("POST", "/api/v1/tasks", raw=b"{")).status == 422
    assert (await admin("POST", "/api/v1/tasks", raw=b"")).status == 422


async def test_a_request_that_is_too_large_for_the_inbox_is_refused_for_good(admin: Http) -> None:
    large = waiting(headers={f"X-{number}": "x" * 8000 for number in range(70)})
    answer = await admin("POST", "/api/v1/tasks", large)
    assert (answer.status, "524288" in answer.body["detail"]) == (422, True)
    answer = await admin("POST", "/api/v1/tasks", [large, waiting()])
    assert [result["ok"] for result in answer.body["results"]] == [False, True]


async def test_a_torrent_that_a_request_is_too_small_for_goes_by_the_object_store(admin: Http, up: Up) -> None:
    content = os.urandom(INLINE_BYTES_MAX + 1)
    large = {"torrent": base64.b64encode(content).decode(), "tags": ["no-such-node"]}
    assert (await admin("POST", "/api/v1/tasks", large)).status == 201
    assert (await admin("POST", "/api/v1/tasks", [large, waiting()])).status == 201
    async with open_client(up.url, up.creds("admin")) as client:
        assert await payloads.get(client.connection, payloads.name_of(content, ".torrent")) == content


async def test_what_should_be_a_large_torrent_and_is_none_is_refused(admin: Http) -> None:
    answer = await admin("POST", "/api/v1/tasks", {"torrent": "!" * 2 * INLINE_BYTES_MAX})
    assert (answer.status, answer.body["field"]) == (422, "torrent")


async def test_each_request_of_a_batch_has_its_own_result(admin: Http) -> None:
    answer = await admin("POST", "/api/v1/tasks", [waiting(), {"uris": []}, {"uri": 7}, waiting(priority=3)])
    assert answer.status == 207
    assert (answer.body["accepted"], answer.body["refused"]) == (2, 2)
    assert [result["ok"] for result in answer.body["results"]] == [True, False, False, True]
    assert [result.get("field", "") for result in answer.body["results"]] == ["", "uris", "uri", ""]


async def test_a_batch_of_more_than_ten_thousand_is_refused_whole(admin: Http) -> None:
    answer = await admin("POST", "/api/v1/tasks", [{"uris": ["noop:n"]}] * 10_001)
    assert (answer.status, "10,000" in answer.body["detail"]) == (413, True)


async def test_a_repeat_under_the_same_key_finds_the_same_tasks(admin: Http) -> None:
    batch = [{"uris": [NOWHERE], "tags": ["no-such-node"]}] * 2 + [{"uris": [NOWHERE], "tags": ["nor-this"]}]
    key = {"Idempotency-Key": uuid4().hex}
    first = await admin("POST", "/api/v1/tasks", batch, headers=key)
    again = await admin("POST", "/api/v1/tasks", batch, headers=key)
    other = await admin("POST", "/api/v1/tasks", batch, headers={"Idempotency-Key": uuid4().hex})
    assert first.status == again.status == 201
    assert first.body == again.body
    tasks = {result["task"] for result in first.body["results"]}
    assert len(tasks) == 3
    assert tasks.isdisjoint(result["task"] for result in other.body["results"])


async def test_what_no_coordinator_has_claimed_is_shown_and_can_be_steered_later(admin: Http, up: Up) -> None:
    with stopped(up.pid("coordinator")):
        task = await submitted(admin, priority=4)
        shown = (await admin("GET", f"/api/v1/tasks/{task}")).body["task"]
        assert (shown["task"], shown["state"], shown["priority"]) == (task, "queued", 4)
        answer = await admin("POST", f"/api/v1/tasks/{task}/pause")
        assert (answer.status, answer.headers["Retry-After"]) == (503, "2")

    async def is_paused() -> bool:
        return (await admin("POST", f"/api/v1/tasks/{task}/pause")).status == 200

    seen: set[int] = set()

    async def has_heard_the_node() -> bool:
        seen.add(status := (await admin("GET", "/api/v1/nodes/node-1")).status)
        return status == 200

    await eventually(is_paused, within_s=30)
    await eventually(has_heard_the_node, within_s=30, what="who leads now has heard the node")
    assert seen <= {200, 503}, "a node that is there was not found"


async def test_what_the_coordinator_rejects_is_found_under_the_id_of_its_request(admin: Http, up: Up) -> None:
    await admin("PUT", "/api/v1/policy", {"owners": {"eve": {"queued": 1}}})
    async with calling(up, await make_key(up, "eve", Scope.READ, Scope.SUBMIT)) as as_eve:
        first, beyond = await submitted(as_eve), await submitted(as_eve)
        assert (await as_eve("GET", f"/api/v1/tasks/{first}")).body["task"]["state"] == "queued"
        told = (await as_eve("GET", f"/api/v1/tasks/{beyond}")).body["task"]
        assert (told["state"], "1 " in told["reason"]) == ("rejected", True)
        assert (await as_eve("POST", f"/api/v1/tasks/{beyond}/pause")).status == 409
    await admin("PUT", "/api/v1/policy", {})


async def test_a_task_is_paused_resumed_and_cancelled(admin: Http) -> None:
    task = await submitted(admin)
    for verb, desired in (("pause", "pause"), ("resume", "run")):
        answer = await admin("POST", f"/api/v1/tasks/{task}/{verb}")
        assert (answer.status, answer.body["ok"]) == (200, True)
        assert (await state_of(admin, task))["desired"] == desired
    assert (await admin("DELETE", f"/api/v1/tasks/{task}")).status == 200
    assert (await state_of(admin, task))["state"] == "cancelled"
    assert (await admin("POST", f"/api/v1/tasks/{task}/cancel")).status == 200, "a repeat does no harm"
    answer = await admin("POST", f"/api/v1/tasks/{task}/pause")
    assert (answer.status, answer.headers["Content-Type"]) == (409, "application/problem+json")


async def test_a_retry_of_what_has_ended_names_the_new_task(admin: Http) -> None:
    task = await submitted(admin)
    await admin("DELETE", f"/api/v1/tasks/{task}")
    answer = await admin("POST", f"/api/v1/tasks/{task}/retry")
    assert answer.status == 200
    assert answer.body["new_task"] not in ("", task)


async def test_priority_position_and_limits_are_changed(admin: Http) -> None:
    task, behind = await submitted(admin), await submitted(admin)
    assert (await admin("PATCH", f"/api/v1/tasks/{task}", {"priority": 7})).status == 200
    moved = await admin("PATCH", f"/api/v1/tasks/{behind}", {"priority": 7, "position": 0, "download_limit": "2M"})
    assert (moved.status, moved.body["position"]) == (200, 0)
    assert "2 MiB/s" in moved.body["said"]
    assert (await state_of(admin, behind))["priority"] == 7


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        ({"priority": 11}, 422),
        ({"unknown": 1}, 422),
        ({"download_limit": "2Q"}, 422),
        ({"position": 10**30}, 422),
    ],
)
async def test_a_change_that_can_not_be_meant_is_refused(admin: Http, body: Any, status: int) -> None:
    task = await submitted(admin)
    assert (await admin("PATCH", f"/api/v1/tasks/{task}", body)).status == status


@pytest.mark.parametrize("task", ["0123456789abcdef", "not-an-id", "0" * 16])
async def test_what_is_no_task_is_not_found(admin: Http, task: str) -> None:
    for method, path in (("POST", "/pause"), ("DELETE", ""), ("GET", "/explain")):
        assert (await admin(method, f"/api/v1/tasks/{task}{path}")).status == 404


async def test_many_tasks_are_steered_by_a_filter(admin: Http) -> None:
    label = uuid4().hex
    tasks = {await submitted(admin, labels={"run": label}) for _ in range(3)}
    where = {"labels": [f"run={label}"]}

    async def are_seen() -> bool:
        dry = await admin("POST", "/api/v1/tasks/actions", {"verb": "pause", "where": where, "dry_run": True})
        return bool(dry.body["meant"] == 3)

    await eventually(are_seen)
    done = await admin("POST", "/api/v1/tasks/actions", {"verb": "pause", "where": where})
    assert (done.status, done.body["done"], done.body["more"]) == (200, 3, False)
    assert {result["task"] for result in done.body["results"]} == tasks
    assert {(await state_of(admin, task))["desired"] for task in tasks} == {"pause"}
    done = await admin("POST", "/api/v1/tasks/actions", {"verb": "cancel", "ids": [*tasks, "0" * 16]})
    assert (done.body["done"], done.body["failed"]) == (3, 1)


@pytest.mark.parametrize(
    "body",
    [
        {"verb": "cancel"},
        {"verb": "cancel", "where": {}},
        {"verb": "cancel", "everything": True, "ids": ["0" * 16]},
        {"verb": "pause", "where": {"states": ["completed"]}},
        {"verb": "pause", "where": {"texts": "x"}},
        {"verb": "pause", "ids": ["0" * 16], "priority": 1},
        {"verb": "limit", "ids": ["0" * 16]},
        {"verb": "explode", "ids": ["0" * 16]},
        {"verb": "pause", "ids": ["0" * 100_000]},
    ],
)
async def test_an_action_that_does_not_say_what_is_meant_does_nothing(admin: Http, body: Any) -> None:
    assert (await admin("POST", "/api/v1/tasks/actions", body)).status == 422


async def test_owners_reach_only_their_own_tasks(admin: Http, up: Up) -> None:
    ann, bob = await make_key(up, "ann", Scope.READ, Scope.SUBMIT), await make_key(up, "bob", Scope.READ, Scope.SUBMIT)
    async with calling(up, ann) as as_ann, calling(up, bob) as as_bob:
        task = await submitted(as_ann)
        assert (await state_of(admin, task))["owner"] == "ann"
        assert (await as_bob("GET", f"/api/v1/tasks/{task}/explain")).status == 404
        for verb in ("pause", "resume", "retry", "cancel"):
            assert (await as_bob("POST", f"/api/v1/tasks/{task}/{verb}")).status == 404
        assert (await as_bob("PATCH", f"/api/v1/tasks/{task}", {"priority": 1})).status == 404
        assert (await as_bob("DELETE", f"/api/v1/tasks/{task}")).status == 404
        done = await as_bob("POST", "/api/v1/tasks/actions", {"verb": "cancel", "ids": [task]})
        assert (done.body["done"], done.body["results"][0]["said"]) == (0, "no such task")
        dry = await as_bob("POST", "/api/v1/tasks/actions", {"verb": "cancel", "everything": True, "dry_run": True})
        assert dry.body["results"] == []
        done = await as_bob("POST", "/api/v1/tasks/actions", {"verb": "cancel", "everything": True})
        assert done.body["done"] == 0
        assert (await as_bob("POST", "/api/v1/tasks?owner=ann", waiting())).status == 403
        assert (await admin("POST", "/api/v1/tasks?owner=ann", waiting())).body["owner"] == "ann"
        assert (await admin("POST", "/api/v1/tasks?owner=admin", waiting())).status == 422
        assert (await as_ann("GET", f"/api/v1/tasks/{task}/explain")).body["state"] == "queued"
        assert (await as_ann("POST", "/api/v1/nodes/node-1/cordon")).status == 403
        assert all(
            node["heartbeat"].get("held", []) == [] for node in (await as_ann("GET", "/api/v1/nodes")).body["nodes"]
        )


async def test_a_key_of_an_owner_called_admin_is_nobody(up: Up) -> None:
    """The coordinator takes the word `admin` for an operator."""
    async with calling(up, await make_key(up, "admin", Scope.READ, Scope.SUBMIT)) as http:
        assert (await http("GET", "/api/v1/policy")).status == 403
        assert (await http("POST", "/api/v1/tasks", waiting())).status == 422


async def test_a_node_is_closed_opened_and_configured(admin: Http) -> None:
    assert (await admin("POST", "/api/v1/nodes/node-1/cordon", {"reason": "new disks"})).status == 200
    node = (await admin("GET", "/api/v1/nodes/node-1")).body
    assert (node["standing"], node["wishes"]["reason"]) == ("cordoned", "new disks")
    assert (await admin("POST", "/api/v1/nodes/node-1/drain", {"now": True})).status == 200
    assert (await admin("POST", "/api/v1/nodes/node-1/uncordon")).status == 200
    change = {"slots": 3, "tags": ["eu", "ssd"], "download_limit": "20M"}
    assert (await admin("PATCH", "/api/v1/nodes/node-1", change)).status == 200
    wishes = (await admin("GET", "/api/v1/nodes/node-1")).body["wishes"]
    assert (wishes["slots"], wishes["tags"], wishes["download_limit"]) == (3, ["eu", "ssd"], 20 << 20)
    assert (await admin("PATCH", "/api/v1/nodes/node-1", {"tags": ["ssd"]})).status == 200
    again = await admin("PATCH", "/api/v1/nodes/node-1", {"tags": ["ssd"]})
    assert (again.status, again.body["said"]) == (200, "tags ssd already")
    assert (await admin("GET", "/api/v1/nodes/node-1")).body["wishes"]["tags"] == ["ssd"]
    own = {"slots": None, "tags": None, "download_limit": None}
    assert (await admin("PATCH", "/api/v1/nodes/node-1", own)).status == 200
    assert (await admin("GET", "/api/v1/nodes/node-1")).body["wishes"] == {}


async def test_how_a_node_stood_lately_is_there_before_somebody_looks(admin: Http) -> None:
    async def latest() -> Any:
        """Its first sample comes within ten seconds."""
        samples = (await admin("GET", "/api/v1/nodes/node-1/history")).body["samples"]
        return samples[-1:]

    [sample] = await eventually(latest, within_s=30)
    assert sample["memory_bytes"] > 1 << 20
    assert {"time", "bytes_per_s", "running", "cpu_percent", "disk_free_bytes"} <= sample.keys()


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/nodes/nobody", None, 404),
        ("GET", "/nodes/nobody/history", None, 404),
        ("POST", "/nodes/nobody/cordon", None, 404),
        ("POST", "/nodes/Not.A.Node/drain", None, 404),
        ("PATCH", "/nodes/node-1", {}, 422),
        ("PATCH", "/nodes/node-1", {"slots": 0}, 422),
        ("PATCH", "/nodes/node-1", {"add_tags": ["a", "b"], "remove_tags": ["b"]}, 422),
        ("PATCH", "/nodes/node-1", {"download_limit": 1000}, 422),
        ("PATCH", "/nodes/node-1", {"tags": ["a"], "add_tags": ["b"]}, 422),
        ("PATCH", "/nodes/node-1", {"upload_limit": 10**17}, 422),
    ],
)
async def test_what_nodes_are_not_or_can_not_is_refused(
    admin: Http, method: str, path: str, body: Any, status: int
) -> None:
    answer = await admin(method, f"/api/v1{path}", body)
    assert answer.status == status, answer.body


async def test_the_policy_is_replaced_only_by_who_knows_what_stands(admin: Http) -> None:
    stands = await admin("GET", "/api/v1/policy")
    changed = await admin("PUT", "/api/v1/policy", {"strategy": "spread"}, headers={"If-Match": stands.headers["ETag"]})
    assert (changed.status, changed.body["policy"]) == (200, {"strategy": "spread"})
    stale = await admin("PUT", "/api/v1/policy", {}, headers={"If-Match": stands.headers["ETag"]})
    assert stale.status == 412
    bad = await admin("PUT", "/api/v1/policy", {"owners": {"ann": {"weight": 0}}})
    assert (bad.status, bad.body["field"]) == (422, "owners.ann.weight")
    assert (await admin("PUT", "/api/v1/policy", {})).body["policy"] == {}


async def test_the_status_tells_counts_nodes_and_who_leads(admin: Http) -> None:
    await submitted(admin)

    async def counted() -> dict[str, Any] | None:
        status: dict[str, Any] = (await admin("GET", "/api/v1/status")).body
        return status if status["tasks"]["queued"] >= 1 else None

    status = await eventually(counted)
    assert status["leader"].startswith("coordinator")
    assert (status["nodes"]["online"], status["version"] in status["nodes"]["versions"]) == (1, True)


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/tasks?limit=1&limit=2", "limit"),
        ("/tasks?tag=a&tag=b&until=2026-01-01T00:00:00Z&until=2026-01-02T00:00:00Z", "until"),
        ("/tasks?since=null", "since"),
        ("/tasks/count?until=0.5", "until"),
        ("/tasks/count?text=a&text=b", "text"),
        ("/events?after=1&after=2", "after"),
        ("/events?after=null", "after"),
    ],
)
async def test_a_query_that_says_two_things_or_nothing_is_refused(admin: Http, path: str, field: str) -> None:
    answer = await admin("GET", f"/api/v1{path}")
    assert (answer.status, answer.body["field"]) == (400, field)
    assert (await admin("GET", "/api/v1/tasks?state=queued&state=active&tag=a&tag=b")).status == 200


async def test_the_names_people_know_lead_to_the_same(admin: Http) -> None:
    for root in ("", "/api"):
        assert (await admin("POST", f"{root}/tasks", {"uri": "noop:alias"})).status == 201
        assert (await admin("GET", f"{root}/workers/node-1")).body["node"] == "node-1"
        assert [node["node"] for node in (await admin("GET", f"{root}/workers")).body["nodes"]] == ["node-1"]
        assert (await admin("GET", f"{root}/status")).body["leader"]
    assert (await admin("GET", "/api/v2/status")).status == 404


@pytest.mark.slow
async def test_a_batch_of_ten_thousand_is_taken_and_each_ends(admin: Http) -> None:
    """The last of this file: what is submitted behind it waits until it is claimed."""
    answer = await admin("POST", "/api/v1/tasks", [{"uris": ["noop:n"]}] * 10_000)
    assert answer.status == 201
    assert len({result["task"] for result in answer.body["results"]}) == 10_000

    async def are_done() -> bool:
        return bool((await admin("GET", "/api/v1/status")).body["tasks"]["completed"] >= 10_000)

    await eventually(are_done, within_s=100, every_s=0.5)


async def test_the_options_that_a_request_may_have_are_told(admin: Http) -> None:
    told = (await admin("GET", "/api/v1/options")).body["options"]
    assert {one["name"]: one["about"] for one in told} == {name: option.about for name, option in ALLOWED.items()}
    assert next(one for one in told if one["name"] == "seed-time")["only"] == "torrent"
