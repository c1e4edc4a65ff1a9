"""What may be written for the servers of a cluster, and what is said of the rest."""

import pytest

from broker.errors import ServersInvalid
from broker.servers import split_servers


@pytest.mark.parametrize(
    ("urls", "servers"),
    [
        ("nats://127.0.0.1:4222", ["nats://127.0.0.1:4222"]),
        ("a, tls://token@b:1,nats://me:pw@[::1]:2/", ["a", "tls://token@b:1", "nats://me:pw@[::1]:2/"]),
        ("a:4222,", ["a:4222"]),
        ("ws://a/path,wss://b:443", ["ws://a/path", "wss://b:443"]),
    ],
)
def test_servers_are_named_with_commas_between(urls: str, servers: list[str]) -> None:
    assert split_servers(urls) == servers


@pytest.mark.parametrize(
    "urls",
    [
        *("nats://[", "nats://", "nats://:4222", "nats://a:b", "a:99999", "a:0", "::1", "a b", "nats://a/path"),
        *("http://a", "NATS://a", "a,nats://a:-1"),
    ],
)
def test_what_is_no_server_is_said_with_what_is(urls: str) -> None:
    with pytest.raises(ServersInvalid, match=r"is no address of a nats-server: write nats://host:port") as caught:
        split_servers(urls)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("urls", ["", " ", ", ,"])
def test_no_server_at_all_is_said(urls: str) -> None:
    with pytest.raises(ServersInvalid, match="no nats-server is named"):
        split_servers(urls)


def test_websockets_and_others_are_not_mixed() -> None:
    with pytest.raises(ServersInvalid, match="use the same for all"):
        split_servers("ws://a,nats://b")


@pytest.mark.parametrize("urls", ["nats://me:pass/word@a", "nats://me:pass[word@a", "nats://me:pass,word@a"])
def test_a_password_that_spoils_an_address_is_not_shown(urls: str) -> None:
    with pytest.raises(ServersInvalid) as caught:
        split_servers(urls)
    assert "pass" not in str(caught.value).partition(": write")[0]
