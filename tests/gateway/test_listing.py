"""Listing and looking at tasks over HTTP, against a whole cluster."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import pytest

from tests.harness.processes import Up, running_up
from tests.harness.waiting import eventually

pytestmark = pytest.mark.anyio

NOWHERE = "http://127.0.0.1:9/"
"""Nobody listens there."""


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with running_up(tmp_path_factory.mktemp("listing"), gateway=True) as running:
        for name, tags in (("alpha", "blue"), ("beta", "blue"), ("gamma", "red")):
            done = running.run("submit", f"{NOWHERE}{name}.bin", "--tag", tags, "--label", f"job={name}")
            assert done.returncode == 0, done.stderr
        yield running


@pytest.fixture
async def http(up: Up) -> AsyncIterator[aiohttp.ClientSession]:
    gateway = up.info["gateway"]
    async with aiohttp.ClientSession(gateway["url"], headers={"X-API-Key": gateway["key"]}) as session:
        yield session


async def listed(http: aiohttp.ClientSession, query: str, expected: int) -> list[dict[str, Any]]:
    """The tasks that a query shows, once there are as many."""

    async def reached() -> tuple[list[dict[str, Any]]] | None:
        async with http.get(f"/api/v1/tasks?{query}") as answer:
            found = (await answer.json())["tasks"] if answer.status == 200 else None
            return (found,) if found is not None and len(found) == expected else None

    tasks: list[dict[str, Any]]
    (tasks,) = await eventually(reached, within_s=20, what=f"{expected} tasks of ?{query}")
    return tasks


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", {"alpha", "beta", "gamma"}),
        ("tag=blue", {"alpha", "beta"}),
        ("tag=blue&label=job%3Dbeta", {"beta"}),
        ("text=GAM", {"gamma"}),
        ("origin=127.0.0.1", {"alpha", "beta", "gamma"}),
        ("owner=default&state=queued&state=assigned&state=active", {"alpha", "beta", "gamma"}),
        ("since=2100-01-01T00:00:00Z", set()),
    ],
)
async def test_tasks_are_listed_by_what_is_asked(http: aiohttp.ClientSession, query: str, names: set[str]) -> None:
    found = await listed(http, query, len(names))
    assert {task["name"].removesuffix(".bin") for task in found} == names


async def test_a_page_tells_where_the_next_begins(http: aiohttp.ClientSession) -> None:
    await listed(http, "", 3)
    names, after = [], ""
    for _ in range(3):
        async with http.get("/api/v1/tasks", params={"sort": "-name", "limit": 1, "after": after}) as answer:
            page = await answer.json()
        names += [task["name"] for task in page["tasks"]]
        after = page["after"]
    assert (names, after) == (["gamma.bin", "beta.bin", "alpha.bin"], "")


@pytest.mark.parametrize(
    ("query", "field"),
    [("state=bogus", "state"), ("limit=0", "limit"), ("after=x", "after"), ("since=2026-01-01T00:00:00", "since")],
)
async def test_what_can_not_be_asked_is_named(http: aiohttp.ClientSession, query: str, field: str) -> None:
    async with http.get(f"/api/v1/tasks?{query}") as answer:
        problem = await answer.json(content_type="application/problem+json")
    assert (answer.status, problem["field"]) == (400, field), problem


async def test_a_task_is_told_with_its_timeline(http: aiohttp.ClientSession) -> None:
    (task,) = await listed(http, "label=job%3Dalpha", 1)
    async with http.get(f"/api/v1/tasks/{task['task']}") as answer:
        told = await answer.json()
    assert (told["task"]["name"], told["events"][0]["type"]) == ("alpha.bin", "queued")


@pytest.mark.parametrize("task", ["0123456789abcdef", "nonsense"])
async def test_an_unknown_task_is_not_found(http: aiohttp.ClientSession, task: str) -> None:
    async with http.get(f"/api/v1/tasks/{task}") as answer:
        assert answer.status == 404
