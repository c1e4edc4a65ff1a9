"""JSON-RPC as aria2 speaks it: from bytes to calls, from results to answers and HTTP codes. Pure."""

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from gateway.aria2rpc.errors import GENERAL, INVALID_PARAMS, INVALID_REQUEST, PARSE_ERROR, RpcError, TooMany

JSON_RPC = "application/json-rpc"
JAVASCRIPT = "text/javascript"
BATCH_MAX = 10_000
"""Calls of one batch or multicall: as many as tasks in a batch of the REST interface."""
COMMAS_MAX = 500_000
"""Each may stand between two values that take 80 bytes as they are read: more than 10,000 calls have."""
_CALLBACK = re.compile(r"[A-Za-z_$][A-Za-z0-9_$.]{0,127}")
_STATUS = {GENERAL: 400, INVALID_REQUEST: 400, INVALID_PARAMS: 500, PARSE_ERROR: 500}


class Call(NamedTuple):
    """One call: whoever asked gets `id` back, whatever its type."""

    id: Any
    method: str
    params: list[Any]


class Answer(NamedTuple):
    """What one call came to; `result` means nothing where there is an error."""

    id: Any
    result: Any = None
    error: RpcError | None = None

    @property
    def plain(self) -> dict[str, Any]:
        told = {"result": self.result} if self.error is None else {"error": self.error.plain}
        return {"id": self.id, "jsonrpc": "2.0"} | told

    @property
    def status(self) -> int:
        """HTTP's."""
        if isinstance(self.error, TooMany):
            return 429
        return 200 if self.error is None else _STATUS[self.error.code]


def decode(body: bytes | str) -> dict[str, Any] | list[Any]:
    """The one request, or the batch, of a body. Raises RpcError."""
    if (body.count(",") if isinstance(body, str) else body.count(b",")) > COMMAS_MAX:
        raise RpcError(f"Invalid Request. A request has {COMMAS_MAX:,} values at most.", INVALID_REQUEST)
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise RpcError("Parse error.", PARSE_ERROR) from error
    if isinstance(found, int | float) and not isinstance(found, bool):
        raise RpcError("Parse error.", PARSE_ERROR)  # aria2 reads no bare number
    if not isinstance(found, dict | list):
        raise RpcError("Invalid Request.", INVALID_REQUEST)
    if isinstance(found, list) and len(found) > BATCH_MAX:
        raise RpcError(f"Invalid Request. A batch has {BATCH_MAX} calls at most.", INVALID_REQUEST)
    return found


def read_call(raw: dict[str, Any]) -> Call | Answer:
    """A call, or the answer to what is none."""
    call_id, method, params = raw.get("id"), raw.get("method"), raw.get("params", [])
    if "id" not in raw or not isinstance(method, str):
        return Answer(call_id, error=RpcError("Invalid Request.", INVALID_REQUEST))
    if not isinstance(params, list):
        return Answer(call_id, error=RpcError("Invalid params.", INVALID_PARAMS))
    return Call(call_id, method, params)


def encode(answer: Answer | list[Answer]) -> bytes:
    """As it goes over the wire."""
    plain = [one.plain for one in answer] if isinstance(answer, list) else answer.plain
    return msgspec.json.encode(plain)


def status_of(answer: Answer | list[Answer]) -> int:
    """HTTP's: of a batch 200, unless all of it was refused for asking too much."""
    if isinstance(answer, Answer):
        return answer.status
    return 429 if answer and all(one.status == 429 for one in answer) else 200


def query_body(query: Mapping[str, str]) -> bytes:
    """The body that a GET stands for: `method`, `id`, and `params` as base64 of JSON. Raises RpcError."""
    try:
        given = query.get("params", "").replace(" ", "+")  # what a plus means in an address
        params = msgspec.json.decode(base64.b64decode(given, validate=True)) if given else None
    except (binascii.Error, ValueError, msgspec.DecodeError, RecursionError) as error:
        raise RpcError("Invalid Request.", INVALID_REQUEST) from error
    if "method" not in query:
        if params is None:
            raise RpcError("Invalid Request.", INVALID_REQUEST)
        return msgspec.json.encode(params)  # a whole batch
    told = {name: query[name] for name in ("method", "id") if name in query}
    return msgspec.json.encode(told | ({} if params is None else {"params": params}))


def callback_of(query: Mapping[str, str]) -> str:
    """The function that JSONP asks for; empty for none. Raises RpcError for what is no name: it would be run."""
    name = query.get("jsoncallback", "")
    if name and not _CALLBACK.fullmatch(name):
        raise RpcError("Invalid Request.", INVALID_REQUEST)
    return name
