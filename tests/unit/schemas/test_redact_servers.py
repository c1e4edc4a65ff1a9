"""NATS addresses as they may be shown."""

import pytest

from schemas.redact import redact_servers


@pytest.mark.parametrize(
    ("urls", "shown"),
    [
        ("nats://127.0.0.1:4222", "nats://127.0.0.1:4222"),
        ("nats://me:pw@a:4222,tls://token@b:4222", "nats://a:4222,tls://b:4222"),
        ("nats://a:1, nats://b:2", "nats://a:1,nats://b:2"),
        ("me:pw@a:4222", "a:4222"),
        ("a:4222", "a:4222"),
        ("a", "a"),
        ("", ""),
        ("nats://me:p@ss@a:4222", "nats://a:4222"),
        ("nats://me:p/w@a:4222", "nats://a:4222"),
        ("nats://me:p://w@a:4222", "nats://a:4222"),
        ("nats://me:p,w@a:4222", "nats://***,a:4222"),
        ("nats://me:p[w@a:4222", "nats://a:4222"),
        ("nats://[", "nats://***"),
        ("a:b", "***"),
        ("wss://a/p?token=t", "wss://a/p?token=***"),
    ],
)
def test_users_passwords_and_tokens_are_left_out(urls: str, shown: str) -> None:
    assert redact_servers(urls) == shown
