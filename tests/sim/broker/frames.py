"""What goes over the wire between a client and the server."""

from collections.abc import Mapping
from typing import NamedTuple

Headers = Mapping[str, str]


class Pub(NamedTuple):
    subject: str
    data: bytes
    reply: str = ""
    headers: Headers | None = None


class Sub(NamedTuple):
    sid: int
    subject: str
    queue: str = ""


class Unsub(NamedTuple):
    sid: int
    limit: int = 0
    """Messages of this subscription, counted from its start, after which it ends; 0: at once."""


class Ping(NamedTuple):
    token: int


class Pong(NamedTuple):
    token: int


class Message(NamedTuple):
    """A publish on its way to one subscription."""

    sid: int
    subject: str
    reply: str
    data: bytes
    headers: Headers | None = None


ToServer = Pub | Sub | Unsub | Ping
ToClient = Message | Pong
