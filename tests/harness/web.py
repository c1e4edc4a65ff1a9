"""The gateway as an HTTP client of one key uses it."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from secrets import token_bytes
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
    """A whole answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()


class Web:
    """Requests to one gateway, with a key or without."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self.session = session
        self.url = url

    async def ask(self, method: str, path: str, *, key: str = "", **options: Any) -> Answer:
        """A request and its whole answer; `options` as aiohttp has them. `key` outweighs the session's."""
        headers = dict(options.pop("headers", {})) | ({"X-API-Key": key} if key else {})
        async with self.session.request(method, self.url + path, headers=headers, **options) as answer:
            return Answer(answer.status, answer.headers, await answer.read())

    async def get(self, path: str, **options: Any) -> Answer:
        return await self.ask("GET", path, **options)

    async def status(self, method: str, path: str, *, key: str = "", **options: Any) -> int:
        """Only how an answer begins: it may be a stream without an end."""
        headers = {"X-API-Key": key} if key else {}
        async with self.session.request(method, self.url + path, headers=headers, **options) as answer:
            return answer.status


@asynccontextmanager
async def browsing(up: Up, key: str | None = None) -> AsyncIterator[Web]:
    """The gateway of a cluster. `key`: other than its first one; '' for none."""
    shown = up.info["gateway"]["key"] if key is None else key
    async with aiohttp.ClientSession(headers={"X-API-Key": shown} if shown else {}) as session:
        yield Web(session, up.info["gateway"]["url"])


async def make_key(up: Up, owner: str, *scopes: Scope) -> str:
    """A new API key that the gateway knows already."""
    secret = make_secret(token_bytes(ID_BYTES + SECRET_BYTES))
    key = ApiKey(id=secret.id, owner=owner, scopes=scopes, digest=digest_of(secret), created=datetime.now(UTC))
    async with open_client(up.url, up.creds("operator")) as client:
        await keys.write(client.connection, s.api_key_key(secret.id), codec.encode(key), expected=0)
    async with browsing(up, secret.text) as web:

        async def is_known() -> bool:
            return await web.status("GET", "/healthz") == 200

        await eventually(is_known, what="the gateway knows a new key")
    return secret.text
