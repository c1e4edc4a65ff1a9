"""What all answers have in common: headers, limits, refusals, the log, and how keys are shown."""

import json
from base64 import b64encode
from contextlib import suppress

import anyio
from aiohttp import WSMsgType

from gateway.app import BODY_BYTES_MAX
from schemas.apikey import Scope
from tests.gateway.rpc import NOWHERE, hearing
from tests.harness.processes import Up
from tests.harness.waiting import eventually
from tests.harness.web import Answer, Web, make_key

ARGUMENTS = ("--nodes", "0")
SETTINGS = {
    "DOWNDRAFT_GATEWAY_KEY_REQUESTS_PER_S": "10",
    "DOWNDRAFT_GATEWAY_KEY_IN_QUERY": "true",
    "DOWNDRAFT_GATEWAY_JSONP": "true",
    "DOWNDRAFT_GATEWAY_CORS_ORIGINS": "https://page.example",
}
PROBLEM = "application/problem+json"


def basic(owner: str, key: str) -> dict[str, str]:
    return {"Authorization": "Basic " + b64encode(f"{owner}:{key}".encode()).decode()}


async def test_basic_credentials_must_name_the_owner_of_the_key(up: Up, stranger: Web) -> None:
    key = await make_key(up, "team-a", Scope.READ)
    assert (await stranger.get("/metrics", headers=basic("team-a", key))).status == 200
    wrong = await stranger.get("/metrics", headers=basic("team-b", key))
    assert (wrong.status, wrong.json["detail"]) == (401, "Basic credentials must be the key's own owner and the key")
    garbled = await stranger.get("/metrics", headers={"Authorization": "Basic ???"})
    assert garbled.status == 401


async def test_a_key_in_the_address_opens_only_what_is_read_and_is_never_logged(up: Up, stranger: Web) -> None:
    key = await make_key(up, "team-a", Scope.READ)
    assert (await stranger.get(f"/metrics?api_key={key}")).status == 200
    assert (await stranger.ask("POST", f"/metrics?api_key={key}")).status == 405
    await eventually(lambda: '"path": "/metrics"' in up.log("gateway"))
    assert key not in up.log("gateway")


async def test_each_request_is_a_line_of_the_log(up: Up, web: Web) -> None:
    await web.get("/nothing/here?secret=1")

    def told() -> dict[str, object] | None:
        lines = [json.loads(line) for line in up.log("gateway").splitlines()]
        return next((line for line in lines if line.get("path") == "/nothing/here"), None)

    line = await eventually(told)
    assert {name: line[name] for name in ("event", "method", "status", "client")} == {
        "event": "request",
        "method": "GET",
        "status": 404,
        "client": "127.0.0.1",
    }


async def test_a_key_that_asks_too_much_is_told_when_to_ask_again(up: Up, stranger: Web) -> None:
    hasty, other = await make_key(up, "hasty", Scope.READ), await make_key(up, "other", Scope.READ)

    answers: list[Answer] = []

    async def ask() -> None:
        answers.append(await stranger.get("/healthz", key=hasty))

    async with anyio.create_task_group() as tasks:
        for _ in range(100):
            tasks.start_soon(ask)
    assert {answer.status for answer in answers} == {200, 429}
    answer = next(answer for answer in answers if answer.status == 429)
    assert answer.headers["Content-Type"] == PROBLEM
    assert answer.headers["Retry-After"] == "1"
    assert answer.json["detail"].startswith("this key asks more than 10 times a second")
    assert (await stranger.get("/healthz", key=other)).status == 200


async def test_refusals_are_problem_documents(web: Web, stranger: Web) -> None:
    refusals = {
        404: await web.get("/nothing"),
        405: await web.ask("POST", "/healthz"),
        401: await stranger.get("/metrics"),
    }
    for status, answer in refusals.items():
        assert (answer.status, answer.headers["Content-Type"]) == (status, PROBLEM)
        assert answer.json["status"] == status
    assert "GET" in refusals[405].headers["Allow"]


async def test_a_body_that_is_too_large_is_refused_before_it_is_read(web: Web) -> None:
    answer = await web.ask("POST", "/api/v1/tasks", data=bytes(BODY_BYTES_MAX + 1))
    assert (answer.status, answer.headers["Content-Type"]) == (413, PROBLEM)


async def test_every_answer_says_that_it_is_no_page_and_nobody_keeps_it(web: Web) -> None:
    for path in ("/healthz", "/nothing"):
        headers = (await web.get(path)).headers
        assert headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"


async def test_pages_of_the_origins_that_are_set_may_ask_and_others_not(web: Web) -> None:
    asked = {"Access-Control-Request-Method": "DELETE", "Access-Control-Request-Headers": "x-api-key"}
    ours = await web.ask("OPTIONS", "/metrics", headers={"Origin": "https://page.example", **asked})
    assert (ours.status, ours.headers["Access-Control-Allow-Origin"]) == (204, "https://page.example")
    other = await web.ask("OPTIONS", "/metrics", headers={"Origin": "https://page.example.evil", **asked})
    assert (other.status, other.headers.get("Access-Control-Allow-Origin")) == (400, None)
    plain = await web.get("/metrics", headers={"Origin": "https://evil.example"})
    assert "Access-Control-Allow-Origin" not in plain.headers


async def test_which_methods_a_route_has_anybody_may_ask(stranger: Web) -> None:
    answer = await stranger.ask("OPTIONS", "/metrics")
    assert (answer.status, answer.headers["Allow"]) == (204, "GET, OPTIONS")


def call_of(key: str, method: str = "aria2.getVersion", *params: object) -> dict[str, object]:
    return {"id": 1, "method": method, "params": [f"token:{key}", *params]}


async def test_a_key_in_json_rpc_counts_as_any_other_does(up: Up, stranger: Web) -> None:
    hasty, other = await make_key(up, "hasty", Scope.READ), await make_key(up, "other", Scope.READ)
    answers: list[Answer] = []

    async def ask(body: object) -> None:
        answers.append(await stranger.ask("POST", "/jsonrpc", json=body))

    async with anyio.create_task_group() as tasks:
        for number in range(60):
            many = {
                "id": 1,
                "method": "system.multicall",
                "params": [[{"methodName": "aria2.getVersion"} | {"params": [f"token:{hasty}"]}] * 3],
            }
            tasks.start_soon(ask, (call_of(hasty), [call_of(hasty)] * 3, many)[number % 3])
    assert {answer.status for answer in answers} == {200, 429}
    refused = next(answer for answer in answers if answer.status == 429)
    told = refused.json[0] if isinstance(refused.json, list) else refused.json
    assert told["error"]["code"] == 1
    assert told["error"]["message"].startswith("Too many requests: this key may make 10 a second. Ask again in ")
    assert refused.headers["Retry-After"] == "1"
    mixed = await stranger.ask("POST", "/jsonrpc", json=[call_of(hasty), call_of(other)])
    assert (mixed.status, ["error" in one for one in mixed.json]) == (200, [True, False])


async def test_jsonp_is_a_script_that_calls_what_it_is_told_and_nothing_else(up: Up, stranger: Web) -> None:
    url = "/jsonrpc?method=system.listNotifications&id=a"
    good = await stranger.get(f"{url}&jsoncallback=my.cb")
    assert (good.status, good.headers["Content-Type"]) == (200, "text/javascript; charset=utf-8")
    assert good.headers["X-Content-Type-Options"] == "nosniff"
    assert json.loads(good.text.removeprefix("my.cb(").removesuffix(")"))["result"][0] == "aria2.onDownloadStart"
    refused = await stranger.get("/jsonrpc?method=aria2.getVersion&id=a&jsoncallback=cb")
    assert (refused.status, refused.text[:3], "Unauthorized" in refused.text) == (400, "cb(", True)
    for name in ("alert(1)//", "a;b", "<x>", "1a", "a" * 200):
        bad = await stranger.ask("GET", "/jsonrpc", params={"method": "x", "id": "a", "jsoncallback": name})
        assert (bad.status, bad.headers["Content-Type"]) == (400, "application/json-rpc")
        assert name not in bad.text


async def test_a_socket_may_show_its_key_in_its_address_where_that_is_allowed(up: Up, stranger: Web) -> None:
    ours, theirs = [await make_key(up, name, Scope.READ, Scope.SUBMIT) for name in ("ours", "theirs")]
    async with (
        hearing(stranger.url, f"?token={ours}") as by_token,
        hearing(stranger.url, f"?api_key={ours}") as by_key,
        hearing(stranger.url, **basic("ours", ours)) as by_name,
    ):
        for key in (theirs, ours):
            added = await stranger.ask(
                "POST", "/jsonrpc", json=call_of(key, "aria2.addUri", [NOWHERE], {"pause": "true"})
            )
            gid = added.json["result"]
            await stranger.ask("POST", "/jsonrpc", json=call_of(key, "aria2.remove", gid))
        for ear in (by_token, by_key, by_name):
            await ear.until("DownloadStop", gid)
            assert ear.heard == [("DownloadStop", gid)]
    assert ours not in up.log("gateway")


async def test_what_is_too_much_at_once_is_refused_with_its_limit(up: Up, stranger: Web) -> None:
    calls = [{"id": 1, "method": "system.listMethods"}] * 10_001
    whole = await stranger.ask("POST", "/jsonrpc", json=calls)
    assert (whole.status, whole.json["error"]) == (
        400,
        {"code": -32600, "message": "Invalid Request. A batch has 10000 calls at most."},
    )
    many = {"id": 1, "method": "system.multicall", "params": [[{}] * 10_001]}
    inner = await stranger.ask("POST", "/jsonrpc", json=many)
    assert inner.json["error"] == {"code": 1, "message": "system.multicall takes 10000 calls at most, not 10001."}
    padded = json.dumps({"id": 7, "method": "system.listNotifications", "params": ["x" * (20 << 20)]})
    async with stranger.session.ws_connect(f"{stranger.url}/jsonrpc") as socket:
        await socket.send_str(padded)
        assert json.loads(await socket.receive_str(timeout=30))["id"] == 7
        with suppress(ConnectionError):  # it is closed while this is still being sent
            await socket.send_str(padded + " " * (13 << 20))
        assert (await socket.receive(timeout=30)).type is not WSMsgType.TEXT
