"""Where it is spoken: POST and GET at /jsonrpc, the socket there, and XML-RPC at /rpc."""

from typing import Any

from litestar import Request, Response, get, post
from litestar.datastructures import State

from gateway.access import OPEN, SCOPE
from gateway.aria2rpc.envelope import JAVASCRIPT, JSON_RPC, Answer, callback_of, encode, query_body, status_of
from gateway.aria2rpc.errors import RpcError, TooMany
from gateway.aria2rpc.server import Server
from gateway.aria2rpc.shown import host_of, shown_by
from gateway.aria2rpc.socket import jsonrpc_socket
from gateway.aria2rpc.xml import read_xml_call, xml_answer
from gateway.problems import ProblemError
from gateway.rates import retry_after

PATH, XML_PATH = "/jsonrpc", "/rpc"
XML = "text/xml"
_FRESH = {"Cache-Control": "no-cache"}
AnyRequest = Request[Any, Any, Any]


@post(PATH, opt={SCOPE: OPEN}, status_code=200, include_in_schema=False)
async def jsonrpc_post(request: AnyRequest, state: State) -> Response[bytes]:
    """A call, or a batch of them, whatever Content-Type it claims to be."""
    server = Server(state.gateway, shown_by(request), host_of(request))
    async with state.bodies.body(request) as body:
        return _answered(await server.answer(body), JSON_RPC)


@get(PATH, opt={SCOPE: OPEN}, include_in_schema=False)
async def jsonrpc_get(request: AnyRequest, state: State) -> Response[bytes]:
    """The same by GET; with `jsoncallback` as a script, where the setting `gateway.jsonp` allows it."""
    query = dict(request.query_params)
    try:
        callback = callback_of(query)
        if callback and not state.gateway.settings.jsonp:
            raise ProblemError(403, "JSONP is off: the setting gateway.jsonp allows it", field="jsoncallback")
        body = query_body(query)
    except RpcError as error:
        return _answered(Answer(None, error=error), JSON_RPC)
    answer = await Server(state.gateway, shown_by(request), host_of(request)).answer(body)
    return _answered(answer, JAVASCRIPT if callback else JSON_RPC, callback)


@post(XML_PATH, opt={SCOPE: OPEN}, status_code=200, include_in_schema=False)
async def xmlrpc_post(request: AnyRequest, state: State) -> Response[bytes]:
    """XML-RPC: one call."""
    async with state.bodies.body(request) as body:
        try:
            call = read_xml_call(body)
        except RpcError as error:
            raise ProblemError(400, error.message) from error
        try:
            answer = Answer(None, await Server(state.gateway, shown_by(request), host_of(request)).result(call))
        except RpcError as error:
            answer = Answer(None, error=error)
    # A fault is told with 200, as aria2 does it; who asks too much is told so in HTTP's own way, too.
    is_refused = isinstance(answer.error, TooMany)
    headers = _FRESH | _retry(answer)
    return Response(xml_answer(answer), media_type=XML, headers=headers, status_code=429 if is_refused else 200)


def _answered(answer: Answer | list[Answer], media_type: str, callback: str = "") -> Response[bytes]:
    body, status = encode(answer), status_of(answer)
    if callback:
        body = callback.encode() + b"(" + body + b")"
    first = answer if isinstance(answer, Answer) else answer[0] if answer else Answer(None)
    headers = _FRESH | (_retry(first) if status == 429 else {})
    return Response(body, media_type=media_type, status_code=status, headers=headers)


def _retry(answer: Answer) -> dict[str, str]:
    return {"Retry-After": retry_after(answer.error.wait_s)} if isinstance(answer.error, TooMany) else {}


ROUTES = (jsonrpc_post, jsonrpc_get, jsonrpc_socket, xmlrpc_post)
