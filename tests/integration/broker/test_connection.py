"""Connecting: what can't be reached or can't be used is said in one error of ours, without a password."""

import pytest

from broker.connection import connect
from broker.errors import NotConnected, ServersInvalid


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
