"""What gateways show of the streams, beside a broker and nothing else: they agree, come back, need no coordinator."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from secrets import token_bytes
from typing import Any, NamedTuple

import pytest

from broker import keys
from broker.connection import Connection
from broker.roles import Role
from schemas import codec
from schemas import subjects as s
from schemas.apikey import ID_BYTES, SECRET_BYTES, ApiKey, Scope, digest_of, make_secret
from schemas.event import Completed, Dismissed, Event, Failed, Queued
from schemas.heartbeat import Heartbeat, Held, Progress
from schemas.lifecycle import State
from schemas.request import Request
from schemas.task import TaskRow
from tests.examples import a_task
from tests.harness.broker import Broker, running_broker
from tests.harness.gateway import GatewayProcess
from tests.harness.waiting import eventually
from tests.harness.web import Web

pytestmark = pytest.mark.anyio

BEGIN = datetime(2026, 11, 1, tzinfo=UTC)
OWNERS = ("ann", "ben")
ENDED, LIVE = 24, 6
TASKS = ENDED + LIVE
RUNS = a_task(ENDED + 1)
"""One of the live ones."""
NODE = "node-1"
SORTS = ("-time", "time", "name", "-name", "size", "-size", "priority", "-priority", "queue")


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """For the whole module, as its broker is."""
    return "asyncio"


class Beside(NamedTuple):
    """A broker with tasks in its streams, and two gateways."""

    broker: Broker
    admin: Connection
    first: GatewayProcess
    """Its read model is in memory."""
    second: GatewayProcess
    """… and this one's in a file."""
    file: Path


@pytest.fixture(scope="module")
async def beside(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Beside]:
    folder: Path = tmp_path_factory.mktemp("beside")
    async with running_broker(folder / "broker") as broker, broker.connected(Role.ADMIN) as admin:
        for number in range(1, TASKS + 1):
            await write_task(admin, number)
        file = folder / "model.db"
        first = GatewayProcess(broker, folder / "gateways", "first")
        second = GatewayProcess(broker, folder / "gateways", "second", database=str(file))
        async with first.running(), second.running():
            yield Beside(broker, admin, first, second, file)


async def write_event(admin: Connection, event: Event, writer: str = "coordinator") -> None:
    await admin.store(s.event_write(event.task, event.kind, writer), codec.encode(event))


async def write_task(admin: Connection, number: int) -> None:
    """Some have ended, several of them at one moment; the rest stands in the table."""
    asked = Request(uris=(f"https://origin/f{number % 5}",), priority=number % 3)
    about: dict[str, Any] = {"task": a_task(number), "owner": OWNERS[number % 2]}
    if number > ENDED:
        about |= {"source": "s", "request": asked, "submitted": BEGIN}
        state, place = (State.ASSIGNED, NODE) if a_task(number) == RUNS else (State.QUEUED, "queued")
        row = TaskRow(state=state, place=place, **about)
        await admin.store(s.task_write(row.place, row.task), codec.encode(row))
        return
    about |= {"name": f"f{number % 5}", "time": BEGIN + timedelta(seconds=number // 4)}
    await write_event(admin, Queued(**about))
    about["request"] = asked
    if number % 4 == 0:
        await write_event(admin, Failed(reason="gone", **about))
        return
    done = Completed(node=NODE, path="f", bytes=number % 3, digest="", seconds=1.0, **about)
    await write_event(admin, done, NODE)


async def listed(web: Web, key: str = "", **query: str) -> list[str]:
    answer = await web.get("/api/v1/tasks", key=key, params={"limit": "1000", **query})
    assert answer.status == 200, answer.text
    return [task["task"] for task in answer.json["tasks"]]


@pytest.mark.parametrize("sort", SORTS)
async def test_gateways_agree_and_one_goes_on_where_another_ended(beside: Beside, sort: str) -> None:
    whole = await listed(beside.first.web, sort=sort)
    assert len(whole) == (LIVE if sort == "queue" else TASKS)
    shown: list[str] = []
    after = ""
    for turn in range(TASKS):
        web = (beside.first, beside.second)[turn % 2].web
        page = await web.get("/api/v1/tasks", params={"limit": "4", "sort": sort, "after": after})
        shown += [task["task"] for task in page.json["tasks"]]
        if not (after := page.json["after"]):
            break
    assert shown == whole


async def test_owners_are_shown_their_own_tasks_and_operators_all(beside: Beside) -> None:
    web = beside.first.web
    for owner in OWNERS:
        key = await a_key(beside.admin, owner, Scope.READ)

        async def is_known(key: str = key) -> bool:
            return await web.status("GET", "/api/v1/tasks", key=key) == 200

        await eventually(is_known, what="the gateway knows a new key")
        own = [a_task(number) for number in range(1, TASKS + 1) if OWNERS[number % 2] == owner]
        assert sorted(await listed(web, key)) == own
        assert await listed(web, key, owner=OWNERS[OWNERS.index(owner) - 1]) == []
        assert sorted(await listed(web, key, owner=owner)) == own
        status = (await web.get("/api/v1/status", key=key)).json
        assert sum(status["tasks"].values()) == TASKS // 2
        for number in (1, 2, TASKS, TASKS - 1):
            answer = await web.get(f"/api/v1/tasks/{a_task(number)}", key=key)
            assert answer.status == (200 if a_task(number) in own else 404)
    assert len(await listed(web)) == TASKS
    assert sum((await web.get("/api/v1/status")).json["tasks"].values()) == TASKS


async def a_key(admin: Connection, owner: str, *scopes: Scope) -> str:
    secret = make_secret(token_bytes(ID_BYTES + SECRET_BYTES))
    key = ApiKey(id=secret.id, owner=owner, scopes=scopes, digest=digest_of(secret), created=BEGIN)
    await keys.write(admin, s.api_key_key(secret.id), codec.encode(key), expected=0)
    return secret.text


async def test_a_task_is_told_with_its_timeline_where_no_coordinator_answers(beside: Beside) -> None:
    ended = (await beside.first.web.get(f"/api/v1/tasks/{a_task(4)}")).json
    assert (ended["task"]["state"], ended["task"]["reason"]) == ("failed", "gone")
    assert [event["type"] for event in ended["events"]] == ["queued", "finished.failed"]
    live = (await beside.first.web.get(f"/api/v1/tasks/{a_task(TASKS)}")).json
    assert (live["task"]["state"], live["events"]) == ("queued", [])


async def test_what_a_node_says_is_laid_over_what_is_stored(beside: Beside) -> None:
    web = beside.first.web

    async def task() -> dict[str, Any]:
        told: dict[str, Any] = (await web.get(f"/api/v1/tasks/{RUNS}")).json["task"]
        return told

    async with beside.broker.connected(Role.NODE, NODE) as node:

        async def beat(number: int, *held: Held) -> None:
            about: dict[str, Any] = {"node": NODE, "instance": "i", "beat": number, "version": "0"}
            beating = Heartbeat(slots=1, running=1, waiting=0, bytes_per_s=7, held=held, **about)
            await node.publish(s.heartbeat(NODE), codec.encode(beating))

        async def is_told(done: int) -> dict[str, Any] | None:
            """Both are stored nowhere, and heard when the gateway listens."""
            await beat(1, Held(RUNS, 1, "active"))
            told = Progress(task=RUNS, attempt=1, node=NODE, bytes_done=done, bytes_total=100, bytes_per_s=10)
            await node.publish(s.progress(RUNS, NODE), codec.encode(told))
            shown = await task()
            return shown if shown["state"] == "active" and shown["bytes"] == done else None

        shown = await eventually(lambda: is_told(40), every_s=0.1)
        expected = {"phase": "active", "bytes_total": 100, "bytes_per_s": 10, "eta_s": 6.0, "node": NODE}
        assert {field: shown[field] for field in expected} == expected
        # What it was told to be and what came may differ: there is no time before now.
        shown = await eventually(lambda: is_told(150), every_s=0.1)
        assert shown["eta_s"] == 0.0
        assert await listed(web, state="active") == [RUNS]
        status = (await web.get("/api/v1/status")).json
        assert (status["tasks"]["active"], status["tasks"]["assigned"], status["bytes_per_s"]) == (1, 0, 7)

        async def is_over() -> bool:
            await beat(2)
            return await listed(web, state="assigned") == [RUNS]

        await eventually(is_over, every_s=0.1)


async def test_a_gateway_that_comes_back_goes_on_with_its_file(beside: Beside) -> None:
    before = await listed(beside.second.web)
    await beside.second.kill()
    late = a_task(5000)
    await _completed_now(beside.admin, late)
    await beside.second.start()
    (opened,) = [line for line in beside.second.said if line["event"] == "read model opened"]
    assert opened["tasks"] == len(before)
    assert await listed(beside.second.web) == [late, *before]


async def test_what_was_dismissed_while_a_gateway_was_away_is_gone_once_it_is_back(beside: Beside) -> None:
    before = await listed(beside.second.web)
    await beside.second.kill()
    for number, gone in enumerate(before[:2], 5001):
        await write_event(beside.admin, Dismissed(task=gone, owner="ann", time=datetime.now(UTC)))
        await _completed_now(beside.admin, a_task(number))
    await beside.second.start()
    left = [a_task(5002), a_task(5001), *before[2:]]
    assert await listed(beside.second.web) == left
    assert await eventually(lambda: _shows(beside.first.web, left))


async def _completed_now(admin: Connection, task: str) -> None:
    about: dict[str, Any] = {"task": task, "owner": "ann", "time": datetime.now(UTC), "node": NODE}
    await write_event(admin, Completed(path="f", bytes=1, digest="", seconds=1.0, **about), NODE)


async def _shows(web: Web, tasks: list[str]) -> bool:
    return await listed(web) == tasks


async def test_a_broken_file_is_made_anew_from_the_streams(beside: Beside) -> None:
    before = await listed(beside.second.web)
    await beside.second.kill()
    for wal in beside.file.parent.glob(f"{beside.file.name}-*"):
        wal.unlink()
    with beside.file.open("r+b") as opened:
        opened.seek(8192)
        opened.write(b"\xff" * 60_000)
    await beside.second.start()
    assert "damaged" in beside.second.process.log
    assert await listed(beside.second.web) == before
