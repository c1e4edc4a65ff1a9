"""Every route asks for the scope that stands here, tried with keys that have it and keys that have not.

A new route fails these tests until it has a row: `"METHOD /path/{parameter}": Scope.…` (or OPEN) in ROWS, as
`downdraft`'s own list of routes writes it. Where a request of no body and made-up parameters would do harm, or not get
as far as the key's scope, name what to ask instead in ASKED.

The methods of aria2's JSON-RPC, whose keys are in the calls, have rows of their own in METHOD_ROWS.
"""

from types import SimpleNamespace

import pytest
from litestar.handlers import BaseRouteHandler
from litestar.routes import HTTPRoute, WebSocketRoute

from gateway.access import ANY_KEY, OPEN, SCOPE
from gateway.app import make_app
from gateway.aria2rpc.methods import METHODS, NAMES
from gateway.service import Gateway
from schemas.apikey import Scope
from schemas.settings import GatewaySettings
from tests.gateway.rpc import ask, at
from tests.harness.processes import Up
from tests.harness.web import Web, make_key

ROWS: dict[str, str] = {
    "GET /healthz": OPEN,
    "GET /readyz": OPEN,
    "GET /metrics": Scope.READ,
    **{
        f"{method} {path}": OPEN
        for method in ("GET", "HEAD")
        for path in ("/", "/favicon.svg", "/licences.txt", "/assets/{name}")
    },
    "GET /docs": OPEN,
    "GET /docs/openapi.json": OPEN,
    "GET /docs/reference.js": OPEN,
    "GET /docs/swagger-ui.css": OPEN,
    "GET /docs/swagger-ui-bundle.js": OPEN,
    "GET /docs/favicon-32x32.png": OPEN,
    "GET /docs/{path}": OPEN,
    "POST /api/v1/tasks": Scope.SUBMIT,
    "GET /api/v1/tasks": Scope.READ,
    "GET /api/v1/tasks/count": Scope.READ,
    "GET /api/v1/tasks/{task}": Scope.READ,
    "DELETE /api/v1/tasks/{task}": Scope.SUBMIT,
    "PATCH /api/v1/tasks/{task}": Scope.SUBMIT,
    "POST /api/v1/tasks/{task}/pause": Scope.SUBMIT,
    "POST /api/v1/tasks/{task}/resume": Scope.SUBMIT,
    "POST /api/v1/tasks/{task}/retry": Scope.SUBMIT,
    "POST /api/v1/tasks/{task}/cancel": Scope.SUBMIT,
    "GET /api/v1/tasks/{task}/explain": Scope.READ,
    "POST /api/v1/tasks/actions": Scope.SUBMIT,
    "GET /api/v1/tasks/{task}/file": Scope.READ,
    "HEAD /api/v1/tasks/{task}/file": Scope.READ,
    "POST /api/v1/tasks/{task}/file/link": Scope.READ,
    "DELETE /api/v1/tasks/{task}/file": Scope.SUBMIT,
    "GET /api/v1/events": Scope.READ,
    "GET /api/v1/webhooks": Scope.READ,
    "POST /api/v1/webhooks": Scope.SUBMIT,
    "GET /api/v1/webhooks/{webhook_id}": Scope.READ,
    "PATCH /api/v1/webhooks/{webhook_id}": Scope.SUBMIT,
    "DELETE /api/v1/webhooks/{webhook_id}": Scope.SUBMIT,
    "GET /api/v1/me": ANY_KEY,
    "GET /api/v1/options": ANY_KEY,
    "GET /api/v1/keys": Scope.ADMIN,
    "POST /api/v1/keys": Scope.ADMIN,
    "DELETE /api/v1/keys/{key_id}": Scope.ADMIN,
    "GET /api/v1/nodes": Scope.READ,
    "GET /api/v1/nodes/{node}": Scope.READ,
    "GET /api/v1/nodes/{node}/history": Scope.READ,
    "PATCH /api/v1/nodes/{node}": Scope.ADMIN,
    "POST /api/v1/nodes/{node}/cordon": Scope.ADMIN,
    "POST /api/v1/nodes/{node}/uncordon": Scope.ADMIN,
    "POST /api/v1/nodes/{node}/drain": Scope.ADMIN,
    "GET /api/v1/policy": Scope.READ,
    "PUT /api/v1/policy": Scope.ADMIN,
    "GET /api/v1/status": Scope.READ,
    # Their keys are in the calls: METHOD_ROWS.
    "GET /jsonrpc": OPEN,
    "POST /jsonrpc": OPEN,
    "WEBSOCKET /jsonrpc": OPEN,
    "POST /rpc": OPEN,
}
METHOD_ROWS: dict[str, Scope] = {
    **dict.fromkeys(
        (
            *("getVersion", "getSessionInfo", "getGlobalStat", "getGlobalOption", "getOption", "getFiles", "getUris"),
            *("getServers", "getPeers", "tellStatus", "tellActive", "tellWaiting", "tellStopped"),
        ),
        Scope.READ,
    ),
    **dict.fromkeys(
        (
            *("addUri", "addTorrent", "addMetalink", "pause", "forcePause", "pauseAll", "forcePauseAll", "unpause"),
            *("unpauseAll", "remove", "forceRemove", "changePosition", "changeOption", "changeUri", "saveSession"),
            *("purgeDownloadResult", "removeDownloadResult"),
        ),
        Scope.SUBMIT,
    ),
    **dict.fromkeys(("changeGlobalOption", "shutdown", "forceShutdown"), Scope.ADMIN),
}
"""Without their `aria2.`. They are called without parameters, which is far enough: the scope is looked at first."""
ASKED: dict[str, str] = {}
"""Path of the request, where `{parameter}` filled with PARAMETERS is not the thing to ask."""
PARAMETERS = {
    "task": "0123456789abcdef",
    "webhook_id": "0123456789ab",
    "key_id": "01234567",
    "node": "nowhere",
    "path": "nothing",
    "name": "nothing.js",
}
WEBSOCKET = "WEBSOCKET"
Keys = dict[tuple[Scope, ...], str]
REFUSED = (401, 403)
OTHERS = {Scope.READ: Scope.SUBMIT, Scope.SUBMIT: Scope.READ, Scope.ADMIN: Scope.SUBMIT}
"""A scope that is not enough."""
TOO_FEW = {Scope.READ: (Scope.SUBMIT,), Scope.SUBMIT: (Scope.READ,), Scope.ADMIN: (Scope.READ, Scope.SUBMIT)}
"""All others."""
UNAUTHORIZED = (400, {"code": 1, "message": "Unauthorized"})


def every_route() -> dict[str, str]:
    """What the application serves, and the scope that each route names."""
    client = SimpleNamespace(connection=None)
    gateway = Gateway(GatewaySettings(jsonp=True), client, None, None)  # type: ignore[arg-type] # nobody asks it
    app = make_app(gateway, None)  # type: ignore[arg-type]
    found: dict[str, str] = {}
    for route in app.routes:
        path = route.path_format.replace(":str", "")
        if isinstance(route, WebSocketRoute):
            found[f"{WEBSOCKET} {path}"] = scope_of(route.route_handler)
            continue
        assert isinstance(route, HTTPRoute), f"{path}: say here how its scope is found"
        found |= {f"{method} {path}": scope_of(handler) for method, (handler, _) in route.route_handler_map.items()}
    return {row: scope for row, scope in found.items() if not row.startswith("OPTIONS ")}


def scope_of(handler: BaseRouteHandler) -> str:
    return str(handler.opt.get(SCOPE, "none"))


def asked(row: str) -> tuple[str, str]:
    """The method and path that try a route."""
    method, path = row.split(" ")
    return method, ASKED.get(row) or path.format_map(PARAMETERS)


def test_every_route_has_a_row_with_its_scope() -> None:
    assert every_route() == {row: str(scope) for row, scope in ROWS.items()}


@pytest.mark.parametrize("row", [row for row in ROWS if row.startswith(WEBSOCKET)])
async def test_a_socket_that_is_open_takes_whoever_comes(row: str, stranger: Web) -> None:
    assert ROWS[row] == OPEN, "one that asks for a key: write how it is tried"
    async with stranger.session.ws_connect(stranger.url + asked(row)[1]) as socket:
        assert not socket.closed


@pytest.mark.parametrize("row", [row for row in ROWS if not row.startswith(WEBSOCKET)])
async def test_without_a_key_only_open_routes_answer(row: str, stranger: Web) -> None:
    status = await stranger.status(*asked(row))
    assert (status == 401) == (ROWS[row] != OPEN), status


@pytest.fixture(scope="module")
def keys() -> Keys:
    """A key of some scopes, once it is asked for."""
    return {}


async def key_of(up: Up, keys: Keys, *scopes: Scope) -> str:
    if scopes not in keys:
        keys[scopes] = await make_key(up, "team-a", *scopes)
    return keys[scopes]


@pytest.mark.parametrize("row", [row for row, scope in ROWS.items() if scope not in (OPEN, ANY_KEY)])
async def test_a_key_opens_what_its_scope_says_and_nothing_else(row: str, up: Up, stranger: Web, keys: Keys) -> None:
    needed = Scope(ROWS[row])
    too_little = await key_of(up, keys, OTHERS[needed])
    enough = await key_of(up, keys, needed)
    assert await stranger.status(*asked(row), key=too_little) == 403
    assert await stranger.status(*asked(row), key=enough) not in REFUSED


@pytest.mark.parametrize("scope", Scope)
@pytest.mark.parametrize("row", [row for row, scope in ROWS.items() if scope == ANY_KEY])
async def test_every_key_opens_what_asks_for_any(row: str, scope: Scope, up: Up, stranger: Web, keys: Keys) -> None:
    assert await stranger.status(*asked(row), key=await key_of(up, keys, scope)) == 200


@pytest.mark.parametrize("row", [row for row, scope in ROWS.items() if scope in (Scope.READ, Scope.SUBMIT)])
async def test_an_admin_may_do_everything(row: str, up: Up, stranger: Web, keys: Keys) -> None:
    assert await stranger.status(*asked(row), key=await key_of(up, keys, Scope.ADMIN)) not in REFUSED


def test_every_method_of_aria2s_has_a_row_with_its_scope() -> None:
    assert {name: method.scope for name, method in METHODS.items()} == {
        f"aria2.{name}": scope for name, scope in METHOD_ROWS.items()
    }
    assert set(NAMES) - METHODS.keys() == {"system.multicall", "system.listMethods", "system.listNotifications"}


@pytest.mark.parametrize("method", METHOD_ROWS)
async def test_a_method_of_aria2s_takes_a_key_with_its_scope_and_no_other(method: str, up: Up, keys: Keys) -> None:
    url, needed = at(up)[0], METHOD_ROWS[method]
    too_few = await key_of(up, keys, *TOO_FEW[needed])
    assert await ask(url, too_few, f"aria2.{method}") == UNAUTHORIZED
    for enough in (needed, Scope.ADMIN):
        assert await ask(url, await key_of(up, keys, enough), f"aria2.{method}") != UNAUTHORIZED
