"""`GET /events` against a real cluster: what is told, to whom, and that nothing is missed."""

import os
import signal
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import anyio
import pytest

from schemas.apikey import Scope
from schemas.request import Request
from tests.gateway.streams import (
    EVENTS,
    another_gateway,
    calling,
    is_ready,
    operating,
    streaming,
    take_away,
    url_of,
)
from tests.harness.processes import Up
from tests.harness.waiting import eventually
from tests.harness.web import make_key

DONE = "finished.completed"


SETTINGS = {"DOWNDRAFT_COORDINATOR_ALLOW_NOOP": "true"}


async def submitted(up: Up, owner: str = "default", **fields: object) -> str:
    async with operating(up) as client:
        return await client.submit(Request(uris=("noop:one",), **fields), owner)  # type: ignore[arg-type]


async def test_the_whole_life_of_a_task_is_told_in_order(up: Up) -> None:
    async with streaming(up) as stream:
        task = await submitted(up, name="One")
        told = [one for one in await stream.until(DONE, task) if one.data.get("task") == task]
    assert told[0].kind == "queued"
    assert told[-1].kind == DONE
    assert all(one.data["type"] == one.kind for one in told)
    numbers = [one.id or 0 for one in told]
    assert numbers == sorted(numbers)
    assert told[-1].data["name"] == "One"


async def test_a_stream_is_resumed_after_the_last_event_that_was_seen(up: Up) -> None:
    async with streaming(up, type="finished") as stream:
        first = await submitted(up)
        [*_, last] = await stream.until(DONE, first)
    missed = [await submitted(up) for _ in range(3)]
    async with streaming(up, type="finished", last_id=last.id) as stream:
        told = {(await stream.until(DONE))[-1].task for _ in missed}
    assert told == set(missed)


async def test_everything_that_is_stored_is_told_after_zero(up: Up) -> None:
    task = await submitted(up)
    await up.state(task, "completed")
    async with streaming(up, after=0, task=task) as stream:
        assert {one.kind for one in await stream.until(DONE, task)} >= {"queued", DONE}


async def test_only_what_is_asked_for_is_told(up: Up) -> None:
    async with AsyncExitStack() as stack:

        async def asking(**query: str) -> list[str]:
            return [one.task for one in await streams[next(iter(query))].until(DONE, wanted)]

        filters: dict[str, Any] = {"owner": "ann", "tag": "eu", "label": "project=mirror", "type": DONE}
        streams = {
            name: await stack.enter_async_context(streaming(up, **{name: value})) for name, value in filters.items()
        }
        await submitted(up, "bob")
        # No node has the tag: it is told of as long as it waits.
        waiting = await submitted(up, "ann", tags=("eu",))
        wanted = await submitted(up, "ann", labels={"project": "mirror"})
        assert set(await asking(owner="")) == {waiting, wanted}
        assert set(await asking(label="")) == {wanted}
        assert all(one.kind == DONE for one in await streams["type"].until(DONE, wanted))
        [queued] = await streams["tag"].until("queued")
        assert queued.task == waiting
        async with operating(up) as client:
            await client.steer("cancel", (waiting,))
        assert {one.task for one in await streams["tag"].until("finished.cancelled")} == {waiting}


async def test_owners_are_told_of_their_own_tasks_only(up: Up) -> None:
    key = await make_key(up, "ann", Scope.READ)
    async with streaming(up, key) as own, streaming(up, key, owner="bob") as others:
        await submitted(up, "bob")
        mine = await submitted(up, "ann")
        assert {one.data["owner"] for one in await own.until(DONE, mine)} == {"ann"}
        with anyio.move_on_after(0.5):
            told = await others.next()
            raise AssertionError(f"told of another's: {told}")


async def test_a_stream_ends_once_its_key_is_taken_away(up: Up) -> None:
    key = await make_key(up, "eve", Scope.READ)
    async with streaming(up, key) as stream:
        await take_away(up, key)
        with anyio.fail_after(10):
            [dropped] = await stream.until("dropped")
        assert "not valid" in dropped.data["reason"]
        assert await stream.next() is None


@pytest.mark.parametrize(
    ("query", "headers", "field"),
    [
        ({"type": "nonsense"}, {}, "type"),
        ({"task": "x"}, {}, "task"),
        ({}, {"Last-Event-ID": "x"}, "Last-Event-ID"),
        ({}, {"Last-Event-ID": "9" * 30}, "Last-Event-ID"),
    ],
)
async def test_what_makes_no_sense_is_refused(
    up: Up, query: dict[str, str], headers: dict[str, str], field: str
) -> None:
    async with calling(up) as session, session.get(EVENTS, params=query, headers=headers) as answer:
        assert answer.status == 400
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert (await answer.json(content_type=None))["field"] == field


async def test_who_was_further_than_the_log_is_told_of_the_gap_and_goes_on(up: Up) -> None:
    async with streaming(up, last_id=1 << 40) as stream:
        [*_, gap] = await stream.until("gap")
        assert gap.data["until"] < gap.data["after"] == 1 << 40
        task = await submitted(up)
        await stream.until(DONE, task)


async def test_nothing_is_missed_while_the_gateway_is_killed_and_comes_back(up: Up) -> None:
    seen: list[str] = []
    last: int | None = None
    async with streaming(up, type="finished") as stream:
        first = await submitted(up)
        told = await stream.until(DONE, first)
        seen += [one.task for one in told]
        last = told[-1].id
        os.kill(up.pid("gateway"), signal.SIGKILL)
        tasks = [await submitted(up) for _ in range(20)]

    await eventually(lambda: is_ready(url_of(up)), within_s=30)
    async with streaming(up, type="finished", last_id=last) as stream:
        tasks += [await submitted(up) for _ in range(5)]
        while not set(tasks) <= set(seen):
            if (one := await stream.next()) is not None and one.kind == DONE:
                seen.append(one.task)
    assert sorted(seen) == sorted([first, *tasks])


async def test_another_replica_goes_on_where_one_left_off(up: Up, tmp_path: Path) -> None:
    with another_gateway(up, tmp_path) as (url, _):
        await eventually(lambda: is_ready(url), within_s=30)
        async with streaming(up, type="finished") as stream:
            [*_, last] = await stream.until(DONE, await submitted(up))
        missed = [await submitted(up) for _ in range(5)]
        async with streaming(up, type="finished", last_id=last.id, at=url) as stream:
            assert {(await stream.until(DONE))[-1].task for _ in missed} == set(missed)
