"""Many addresses are judged and asked together, within one limit; secrets are not told in what went wrong."""

from typing import Any

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream

from node import asking
from node.addresses import reach_of
from node.asking import Asker
from node.failures import Verdict
from node.payloads import Fetched
from node.probe import new_session
from schemas.request import Request
from schemas.task import FailureClass

pytestmark = pytest.mark.anyio

SLOW_S = 0.2
MANY = [f"ftp://host-{number}.example/f" for number in range(40)]


@pytest.fixture
def asker() -> Asker:
    return Asker(None, reach_of(()))  # type: ignore[arg-type]


async def test_names_that_are_slow_to_resolve_are_waited_for_together(
    asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def slowly(uri: str, _reach: Any) -> str | None:
        await anyio.sleep(SLOW_S)
        return "it is refused" if uri == MANY[7] else None

    monkeypatch.setattr(asking, "check_address", slowly)
    with anyio.fail_after(SLOW_S * len(MANY) / 2):
        assert await asker.refusals(MANY) == {MANY[7]: "it is refused"}


async def test_several_addresses_that_say_nothing_fail_as_what_they_are(
    asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silent(_http: Any, uri: str, *_: Any, **__: Any) -> Fetched:
        await anyio.sleep(SLOW_S)
        return Fetched(verdict=Verdict(FailureClass.TRANSIENT, "payload", f"{uri} did not come"))

    monkeypatch.setattr(asking, "fetch_payload", silent)
    monkeypatch.setattr(asking, "FETCH_ANY_WITHIN_S", 1.5 * SLOW_S)
    with anyio.fail_after(SLOW_S * len(MANY) / 2):
        content, verdict = await asker.fetch(Request(uris=tuple(MANY)), 1000)
    assert verdict is not None
    assert (content, verdict.code, verdict.reason) == (b"", "payload", f"{MANY[0]} did not come")


async def test_what_an_origin_answers_wrongly_is_told_without_the_key_in_its_address() -> None:
    async def nonsense(stream: SocketStream) -> None:
        async with stream:
            await stream.receive()
            await stream.send(b"nonsense\r\n\r\n")

    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        new_session() as session,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(listener.serve, nonsense)
        port = listener.extra(SocketAttribute.local_port)  # noqa: S610 - no Django here
        asker = Asker(session, reach_of(["127.0.0.0/8"]))
        _, verdict = await asker.fetch(Request(uris=(f"http://127.0.0.1:{port}/f.torrent?passkey=s3cr3t",)), 1000)
        tasks.cancel_scope.cancel()
    assert verdict is not None
    assert "nonsense" in verdict.reason
    assert "s3cr3t" not in verdict.reason
