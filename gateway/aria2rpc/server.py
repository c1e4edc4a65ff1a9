"""From calls to answers: who calls is found out for each, for each carries its own secret."""

from typing import Any

import structlog

from gateway.aria2rpc.desk import Desk
from gateway.aria2rpc.envelope import BATCH_MAX, Answer, Call, decode, read_call
from gateway.aria2rpc.errors import RpcError, unauthorized
from gateway.aria2rpc.methods import LIST_METHODS, LIST_NOTIFICATIONS, METHODS, MULTICALL, NAMES
from gateway.aria2rpc.notices import KINDS
from gateway.aria2rpc.params import Params
from gateway.callers import Caller, caller_of
from gateway.service import Gateway
from schemas.apikey import read_secret
from schemas.errors import DowndraftError

log = structlog.get_logger()

PREFIX = "token:"
"""Before the secret, which is the first parameter."""


class Server:
    """Answers whoever speaks over one request, or one socket."""

    def __init__(self, gateway: Gateway, shown: Caller) -> None:
        """`shown`: whoever the request itself says it is from, by a header; its calls need no secret then."""
        self._gateway = gateway
        self._shown = shown
        self.callers: dict[tuple[str, str], Caller] = {(shown.key, shown.owner): shown} if shown.scopes else {}
        """Everybody who called here with a key that is valid."""

    def __repr__(self) -> str:
        return f"<Server of {len(self.callers)} callers>"

    async def answer(self, body: bytes | str) -> Answer | list[Answer]:
        """To a request, or to each of a batch."""
        try:
            found = decode(body)
        except RpcError as error:
            return Answer(None, error=error)
        if isinstance(found, dict):
            return await self._one(found)
        return [await self._one(raw) for raw in found if isinstance(raw, dict)]

    async def _one(self, raw: dict[str, Any]) -> Answer:
        call = read_call(raw)
        if isinstance(call, Answer):
            return call
        try:
            return Answer(call.id, await self.result(call))
        except RpcError as error:
            return Answer(call.id, error=error)

    async def result(self, call: Call) -> Any:
        """Raises RpcError."""
        if call.method == LIST_METHODS:
            return list(NAMES)
        if call.method == LIST_NOTIFICATIONS:
            return list(KINDS)
        if call.method == MULTICALL:
            return await self._multicall(Params(call.params))
        caller, params = self._caller(call.params)
        method = METHODS.get(call.method)
        if method is None:
            raise RpcError(f"No such method: {call.method}")
        if not caller.may(method.scope):
            raise unauthorized()
        try:
            return await method.run(Desk(self._gateway, caller), Params(params))
        except DowndraftError as error:
            raise RpcError(str(error)) from error
        except RpcError:
            raise
        except Exception as error:  # a client of aria2 knows no HTTP error: it gets an answer that it can read
            log.error("a call failed", method=call.method, problem=str(error), exc_info=error)
            raise RpcError("The gateway failed; its log says why.") from error

    async def _multicall(self, params: Params) -> list[Any]:
        calls = params.items(0)
        if len(calls) > BATCH_MAX:
            raise RpcError(f"system.multicall takes {BATCH_MAX} calls at most.")
        results: list[Any] = []
        for raw in calls:
            try:
                results.append([await self.result(_inner(raw))])
            except RpcError as error:
                results.append(error.plain)
        return results

    def _caller(self, params: list[Any]) -> tuple[Caller, list[Any]]:
        """Whoever calls, and the parameters without the secret. Raises RpcError."""
        if not (params and isinstance(params[0], str) and params[0].startswith(PREFIX)):
            if not self._shown.scopes:
                raise unauthorized()
            return self._shown, params
        secret = read_secret(params[0].removeprefix(PREFIX))
        key = self._gateway.keys.find(secret) if secret is not None else None
        if key is not None:
            caller = caller_of(key)
            self.callers[caller.key, caller.owner] = caller
            return caller, params[1:]
        if self._shown.scopes and not len(self._gateway.keys):
            return self._shown, params[1:]  # where no keys are asked for, any secret will do, as in aria2
        raise unauthorized()


def _inner(raw: Any) -> Call:
    if not isinstance(raw, dict):
        raise RpcError("system.multicall expected struct.")
    method = raw.get("methodName")
    if not isinstance(method, str):
        raise RpcError("Missing methodName.")
    if method == MULTICALL:
        raise RpcError("Recursive system.multicall forbidden.")
    params = raw.get("params", [])
    return Call(None, method, params if isinstance(params, list) else [])
