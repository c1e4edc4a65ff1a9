"""From calls to answers: who calls is found out for each, for each carries its own secret."""

from collections.abc import Hashable
from typing import Any

import anyio
import structlog

from gateway.aria2rpc.desk import Desk
from gateway.aria2rpc.envelope import BATCH_MAX, Answer, Call, decode, read_call
from gateway.aria2rpc.errors import RpcError, TooMany, unauthorized
from gateway.aria2rpc.methods import LIST_METHODS, LIST_NOTIFICATIONS, METHODS, MULTICALL, NAMES
from gateway.aria2rpc.notices import KINDS
from gateway.aria2rpc.params import Params
from gateway.aria2rpc.together import PREFIX, concern, each
from gateway.callers import Caller, caller_of
from gateway.service import Gateway
from schemas.apikey import read_secret
from schemas.errors import DowndraftError

log = structlog.get_logger()


class Server:
    """Answers whoever speaks over one request, or one socket."""

    def __init__(self, gateway: Gateway, shown: Caller, host: str = "", *, is_charged: bool = True) -> None:
        """`shown`: whoever the request itself says it is from, by a header; its calls need no secret then.

        `host`: the address it came from; `is_charged`: a header's key was counted for this request already.
        """
        self._gateway = gateway
        self._shown = shown
        self._host = host
        self._is_charged = is_charged
        self._charged: dict[str, TooMany | None] = {}
        self.callers: dict[str, Caller] = {shown.key: shown} if shown.scopes else {}
        """Everybody who called here with a key that was valid."""

    def __repr__(self) -> str:
        return f"<Server of {len(self.callers)} callers>"

    async def answer(self, body: bytes | str) -> Answer | list[Answer]:
        """To a request, or to each of a batch."""
        self._charged = {self._shown.key: None} if self._is_charged and self._shown.scopes else {}
        try:
            found = decode(body)
        except RpcError as error:
            return Answer(None, error=error)
        if isinstance(found, dict):
            return await self._one(read_call(found))
        calls = [read_call(raw) for raw in found if isinstance(raw, dict)]
        return await each(calls, _about, self._one)

    async def _one(self, call: Call | Answer) -> Answer:
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
            raise RpcError(f"system.multicall takes {BATCH_MAX} calls at most, not {len(calls)}.")

        async def one(raw: Any) -> Any:
            try:
                return [await self.result(_inner(raw))]
            except RpcError as error:
                return error

        results = await each(calls, _about_inner, one)
        if results and all(isinstance(one, TooMany) for one in results):
            raise results[0]
        return [one.plain if isinstance(one, RpcError) else one for one in results]

    def _caller(self, params: list[Any]) -> tuple[Caller, list[Any]]:
        """Whoever calls, and the parameters without the secret. Raises RpcError."""
        if params and isinstance(params[0], str) and params[0].startswith(PREFIX):
            secret = read_secret(params[0].removeprefix(PREFIX))
            key = self._gateway.keys.find(secret) if secret is not None else None
            if key is None:
                raise unauthorized()
            caller, params = caller_of(key), params[1:]
            self.callers[caller.key] = caller
        elif self._shown.scopes and self._gateway.keys.is_valid(self._shown.key):
            caller = self._shown
        else:
            raise unauthorized()
        self._charge(caller)
        return caller, params

    def _charge(self, caller: Caller) -> None:
        """A request counts once for each key that speaks in it, whatever number of calls it has. Raises TooMany."""
        if caller.key not in self._charged:
            wait_s = self._gateway.rates.take(caller.key, anyio.current_time())
            per_s = self._gateway.settings.key_requests_per_s
            self._charged[caller.key] = TooMany(per_s, wait_s) if wait_s else None
            self._gateway.office.called(self._host, caller)
        if (refusal := self._charged[caller.key]) is not None:
            raise refusal


def _about(call: Call | Answer) -> Hashable:
    return concern(call.method, call.params) if isinstance(call, Call) else None


def _about_inner(raw: Any) -> Hashable:
    try:
        return _about(_inner(raw))
    except RpcError:
        return None


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
