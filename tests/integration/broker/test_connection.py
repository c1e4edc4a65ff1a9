"""Connecting: what can't be reached or can't be used is said in one error of ours, without a password."""

import anyio
import pytest
from nats.aio.msg import Msg

from broker.connection import connect
from broker.errors import NotConnected, ServersInvalid
from broker.roles import Role
from schemas import subjects as s
from tests.harness.broker import Broker
from tests.harness.link import linked
from tests.harness.waiting import eventually


async def test_a_server_that_does_not_answer_is_named_without_its_password() -> None:
    with pytest.raises(NotConnected, match=r"no nats-server answers at nats://127\.0\.0\.1:1 within") as caught:
        async with connect("nats://me:pw@127.0.0.1:1", "", name="test", timeout_s=0.5):
            pass
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize("url", ["nats://[", "nats://none"], ids=["seen by us", "seen by the client library"])
async def test_an_address_that_can_not_be_used_is_an_error_of_ours(url: str) -> None:
    with pytest.raises(ServersInvalid):
        async with connect(url, "", name="test"):
            pass


async def test_a_line_too_slow_to_say_who_one_is_is_tried_again_until_it_is_better(broker: Broker) -> None:
    """The server waits two seconds for that, and its time-out is no refusal."""
    lines: list[str] = []
    async with (
        linked(broker.server.port) as link,
        connect(f"nats://{link.address}", broker.creds(Role.COORDINATOR), name="afar", timeout_s=10) as connection,
    ):
        connection.on_reconnect(lambda: lines.append("reconnected"))
        link.cut()
        await eventually(lambda: not connection.is_connected)
        link.delay_s = 1.2
        opened = link.opened
        await link.mend()
        await eventually(lambda: link.opened >= opened + 3, within_s=20, what="it is tried again")
        assert lines == []
        link.delay_s = 0.0
        await eventually(lambda: lines == ["reconnected"], within_s=20)
        await connection.api(f"STREAM.INFO.{s.TASKS_STREAM}")


async def test_what_jetstream_leaves_unanswered_is_asked_again(broker: Broker) -> None:
    """As a server does that elects a leader: what it is asked then is lost without a word."""
    async with broker.connected(Role.ADMIN) as connection, broker.connected(Role.ADMIN) as server:
        asked: list[Msg] = []

        async def silent_at_first(msg: Msg) -> None:
            asked.append(msg)
            if len(asked) > 1:
                await server.client.publish(msg.reply, b'{"found": "late"}')

        await server.client.subscribe("$JS.API.SOMETHING.NEW", cb=silent_at_first)
        await server.client.flush()
        with anyio.fail_after(4):
            assert await connection.api("SOMETHING.NEW") == {"found": "late"}
        assert len(asked) == 2


async def test_who_stops_waiting_for_a_flush_does_not_end_the_connection(broker: Broker) -> None:
    async with broker.connected(Role.ADMIN) as connection:
        for _ in range(5):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(connection.client.flush)
                await anyio.lowlevel.checkpoint()
                tasks.cancel_scope.cancel()
        assert (await connection.api("INFO"))["limits"]


async def test_what_is_left_to_be_written_when_the_broker_goes_is_no_error_of_closing(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python 3.12 says it so, where a socket closes between two writes."""

    def socket_is_gone(*_: object) -> None:
        raise TypeError("'NoneType' object is not callable")

    async with broker.connected(Role.ADMIN) as connection:
        monkeypatch.setattr(connection.client._transport, "writelines", socket_is_gone)
        await connection.client.publish("left", b"behind")
