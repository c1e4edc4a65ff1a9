"""Where it is spoken: POST and GET at /jsonrpc, the socket there, and XML-RPC at /rpc."""

from typing import Any

from litestar import Request, Response, get, post
from litestar.datastructures import State

from gateway.access import OPEN, SCOPE
from gateway.aria2rpc.envelope import JAVASCRIPT, JSON_RPC, Answer, callback_of, encode, query_body
from gateway.aria2rpc.errors import RpcError
from gateway.aria2rpc.server import Server
from gateway.aria2rpc.shown import shown_by
from gateway.aria2rpc.socket import jsonrpc_socket
from gateway.aria2rpc.xml import read_xml_call, xml_answer
from gateway.problems import ProblemError

PATH, XML_PATH = "/jsonrpc", "/rpc"
XML = "text/xml"
_FRESH = {"Cache-Control": "no-cache"}
AnyRequest = Request[Any, Any, Any]


@post(PATH, opt={SCOPE: OPEN}, status_code=200, include_in_schema=False)
async def jsonrpc_post(request: AnyRequest, state: State) -> Response[bytes]:
    """A call, or a batch of them, whatever Content-Type it claims to be."""
    server = Server(state.gateway, shown_by(request))
    return _answered(await server.answer(await request.body()), JSON_RPC)


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
    answer = await Server(state.gateway, shown_by(request)).answer(body)
    return _answered(answer, JAVASCRIPT if callback else JSON_RPC, callback)


@post(XML_PATH, opt={SCOPE: OPEN}, status_code=200, include_in_schema=False)
async def xmlrpc_post(request: AnyRequest, state: State) -> Response[bytes]:
    """XML-RPC: one call."""
    try:
        call = read_xml_call(await request.body())
    except RpcError as error:
        raise ProblemError(400, error.message) from error
    try:
        answer = Answer(None, await Server(state.gateway, shown_by(request)).result(call))
    except RpcError as error:
        answer = Answer(None, error=error)
    return Response(xml_answer(answer), media_type=XML, headers=_FRESH)


def _answered(answer: Answer | list[Answer], media_type: str, callback: str = "") -> Response[bytes]:
    status = answer.status if isinstance(answer, Answer) else 200
    body = encode(answer)
    if callback:
        body = callback.encode() + b"(" + body + b")"
    headers = _FRESH | ({"X-Content-Type-Options": "nosniff"} if callback else {})
    return Response(body, media_type=media_type, status_code=status, headers=headers)


ROUTES = (jsonrpc_post, jsonrpc_get, jsonrpc_socket, xmlrpc_post)
