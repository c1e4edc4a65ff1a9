"""The socket that a gateway serves at."""

import socket

from gateway.main import listening_at
from schemas.settings import GatewaySettings


def test_answers_are_not_held_back_for_the_acknowledgement_of_their_first_part() -> None:
    with listening_at(GatewaySettings(port=0), has_keys=True) as listener:
        with socket.create_connection(listener.getsockname()), listener.accept()[0] as accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
