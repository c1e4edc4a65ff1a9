"""The gateway's REST routes as their users call them: JSON in, JSON out."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from schemas import codec
from tests.harness.processes import Up
from tests.harness.web import Web, browsing


class Answer(NamedTuple):
    status: int
    body: Any
    headers: Mapping[str, str]
    """Whatever the case of their names."""


class Http:
    """A user with a key."""

    def __init__(self, web: Web) -> None:
        self._web = web

    async def __call__(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: dict[str, str] | None = None,
        raw: bytes | None = None,
    ) -> Answer:
        data = raw if raw is not None else None if body is None else codec.encode(body)
        sent = {"Content-Type": "application/json"} | (headers or {})
        answer = await self._web.ask(method, path, data=data, headers=sent)
        return Answer(answer.status, codec.decode(answer.body, Any) if answer.body else None, answer.headers)


@asynccontextmanager
async def calling(up: Up, key: str | None = None) -> AsyncIterator[Http]:
    """Call the gateway of `up`: as whoever has `key`, else with the first one, which may do everything."""
    async with browsing(up, key) as web:
        yield Http(web)
