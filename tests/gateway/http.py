"""Calling a gateway as its users do, and keys to do it with."""

import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple

import aiohttp

from broker import keys
from broker.cluster import open_client
from schemas import codec
from schemas import subjects as s
from schemas.apikey import ID_BYTES, SECRET_BYTES, ApiKey, Scope, digest_of, make_secret
from tests.harness.processes import Up
from tests.harness.waiting import eventually


class Answer(NamedTuple):
    status: int
    body: Any
    headers: Mapping[str, str]
    """Whatever the case of their names."""


class Http:
    """A user with a key."""

    def __init__(self, session: aiohttp.ClientSession, url: str, key: str) -> None:
        self._session, self._url, self._key = session, url, key

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
        sent = {"X-API-Key": self._key, "Content-Type": "application/json"} | (headers or {})
        async with self._session.request(method, self._url + path, data=data, headers=sent) as answer:
            content = await answer.read()
            return Answer(answer.status, codec.decode(content, Any) if content else None, answer.headers)


@asynccontextmanager
async def calling(up: Up, key: str | None = None) -> AsyncIterator[Http]:
    """Call the gateway of `up`: as whoever has `key`, else with the first one, which may do everything."""
    gateway = up.info["gateway"]
    async with aiohttp.ClientSession() as session:
        yield Http(session, gateway["url"], key or gateway["key"])


async def new_key(up: Up, owner: str, *scopes: Scope) -> str:
    """A key that the gateway knows."""
    secret = make_secret(secrets.token_bytes(ID_BYTES + SECRET_BYTES))
    stored = ApiKey(id=secret.id, owner=owner, scopes=scopes, digest=digest_of(secret), created=datetime.now(UTC))
    async with open_client(up.url, up.creds("operator")) as client:
        await keys.write(client.connection, s.api_key_key(secret.id), codec.encode(stored), expected=0)
    async with calling(up, secret.text) as http:

        async def is_known() -> bool:
            return (await http("GET", "/api/v1/status")).status != 401

        await eventually(is_known, what="the gateway knows a new key")
    return secret.text
