"""What all answers have in common: headers, limits, refusals, the log, and how keys are shown."""

import json
import os
import signal
from base64 import b64encode
from contextlib import suppress

import anyio
import pytest
from aiohttp import WSMsgType

from gateway.access import AWAY_FOR_S
from gateway.heads import HEAD_BYTES_MAX
from gateway.rest import api, submitting
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
LENGTH_AND_TYPE = ("Content-Length", "Content-Type")


def basic(owner: str, key: str) -> dict[str, str]:
    return {"Authorization": "Basic " + b64encode(f"{owner}:{key}".encode()).decode()}


async def test_basic_credentials_must_name_the_owner_of_the_key(up: Up, stranger: Web) -> None:
    key = await make_key(up, "team-a", Scope.READ)
    assert (await stranger.get("/metrics", headers=basic("team-a", key))).status == 200
    wrong = await stranger.get("/metrics", headers=basic("team-b", key))
    assert (wrong.status, wrong.json["detail"]) == (401, "Basic credentials must be the key's own owner and the key")
    garbled = await stranger.get("/metrics", headers={"Authorization": "Basic ???"})
    assert garbled.status == 401


async def test_each_401_says_how_to_show_a_key(stranger: Web) -> None:
    shown: tuple[dict[str, str], ...] = (
        {},
        {"X-API-Key": "nonsense"},
        {"Authorization": "Basic ???"},
        {"X-API-Key": "dd_00000000_" + 32 * "A"},
    )
    for headers in shown:
        answer = await stranger.get("/metrics", headers=headers)
        assert (answer.status, answer.headers.get("WWW-Authenticate")) == (401, 'Bearer realm="downdraft"')


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


async def test_a_health_check_that_finds_nothing_wrong_leaves_no_line_in_the_log(up: Up, web: Web) -> None:
    assert [(await web.get(path)).status for path in ("/healthz", "/readyz")] == [200, 200]
    assert (await web.get("/after/these")).status == 404

    await eventually(lambda: "/after/these" in up.log("gateway"))
    checked = [line for line in up.log("gateway").splitlines() if "/healthz" in line or "/readyz" in line]
    assert [line for line in checked if json.loads(line)["status"] == 200] == []


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
    assert refusals[405].headers["Allow"] == "GET, HEAD, OPTIONS"


async def test_a_body_that_is_too_large_is_refused_before_it_is_read(web: Web) -> None:
    many = b"[" + submitting.COMMAS_MAX * b"1," + b"1]"  # few bytes, and a gigabyte as they are read
    for path, body in (
        ("/api/v1/tasks", bytes(submitting.BODY_BYTES_MAX + 1)),
        ("/api/v1/tasks", many + b" "),
        ("/api/v1/tasks/actions", bytes(api.BODY_BYTES_MAX + 1)),
    ):
        answer = await web.ask("POST", path, data=body)
        assert (answer.status, answer.headers["Content-Type"]) == (413, PROBLEM)


@pytest.mark.parametrize("endless", [b"a" * 1000, b"a: " + b"b" * 100 + b"\r\nc"], ids=["one header", "many"])
async def test_a_head_without_an_end_is_refused_before_it_fills_the_memory(up: Up, endless: bytes) -> None:
    _, _, at = up.info["gateway"]["url"].rpartition("/")
    host, _, port = at.partition(":")
    async with await anyio.connect_tcp(host, int(port)) as stream:
        await stream.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\na")
        for _ in range(HEAD_BYTES_MAX // len(endless) + 1):
            await stream.send(endless)
        with anyio.fail_after(10):
            assert (await stream.receive()).startswith(b"HTTP/1.1 431 ")


async def test_every_answer_says_that_it_is_no_page_and_nobody_keeps_it(web: Web) -> None:
    for path in ("/healthz", "/nothing"):
        headers = (await web.get(path)).headers
        assert headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"


async def test_pages_of_the_origins_that_are_set_may_ask_and_others_not(web: Web) -> None:
    conditions = "if-match, if-none-match, if-range, x-api-key"  # of what an ETag was told for
    asked = {"Access-Control-Request-Method": "DELETE", "Access-Control-Request-Headers": conditions}
    ours = await web.ask("OPTIONS", "/metrics", headers={"Origin": "https://page.example", **asked})
    assert (ours.status, ours.headers["Access-Control-Allow-Origin"]) == (204, "https://page.example")
    other = await web.ask("OPTIONS", "/metrics", headers={"Origin": "https://page.example.evil", **asked})
    assert (other.status, other.headers.get("Access-Control-Allow-Origin")) == (400, None)
    plain = await web.get("/metrics", headers={"Origin": "https://evil.example"})
    assert "Access-Control-Allow-Origin" not in plain.headers


async def test_which_methods_a_route_has_anybody_may_ask(stranger: Web) -> None:
    answer = await stranger.ask("OPTIONS", "/metrics")
    assert (answer.status, answer.headers["Allow"]) == (204, "GET, HEAD, OPTIONS")


async def test_head_is_answered_as_get_without_the_body(up: Up, web: Web, stranger: Web) -> None:
    for path in ("/healthz", "/docs", "/nothing"):
        head, get = await stranger.ask("HEAD", path), await stranger.get(path)
        assert (head.status, head.body) == (get.status, b"")
        assert [head.headers[name] for name in LENGTH_AND_TYPE] == [get.headers[name] for name in LENGTH_AND_TYPE]
    assert (await stranger.ask("HEAD", "/metrics")).status == 401
    with anyio.fail_after(10):
        assert (await web.ask("HEAD", "/api/v1/events")).status == 200, "a stream that has no end"
    await eventually(lambda: '"method": "HEAD", "path": "/docs", "status": 200' in up.log("gateway"))


async def test_while_the_broker_is_away_each_route_says_so_soon_or_does_without(up: Up, web: Web) -> None:
    key = await make_key(up, "waiting", Scope.ADMIN)
    task = "/api/v1/tasks/0123456789abcdef"
    needing = [
        *(("GET", task), ("GET", f"{task}/file"), ("GET", f"{task}/explain"), ("POST", f"{task}/pause")),
        *(("POST", "/api/v1/tasks"), ("GET", "/api/v1/nodes"), ("GET", "/api/v1/policy"), ("GET", "/api/v1/keys")),
    ]
    alone = [("GET", path) for path in ("/healthz", "/api/v1/tasks", "/api/v1/status", "/api/v1/me", "/metrics")]
    answers: dict[str, Answer] = {}

    async def ask(method: str, path: str) -> None:
        answers[path + method] = await web.ask(method, path, key=key, data=b"{}" if method == "POST" else None)

    os.kill(up.pid("up"), signal.SIGSTOP)  # it would start another broker
    try:
        os.kill(up.pid("nats-server"), signal.SIGKILL)

        async def is_missed() -> bool:
            return (await web.get("/readyz")).status == 503

        await eventually(is_missed)
        began = anyio.current_time()
        async with anyio.create_task_group() as tasks:
            for method, path in needing + alone:
                tasks.start_soon(ask, method, path)
        assert anyio.current_time() - began < AWAY_FOR_S + 2
    finally:
        os.kill(up.pid("up"), signal.SIGCONT)
    for method, path in alone:
        assert answers[path + method].status == 200, path
    assert answers["/api/v1/statusGET"].json["broker_away"]
    for method, path in needing:
        answer = answers[path + method]
        assert (answer.status, answer.headers["Content-Type"]) == (503, PROBLEM), path
        assert (answer.json["detail"], answer.headers["Retry-After"]) == (
            "the broker is away: ask again in a moment",
            "2",
        )

    async def is_back() -> bool:
        return (await web.get("/readyz")).status == 200

    await eventually(is_back, within_s=30)


@pytest.mark.slow
async def test_a_broker_that_stands_still_is_missed_within_five_seconds(up: Up, web: Web) -> None:
    async def says(status: int) -> None:
        await eventually(lambda: asked(status), within_s=30, every_s=0.1)

    async def asked(status: int) -> bool:
        return (await web.get("/readyz")).status == status

    await says(200)
    os.kill(up.pid("nats-server"), signal.SIGSTOP)
    try:
        began = anyio.current_time()
        await says(503)
        assert anyio.current_time() - began < 5
    finally:
        os.kill(up.pid("nats-server"), signal.SIGCONT)
    await says(200)


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
    answers.clear()
    async with anyio.create_task_group() as tasks:
        for _ in range(40):
            tasks.start_soon(ask, [call_of(hasty), call_of(other)])
    told = [["error" in one for one in answer.json] for answer in answers if answer.status == 200]
    assert [True, False] in told, "one key's haste is its own: the other call of the same batch is answered"


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
