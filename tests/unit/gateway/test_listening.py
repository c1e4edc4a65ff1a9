"""Where a gateway listens, and what it says where it can't."""

import socket

import pytest

from gateway.main import listening
from schemas.errors import SettingInvalid
from schemas.settings import GatewaySettings

ANYWHERE = "0.0.0.0"  # noqa: S104 - that is what is asked for


def test_without_any_key_only_this_machine_is_let_near() -> None:
    with listening(GatewaySettings(host=ANYWHERE, port=0), has_keys=False) as open_socket:
        assert open_socket.getsockname()[0] == "127.0.0.1"


def test_with_a_key_it_listens_where_it_is_told() -> None:
    with listening(GatewaySettings(host=ANYWHERE, port=0), has_keys=True) as open_socket:
        assert open_socket.getsockname()[0] == ANYWHERE


def test_a_port_that_is_taken_is_named_with_the_setting_to_change() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(SettingInvalid, match=rf"127\.0\.0\.1:{port} .*choose another gateway\.port"),
            listening(GatewaySettings(port=port), has_keys=True),
        ):
            pass


def test_the_body_of_an_answer_does_not_wait_for_the_client_to_acknowledge_its_headers() -> None:
    with (
        listening(GatewaySettings(port=0), has_keys=True) as open_socket,
        socket.create_connection(open_socket.getsockname()),
        open_socket.accept()[0] as accepted,
    ):
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
