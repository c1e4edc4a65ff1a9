"""What those without a key can't do: speak with what a browser adds by itself, hold connections, fill the memory."""

import json
from base64 import b64encode

import aiohttp
import anyio
import pytest

from gateway.aria2rpc import bodies, envelope, xml
from schemas.apikey import Scope
from tests.gateway.test_edges import call_of
from tests.harness.processes import Up
from tests.harness.web import Web, make_key

ARGUMENTS = ("--nodes", "0")
SETTINGS = {"DOWNDRAFT_GATEWAY_KEY_IN_QUERY": "true", "DOWNDRAFT_GATEWAY_CORS_ORIGINS": "https://page.example"}
LIST = {"id": 1, "method": "system.listMethods"}


def basic(owner: str, key: str) -> dict[str, str]:
    return {"Authorization": "Basic " + b64encode(f"{owner}:{key}".encode()).decode()}


@pytest.mark.parametrize(
    ("origin", "status"), [("https://evil.example", 403), ("https://page.example", 201), ("", 201)]
)
async def test_a_page_of_another_origin_can_not_submit_with_what_the_browser_knows(
    up: Up, stranger: Web, origin: str, status: int
) -> None:
    headers = basic("ann", await make_key(up, "ann", Scope.READ, Scope.SUBMIT))
    headers |= {"Origin": origin} if origin else {}
    told = await stranger.ask("POST", "/api/v1/tasks", json={"uris": ["http://127.0.0.1:1/x"]}, headers=headers)
    assert told.status == status, told.text
    assert (await stranger.get("/api/v1/tasks", headers=headers)).status == 200, "it reads, and can't read the answer"


async def test_an_address_alone_does_not_call_in_the_name_of_whom_the_browser_knows(up: Up, stranger: Web) -> None:
    key = await make_key(up, "ann", Scope.READ)
    asked = "/jsonrpc?method=aria2.getVersion&id=a&api_key="
    assert (await stranger.get(asked + key)).status == 200
    for other in ("x", key):
        told = await stranger.get(asked + other, headers=basic("ann", key))
        assert told.json["error"]["message"] == "Unauthorized"


async def test_what_a_proxy_asks_for_shuts_nothing_that_is_open(up: Up, stranger: Web) -> None:
    theirs = basic("somebody", "else")
    for path in ("/healthz", "/", "/docs"):
        assert (await stranger.get(path, headers=theirs)).status == 200, path
    key = await make_key(up, "ann", Scope.READ)
    said = await stranger.ask("POST", "/jsonrpc", json=call_of(key), headers=theirs)
    assert "version" in said.json["result"]
    refused = await stranger.ask("POST", "/jsonrpc", json=LIST | {"method": "aria2.getVersion"}, headers=theirs)
    assert refused.json["error"]["message"] == "Unauthorized"
    assert (await stranger.get("/api/v1/tasks", headers=theirs)).status == 401


async def test_a_small_body_of_many_values_is_refused_before_it_is_read(stranger: Web) -> None:
    many = b'{"id":1,"method":"x","params":[' + b"[]," * (envelope.COMMAS_MAX + 1) + b"[]]}"
    told = await stranger.ask("POST", "/jsonrpc", data=many)
    assert told.json["error"]["message"] == "Invalid Request. A request has 500,000 values at most."
    for inside in (b"<a/>", b"<a b=''/>"):
        told = await stranger.ask("POST", "/rpc", data=b"<x>" + inside * xml.MARKS_MAX + b"</x>")
        assert (told.status, told.json["detail"]) == (400, "a call has 1,000,000 elements at most")


async def test_large_bodies_that_never_end_leave_room_for_those_that_show_their_key(up: Up, stranger: Web) -> None:
    host, _, port = stranger.url.removeprefix("http://").partition(":")
    padded = json.dumps(LIST).encode() + b" " * bodies.LARGE_BYTES
    head = f"POST /jsonrpc HTTP/1.1\r\nHost: x\r\nContent-Length: {len(padded)}\r\n\r\n".encode()
    key = await make_key(up, "ann", Scope.READ)
    streams = [await anyio.connect_tcp(host, int(port)) for _ in range(bodies.LARGE_AT_ONCE)]
    try:
        for stream in streams:
            await stream.send(head)
        refused = await stranger.ask("POST", "/jsonrpc", data=padded)
        assert (refused.status, refused.headers.get("Retry-After")) == (503, "5")
        assert (await stranger.ask("POST", "/jsonrpc", data=json.dumps(LIST))).status == 200
        assert (await stranger.ask("POST", "/jsonrpc", data=padded, headers={"X-API-Key": key})).status == 200
    finally:
        for stream in streams:
            await stream.aclose()
    assert (await stranger.ask("POST", "/jsonrpc", data=padded)).status == 200


async def test_a_socket_is_read_no_further_than_its_answers_are_taken(up: Up, stranger: Web) -> None:
    """Answers to strangers never wait in memory: each of these calls is answered by two megabytes."""
    call = json.dumps([LIST] * 1000)
    async with aiohttp.ClientSession() as http, http.ws_connect(f"{stranger.url}/jsonrpc", max_msg_size=0) as socket:
        with anyio.move_on_after(3) as patience:
            for _ in range(1000):
                await socket.send_str(call)
        assert patience.cancelled_caught
        assert len(json.loads(await socket.receive_str(timeout=10))) == 1000
