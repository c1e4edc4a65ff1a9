"""Where somebody calls from, as far as it tells who they are."""

from types import SimpleNamespace
from typing import Any

import pytest

from gateway.aria2rpc.shown import host_of


def connection(headers: dict[str, str]) -> Any:
    return SimpleNamespace(headers=headers, client=SimpleNamespace(host="192.0.2.7"))


def test_whoever_calls_straight_is_known_by_their_address() -> None:
    assert host_of(connection({})) == "192.0.2.7"


@pytest.mark.parametrize("header", ["x-forwarded-for", "forwarded"])
def test_the_address_of_a_proxy_is_nobodys(header: str) -> None:
    assert host_of(connection({header: "198.51.100.1"})) == ""
