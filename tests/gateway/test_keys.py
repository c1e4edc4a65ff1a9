"""API keys: made and revoked by the command line, obeyed by a running gateway."""

import json
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from yarl import URL

from tests.gateway.streams import another_gateway, is_ready
from tests.harness.processes import Up, running_up
from tests.harness.waiting import eventually

REVOKED_WITHIN_S = 2.0


ARGUMENTS = ("--nodes", "0")


def made(up: Up, *arguments: str) -> dict[str, Any]:
    done = up.run("key", "create", "--json", *arguments)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


async def asked(up: Up, headers: dict[str, str] | None = None, path: str = "/api/v1/tasks", at: str = "") -> int:
    """The status of the answer to a request; `at`: another replica's address."""
    async with (
        aiohttp.ClientSession() as session,
        session.get((at or up.info["gateway"]["url"]) + path, headers=headers) as answer,
    ):
        return answer.status


async def until(up: Up, key: str, status: int, at: str = "") -> float:
    """Wait until the gateway answers so to a key; the seconds that it took."""
    began = time.monotonic()

    async def is_so() -> bool:
        return await asked(up, {"X-API-Key": key}, at=at) == status

    await eventually(is_so, within_s=10)
    return time.monotonic() - began


async def test_a_key_is_taken_in_each_of_its_places(up: Up) -> None:
    key = made(up, "--owner", "ops", "--scope", "admin")["key"]
    await until(up, key, 200)
    basic = aiohttp.BasicAuth("ops", key).encode()
    for headers in ({"X-API-Key": key}, {"Authorization": f"Bearer {key}"}, {"Authorization": basic}):
        assert await asked(up, headers) == 200


async def test_a_key_in_the_address_is_not_taken_unless_that_is_set(up: Up) -> None:
    key = up.info["gateway"]["key"]
    assert await asked(up, path=f"/api/v1/tasks?api_key={key}") == 401


@pytest.mark.parametrize("shown", ["", "nonsense", "dd_00000000_" + 32 * "A"])
async def test_what_is_no_key_opens_nothing(up: Up, shown: str) -> None:
    assert await asked(up, {"X-API-Key": shown} if shown else None) == 401


async def test_whether_it_lives_and_is_ready_everybody_may_know(up: Up) -> None:
    assert await asked(up, path="/healthz") == 200
    assert await asked(up, path="/readyz") == 200


async def test_what_is_no_id_revokes_nothing(up: Up) -> None:
    before = up.run("key", "ls", "--json").stdout
    headers = {"X-API-Key": up.info["gateway"]["key"]}
    async with aiohttp.ClientSession(up.info["gateway"]["url"], headers=headers) as session:
        for name in ("%2A", "%3E", "54bb%2A", "a%20b", "a%0D%0Ab", "0123456789"):  # among them wildcards of the broker
            async with session.delete(URL(f"/api/v1/keys/{name}", encoded=True)) as answer:
                assert answer.status == 404
    assert up.run("key", "ls", "--json").stdout == before
    assert up.run("key", "revoke", "*").returncode == 1


async def test_a_revoked_key_opens_nothing_within_two_seconds(up: Up) -> None:
    key = made(up, "--scope", "admin")
    await until(up, key["key"], 200)
    assert up.run("key", "revoke", key["id"]).returncode == 0
    assert await until(up, key["key"], 401) < REVOKED_WITHIN_S


async def test_a_key_is_revoked_at_every_replica(up: Up, tmp_path: Path) -> None:
    with another_gateway(up, tmp_path) as (url, _):
        await eventually(lambda: is_ready(url), within_s=30)
        key = made(up, "--scope", "admin")
        await until(up, key["key"], 200, at=url)
        assert await call(up, "DELETE", f"/api/v1/keys/{key['id']}")
        assert await until(up, key["key"], 401, at=url) < REVOKED_WITHIN_S


def test_a_list_tells_neither_keys_nor_what_they_are_checked_by(up: Up) -> None:
    key = made(up, "--owner", "team-a", "--note", "nightly mirror")
    [listed] = [one for one in up.run("key", "ls", "--json").stdout.splitlines() if key["id"] in one]
    assert json.loads(listed) == {name: value for name, value in key.items() if name != "key"}
    assert "digest" not in listed


def test_a_revoked_key_is_listed_only_where_all_are_asked_for(up: Up) -> None:
    key = made(up)
    up.run("key", "revoke", key["id"])
    assert key["id"] not in up.run("key", "ls").stdout
    assert key["id"] in up.run("key", "ls", "--all").stdout


def test_a_scope_that_is_none_is_named_with_those_there_are(up: Up) -> None:
    done = up.run("key", "create", "--scope", "write")
    assert done.returncode == 2
    assert done.stderr == "downdraft: there is no scope 'write': there are read, submit, admin\n"


def test_the_first_key_once_revoked_stays_so_when_the_gateway_starts_again(tmp_path: Path) -> None:
    with running_up(tmp_path, "--nodes", "0", gateway=True) as first:
        key = first.info["gateway"]["key"]
        assert first.run("key", "revoke", key.split("_")[1]).returncode == 0
    with running_up(tmp_path, "--nodes", "0", gateway=True) as again:
        assert again.info["gateway"]["key"] == key
        assert key.split("_")[1] not in again.run("key", "ls").stdout


async def call(up: Up, method: str, path: str, body: Any = None, key: str = "") -> tuple[int, Any]:
    """The status and the JSON of an answer, by default with the first key."""
    gateway = up.info["gateway"]
    headers = {"X-API-Key": key or gateway["key"]}
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, gateway["url"] + path, headers=headers, json=body) as answer,
    ):
        return answer.status, await answer.json()


async def test_an_operator_makes_lists_and_revokes_keys_by_http(up: Up) -> None:
    wanted = {"owner": "team-b", "scopes": ["read"], "note": "a dashboard"}
    status, new = await call(up, "POST", "/api/v1/keys", wanted)
    assert status == 201
    assert {name: new[name] for name in wanted} == wanted
    await until(up, new["key"], 200)
    assert await call(up, "GET", "/api/v1/me", key=new["key"]) == (
        200,
        {"key": new["id"], "owner": "team-b", "scopes": ["read"]},
    )
    _, listed = await call(up, "GET", "/api/v1/keys")
    [shown] = [one for one in listed["keys"] if one["id"] == new["id"]]
    assert shown == {**new, "key": None}
    status, gone = await call(up, "DELETE", f"/api/v1/keys/{new['id']}")
    assert (status, bool(gone["revoked"])) == (200, True)
    assert await until(up, new["key"], 401) < REVOKED_WITHIN_S
    _, left = await call(up, "GET", "/api/v1/keys")
    assert new["id"] not in [one["id"] for one in left["keys"]]
    _, everything = await call(up, "GET", "/api/v1/keys?revoked=true")
    assert new["id"] in [one["id"] for one in everything["keys"]]


@pytest.mark.parametrize(
    ("wanted", "field"), [({"owner": "admin"}, "owner"), ({"scopes": []}, "scopes"), ({"scopes": ["all"]}, "scopes")]
)
async def test_a_key_that_can_not_be_is_refused_with_the_field_that_is_wrong(
    up: Up, wanted: dict[str, Any], field: str
) -> None:
    status, problem = await call(up, "POST", "/api/v1/keys", wanted)
    assert status == 422
    assert problem["field"].startswith(field)


async def test_to_revoke_a_key_that_is_none_says_so(up: Up) -> None:
    status, problem = await call(up, "DELETE", "/api/v1/keys/ffffffff")
    assert (status, problem["detail"]) == (404, "there is no API key 'ffffffff'")
