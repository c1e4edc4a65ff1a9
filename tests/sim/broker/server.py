"""The server: sessions, subscriptions, and where a published message goes."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.sim.broker.clock import NS, ServerClock
from tests.sim.broker.frames import Headers, Message, Ping, Pong, Pub, Sub, ToServer, Unsub
from tests.sim.broker.jetstream import JetStream, Trouble, Write
from tests.sim.broker.matching import has_wildcard, matches, tokens

if TYPE_CHECKING:
    from random import Random

    from tests.sim.broker.link import Link

MAX_PAYLOAD_BYTES = 1 << 20
VERSION = "2.15.1"
NO_RESPONDERS = {"Status": "503"}


class Subscription:
    """One subscription of one session."""

    def __init__(self, session: "Session", sid: int, subject: str, queue: str) -> None:
        self.session = session
        self.sid = sid
        self.subject = subject
        self.queue = queue
        self.delivered = 0
        self.limit = 0


class Session:
    """One connection as the server sees it."""

    def __init__(self, server: "SimServer", link: "Link") -> None:
        self._server = server
        self._link = link
        self._subscriptions: dict[int, Subscription] = {}

    def receive(self, frame: ToServer) -> None:
        match frame:
            case Pub(subject, data, reply, headers):
                self._server.publish(subject, data, reply, headers)
            case Sub(sid, subject, queue):
                if sid not in self._subscriptions:
                    self._subscriptions[sid] = Subscription(self, sid, subject, queue)
                    self._server.interest.add(self._subscriptions[sid])
            case Unsub(sid, limit):
                self._limit(sid, limit)
            case Ping(token):
                self._link.to_client(Pong(token))

    def deliver(self, to: Subscription, subject: str, data: bytes, reply: str, headers: Headers | None) -> None:
        if self._link.carries(self):
            self._link.to_client(Message(to.sid, subject, reply, data, headers))
        to.delivered += 1
        if to.limit and to.delivered >= to.limit:
            self._forget(to.sid)

    def end(self) -> None:
        """The connection is over: its subscriptions go with it."""
        for sid in tuple(self._subscriptions):
            self._forget(sid)

    def _limit(self, sid: int, limit: int) -> None:
        subscription = self._subscriptions.get(sid)
        if subscription is None:
            return
        subscription.limit = limit
        if subscription.delivered >= limit:
            self._forget(sid)

    def _forget(self, sid: int) -> None:
        if (subscription := self._subscriptions.pop(sid, None)) is not None:
            self._server.interest.remove(subscription)


class Interest:
    """Who subscribed to what."""

    def __init__(self) -> None:
        self._exact: dict[str, list[Subscription]] = {}
        self._wild: dict[str, list[Subscription]] = {}
        """By how they begin, so that a message is compared with the few that may match."""

    def add(self, subscription: Subscription) -> None:
        if has_wildcard(subscription.subject):
            self._wild.setdefault(_beginning(subscription.subject), []).append(subscription)
        else:
            self._exact.setdefault(subscription.subject, []).append(subscription)

    def remove(self, subscription: Subscription) -> None:
        if has_wildcard(subscription.subject):
            self._wild[_beginning(subscription.subject)].remove(subscription)
            return
        left = self._exact[subscription.subject]
        left.remove(subscription)
        if not left:
            del self._exact[subscription.subject]

    def of(self, subject: str) -> list[Subscription]:
        beginning = _beginning(subject)
        wild = [*self._wild.get("", ()), *(self._wild.get(beginning, ()) if beginning else ())]
        return [*self._exact.get(subject, ()), *(one for one in wild if matches(one.subject, subject))]


def _beginning(subject: str) -> str:
    """The first two tokens; empty where one of them is a wildcard."""
    first, second = (*tokens(subject), "*")[:2]
    return "" if first in ("*", ">") or second in ("*", ">") else f"{first}.{second}"


class SimServer:
    """One nats-server with JetStream and one account. It lives in the running loop, and takes no time by itself."""

    def __init__(self, *, dice: "Random | None" = None, clock: ServerClock | None = None) -> None:
        self.clock = clock or ServerClock()
        self.interest = Interest()
        self.is_up = True
        self.before_answer: Callable[[Write], Trouble | None] = lambda _write: None
        """Asked before each write to a stream: what is to go wrong with it."""
        self.ack_delay_s: Callable[[], float] = lambda: 0.0
        """How long an ack waits inside the server, where calls overtake it."""
        self.jetstream = JetStream(self)
        self._dice = dice
        """Which member of a queue group gets a message; in turn where there is none."""
        self._turn = 0
        self._clients = 0
        self._links: list[Link] = []

    def __repr__(self) -> str:
        return f"<SimServer {'up' if self.is_up else 'down'} {self.jetstream!r}>"

    @property
    def info(self) -> dict[str, object]:
        """What the server says of itself to a new client."""
        return {"version": VERSION, "max_payload": MAX_PAYLOAD_BYTES, "jetstream": True, "headers": True}

    def next_client(self) -> int:
        self._clients += 1
        return self._clients

    def open(self, link: "Link") -> Session:
        """A connection is made."""
        if link not in self._links:
            self._links.append(link)
        return Session(self, link)

    def crash(self, *, forgets_acks_of_s: float = 0.0) -> None:
        """SIGKILL: what was stored stays; connections, open pulls and what lives in memory is gone.

        A server writes acks down a moment later: those of the last `forgets_acks_of_s` seconds are forgotten, and
        what they acked is delivered again (from a work queue it is gone all the same).
        """
        self.is_up = False
        since_ns = self.clock.now_ns() - round(forgets_acks_of_s * NS)
        self.jetstream.crash(since_ns if forgets_acks_of_s else None)
        links, self._links = self._links, []
        for link in links:
            link.cut()
        self.interest = Interest()

    def start(self) -> None:
        """Start again on the same store."""
        self.is_up = True
        self.jetstream.start()

    def publish(self, subject: str, data: bytes, reply: str = "", headers: Headers | None = None) -> None:
        """Take a message from a client: to subscribers, to JetStream, or to nobody."""
        if not self.is_up:
            return
        heard = self.deliver(subject, data, reply, headers)
        taken = self.jetstream.take(subject, data, reply, headers)
        if not heard and not taken and reply:
            self.deliver(reply, b"", "", NO_RESPONDERS)

    def deliver(
        self, to: str, data: bytes, reply: str = "", headers: Headers | None = None, *, subject: str = ""
    ) -> bool:
        """Send to whoever subscribed to `to`, and to one of each queue group; `subject`: the one it is shown under.

        Whether anybody did.
        """
        groups: dict[str, list[Subscription]] = {}
        found = self.interest.of(to)
        for one in found:
            if one.queue:
                groups.setdefault(one.queue, []).append(one)
            else:
                one.session.deliver(one, subject or to, data, reply, headers)
        for members in groups.values():
            chosen = self._one_of(members)
            chosen.session.deliver(chosen, subject or to, data, reply, headers)
        return bool(found)

    def is_heard(self, subject: str) -> bool:
        return bool(self.interest.of(subject))

    def call_at(self, at_ns: int, callback: Callable[[], None]) -> asyncio.TimerHandle:
        """A timer on this server's clock."""
        return asyncio.get_running_loop().call_at(self.clock.loop_time(at_ns), callback)

    def _one_of(self, members: list[Subscription]) -> Subscription:
        if self._dice is not None:
            return self._dice.choice(members)
        self._turn += 1
        return members[self._turn % len(members)]
