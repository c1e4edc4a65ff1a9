"""Webhooks against a real cluster and a real receiver: signed, sent again, and none left out."""

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import pytest
from aiohttp import web
from standardwebhooks import Webhook as Verifier

from broker import keys
from broker.cluster import open_client
from gateway.eventfilter import TraitBook
from gateway.webhooks import delivery
from gateway.webhooks.delivery import Delivery
from gateway.webhooks.posting import posting
from schemas import codec
from schemas import subjects as s
from schemas.apikey import Scope
from schemas.request import Request
from schemas.webhook import Webhook, WebhookState, make_webhook_secret, networks
from tests.gateway.hubs import NoModel, running, write
from tests.gateway.streams import another_gateway, calling, is_ready, operating, streaming, url_of
from tests.harness.broker import Broker
from tests.harness.processes import Up
from tests.harness.waiting import eventually, stays
from tests.harness.web import make_key

WEBHOOKS = "/api/v1/webhooks"
LOOPBACK = {"DOWNDRAFT_GATEWAY_WEBHOOK_NETS": "127.0.0.0/8"}


SETTINGS = LOOPBACK | {"DOWNDRAFT_COORDINATOR_ALLOW_NOOP": "true"}


class Receiver:
    """What was sent, and what is answered."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.taken: list[dict[str, Any]] = []
        self.answers: list[int] = []
        """Statuses of the next answers; then 200."""
        self.refused: set[str] = set()
        """Names of tasks whose events are never taken."""
        self.url = ""

    async def receive(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.got.append(({name.lower(): value for name, value in request.headers.items()}, body))
        event = await request.json()
        status = self.answers.pop(0) if self.answers else 400 if event["name"] in self.refused else 200
        if status == 200:
            self.taken.append(event)
        return web.Response(status=status)

    def tasks(self, kind: str = "finished.completed") -> list[str]:
        return [event["task"] for event in self.taken if event["type"] == kind]


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    application = web.Application()
    application.router.add_post("/hook", receiver.receive)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
        yield receiver
    finally:
        await runner.cleanup()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as one:
        yield one


@pytest.fixture
async def http(up: Up) -> AsyncIterator[aiohttp.ClientSession]:
    async with calling(up) as session:
        yield session
        async with session.get(WEBHOOKS) as answer:
            for one in (await answer.json())["webhooks"]:
                await session.delete(f"{WEBHOOKS}/{one['id']}")


async def made(http: aiohttp.ClientSession, receiver: Receiver, **fields: Any) -> dict[str, Any]:
    async with http.post(WEBHOOKS, json={"url": receiver.url} | fields) as answer:
        assert answer.status == 201, await answer.text()
        found: dict[str, Any] = await answer.json()
        return found


async def submitted(up: Up, owner: str = "default", **fields: Any) -> str:
    async with operating(up) as client:
        return await client.submit(Request(uris=("noop:one",), **fields), owner)


async def test_events_are_sent_signed_as_the_standard_says(
    up: Up, http: aiohttp.ClientSession, receiver: Receiver
) -> None:
    webhook = await made(http, receiver)
    task = await submitted(up)
    await eventually(lambda: receiver.tasks() == [task], within_s=20)
    [(headers, body)] = receiver.got
    told = Verifier(webhook["secret"]).verify(body, headers)
    assert (told["type"], told["task"], told["owner"]) == ("finished.completed", task, "default")
    with pytest.raises(Exception, match="signature"):
        Verifier(webhook["secret"]).verify(body.replace(b"completed", b"cancelled"), headers)
    async with http.get(f"{WEBHOOKS}/{webhook['id']}") as answer:
        assert (await answer.json())["secret"] is None


async def test_only_what_is_asked_for_is_sent(up: Up, http: aiohttp.ClientSession, receiver: Receiver) -> None:
    await made(http, receiver, owner="ann", types=["queued", "finished.completed"], labels=["to=hook"])
    await submitted(up, "bob", labels={"to": "hook"})
    await submitted(up, "ann")
    task = await submitted(up, "ann", labels={"to": "hook"})
    await eventually(lambda: receiver.tasks() == [task], within_s=20)
    assert [(event["type"], event["task"]) for event in receiver.taken] == [
        ("queued", task),
        ("finished.completed", task),
    ]


async def test_what_was_not_taken_is_sent_again_before_what_follows(
    up: Up, http: aiohttp.ClientSession, receiver: Receiver
) -> None:
    receiver.answers = [500, 503]
    webhook = await made(http, receiver, types=["queued", "finished"])
    task = await submitted(up)
    await eventually(lambda: len(receiver.taken) == 2, within_s=20)
    assert [event["type"] for event in receiver.taken] == ["queued", "finished.completed"]
    assert len(receiver.got) == 4
    assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 2, "a repeat is known by its id"
    assert receiver.tasks() == [task]

    async def told() -> dict[str, Any]:
        async with http.get(f"{WEBHOOKS}/{webhook['id']}") as answer:
            found: dict[str, Any] = await answer.json()
            return found if found["delivered"] == 2 else {}

    assert (await eventually(told, within_s=10))["problem"] == ""


async def test_what_is_refused_for_long_is_passed_over_and_counted(
    broker: Broker, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "REFUSED_FOR_S", 0.5)
    monkeypatch.setattr(delivery, "RETRY_FIRST_S", 0.05)
    monkeypatch.setattr(delivery, "RETRY_MAX_S", 0.05)
    monkeypatch.setattr(delivery, "SAVE_EVERY_S", 0.05)
    receiver.refused = {"n1"}
    secret, now = make_webhook_secret(bytes(24)), datetime.now(UTC)
    webhook = Webhook(
        id="a" * 12, owner="default", url=receiver.url, secret=secret, after=0, created=now, types=("queued",)
    )
    async with (
        running(broker) as (hub, connection, log),
        posting(networks(("127.0.0.0/8",))) as poster,
        anyio.create_task_group() as tasks,
    ):
        await write(log, 1, 2)
        tasks.start_soon(Delivery(connection, hub, TraitBook(NoModel()), poster, webhook).run)

        async def stored() -> WebhookState | None:
            found = await keys.read(connection, s.webhook_state_key(webhook.id))
            state = codec.decode(found.body, WebhookState) if found is not None else None
            return state if state is not None and state.position == 2 else None

        state = await eventually(stored, within_s=20)
        assert (state.passed_over, state.delivered) == (1, 1)
        assert [event["name"] for event in receiver.taken] == ["n2"]
        assert len(receiver.got) > 3, "it was tried again before"
        tasks.cancel_scope.cancel()


async def test_who_wants_nothing_more_is_left_alone_until_it_is_enabled_again(
    up: Up, http: aiohttp.ClientSession, receiver: Receiver
) -> None:
    receiver.answers = [410]
    webhook = await made(http, receiver)
    first = await submitted(up)
    url = f"{WEBHOOKS}/{webhook['id']}"

    async def is_disabled() -> bool:
        async with http.get(url) as answer:
            return not (await answer.json())["enabled"]

    await eventually(is_disabled, within_s=20)
    second = await submitted(up)
    await up.state(second, "completed")
    assert len(receiver.got) == 1
    async with http.patch(url, json={"enabled": True}) as answer:
        assert (await answer.json())["enabled"]
    await eventually(lambda: sorted(receiver.tasks()) == sorted([first, second]), within_s=20)


async def test_a_new_secret_signs_from_then_on_and_is_told_once(
    up: Up, http: aiohttp.ClientSession, receiver: Receiver
) -> None:
    webhook = await made(http, receiver)
    url = f"{WEBHOOKS}/{webhook['id']}"
    first = await submitted(up)
    await eventually(lambda: receiver.tasks() == [first], within_s=20)
    async with http.patch(url, json={"new_secret": True}) as answer:
        changed = await answer.json()
    assert changed["secret"] not in (None, webhook["secret"])
    async with http.patch(url, json={"note": "kept"}) as answer:
        assert (await answer.json())["secret"] is None
    second = await submitted(up)
    await eventually(lambda: receiver.tasks() == [first, second], within_s=20)
    (old_headers, old), (headers, body) = receiver.got
    assert Verifier(changed["secret"]).verify(body, headers)["task"] == second
    for secret, signed, said in ((webhook["secret"], headers, body), (changed["secret"], old_headers, old)):
        with pytest.raises(Exception, match="signature"):
            Verifier(secret).verify(said, signed)


async def test_nothing_is_sent_after_it_was_deleted(up: Up, http: aiohttp.ClientSession, receiver: Receiver) -> None:
    webhook = await made(http, receiver)
    task = await submitted(up)
    await eventually(lambda: receiver.tasks() == [task], within_s=20)
    async with http.delete(f"{WEBHOOKS}/{webhook['id']}") as answer:
        assert answer.status == 204
    async with streaming(up, type="finished") as stream:
        await stream.until("finished.completed", await submitted(up))
    await stays(lambda: receiver.tasks() == [task], for_s=0.5)
    async with http.get(f"{WEBHOOKS}/{webhook['id']}") as answer:
        assert answer.status == 404


async def stored_under(up: Up, pattern: str) -> dict[str, Any]:
    async with operating(up) as client:
        return dict(await keys.read_all(client.connection, pattern))


async def test_what_was_deleted_leaves_nothing_behind(up: Up, http: aiohttp.ClientSession, receiver: Receiver) -> None:
    webhook = await made(http, receiver, types=["dismissed"])
    await eventually(lambda: "webhooks are delivered from here" in up.log("gateway"), within_s=20)
    async with streaming(up, type="finished") as stream:  # what it does not want moves it on all the same
        await stream.until("finished.completed", await submitted(up))
    async with http.delete(f"{WEBHOOKS}/{webhook['id']}") as answer:
        assert answer.status == 204
    await made(http, receiver)
    task = await submitted(up)
    await eventually(lambda: receiver.tasks() == [task], within_s=20)  # by then the first has ended
    assert not await stored_under(up, s.webhook_state_key(webhook["id"]))
    async with open_client(up.url, up.creds("admin")) as client:
        key = s.bucket_key(s.webhook_key(webhook["id"]))
        left = await client.connection.request(f"$JS.API.DIRECT.GET.{s.BUCKET_STREAM}.{key}")
        assert (left.headers or {})[s.TTL], "the bucket does not fill with what was taken away"


async def test_no_more_webhooks_are_made_than_an_owner_may_have_however_they_are_asked_for(
    up: Up, receiver: Receiver
) -> None:
    key = await make_key(up, "eve", Scope.READ, Scope.SUBMIT)
    statuses: list[int] = []

    async def ask(session: aiohttp.ClientSession) -> None:
        async with session.post(WEBHOOKS, json={"url": receiver.url}) as answer:
            statuses.append(answer.status)

    async with calling(up, key) as session, anyio.create_task_group() as tasks:
        for _ in range(30):
            tasks.start_soon(ask, session)
    async with calling(up, key) as session:
        async with session.get(WEBHOOKS) as answer:
            there = (await answer.json())["webhooks"]
        for one in there:
            await session.delete(f"{WEBHOOKS}/{one['id']}")
    assert (len(there), statuses.count(201), statuses.count(409)) == (20, 20, 10)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"url": "http://10.0.0.1/x"}, "url"),
        ({"url": "http://[::ffff:192.168.0.1]/x"}, "url"),
        ({"url": "ftp://example.org/x"}, "url"),
        ({"url": "https://me:pass@example.org/x"}, "url"),
        ({"types": ["nonsense"]}, "types"),
        ({"secret": "short"}, "secret"),
        ({"labels": [320 * "\U0001f300" for _ in range(100)]}, "labels"),
    ],
)
async def test_what_makes_no_sense_is_refused(
    http: aiohttp.ClientSession, receiver: Receiver, fields: dict[str, Any], field: str
) -> None:
    async with http.post(WEBHOOKS, json={"url": receiver.url} | fields) as answer:
        assert answer.status == 422, await answer.text()
        assert (await answer.json(content_type=None)).get("field", "") == field


async def test_owners_have_webhooks_of_their_own(up: Up, http: aiohttp.ClientSession, receiver: Receiver) -> None:
    others = await made(http, receiver)
    key = await make_key(up, "ann", Scope.READ, Scope.SUBMIT)
    async with calling(up, key) as session:
        for forbidden in ({"owner": "bob"}, {"everyone": True}):
            async with session.post(WEBHOOKS, json={"url": receiver.url} | forbidden) as answer:
                assert answer.status == 403
        mine = await made(session, receiver)
        async with session.get(WEBHOOKS) as answer:
            assert [one["id"] for one in (await answer.json())["webhooks"]] == [mine["id"]]
        for ask in (session.get, session.delete):
            async with ask(f"{WEBHOOKS}/{others['id']}") as answer:
                assert answer.status == 404
        await submitted(up, "bob")
        task = await submitted(up, "ann")
        await eventually(lambda: receiver.tasks() == [task], within_s=20)


async def test_one_replica_delivers_and_another_goes_on_when_it_dies(
    up: Up, http: aiohttp.ClientSession, receiver: Receiver, tmp_path: Path
) -> None:
    await made(http, receiver)
    with another_gateway(up, tmp_path, **LOOPBACK) as (url, _):
        await eventually(lambda: is_ready(url), within_s=30)
        first = [await submitted(up) for _ in range(20)]
        await eventually(lambda: set(receiver.tasks()) >= set(first), within_s=30)
        assert sorted(receiver.tasks()) == sorted(first), "each once"
        os.kill(up.pid("gateway"), signal.SIGKILL)
        more = [await submitted(up) for _ in range(20)]
        await eventually(lambda: set(receiver.tasks()) >= set(first + more), within_s=30)
    await eventually(lambda: is_ready(url_of(up)), within_s=30)
