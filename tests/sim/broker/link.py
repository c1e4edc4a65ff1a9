"""The wire between one client and the server. Faults are made here: see `Link`."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, TypeVar

from tests.sim.broker.frames import ToClient, ToServer

if TYPE_CHECKING:
    from tests.sim.broker.client import SimClient
    from tests.sim.broker.server import Session, SimServer

STALE_AFTER_S = 60.0
"""When a server gives up a client that went silent without a word: two unanswered pings of 20 s, and the third."""

F = TypeVar("F")


class Pipe(Generic[F]):
    """One direction of one TCP connection: frames arrive in their order, each after its delay, or never."""

    def __init__(self, deliver: Callable[[F], None]) -> None:
        self._deliver = deliver
        self._frames: deque[tuple[float, F]] = deque()
        self._arrival = 0.0
        self._timer: asyncio.Handle | None = None
        self._is_held = False

    def __len__(self) -> int:
        return len(self._frames)

    def put(self, frame: F, delay_s: float) -> None:
        now = asyncio.get_running_loop().time()
        self._arrival = max(self._arrival, now + delay_s)
        self._frames.append((self._arrival, frame))
        self._arm()

    def hold(self) -> None:
        """Deliver nothing until `release`."""
        self._is_held = True
        self._disarm()

    def release(self) -> None:
        self._is_held = False
        self._arm()

    def clear(self) -> None:
        """What was in flight is lost."""
        self._frames.clear()
        self._disarm()

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        if self._timer is not None or self._is_held or not self._frames:
            return
        loop = asyncio.get_running_loop()
        arrival = self._frames[0][0]
        self._timer = loop.call_soon(self._arrive) if arrival <= loop.time() else loop.call_at(arrival, self._arrive)

    def _arrive(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        while self._frames and not self._is_held and self._frames[0][0] <= now:
            self._deliver(self._frames.popleft()[1])
        self._arm()


class Wire:
    """One connection of a link, from its opening to its end."""

    def __init__(self, session: "Session", client: "SimClient") -> None:
        self.session = session
        self.up: Pipe[ToServer] = Pipe(session.receive)
        self.down: Pipe[ToClient] = Pipe(client.receive)

    def clear(self) -> None:
        self.up.clear()
        self.down.clear()


class Link:
    """One client's way to its server; it outlives the connections made over it.

    A fault layer overrides `delay_s`, or `to_server` and `to_client` (which may call `cut` and lose the frame), or
    calls `cut`, `freeze`, `thaw` and `sever` at its moments. TCP neither drops nor reorders within a connection,
    so a lost frame always means a lost connection. Frames of different links overtake each other freely.
    """

    def __init__(self) -> None:
        self.is_reachable = True
        """Whether a new connection can be made."""
        self.is_frozen = False
        self._client: SimClient | None = None
        self._wire: Wire | None = None
        self._half_open: list[Wire] = []

    def __repr__(self) -> str:
        state = "frozen" if self.is_frozen else "open" if self._wire else "closed"
        return f"<Link {state}{'' if self.is_reachable else ', unreachable'}>"

    def delay_s(self, frame: ToServer | ToClient) -> float:
        """How long a frame is on its way; later frames of its direction wait behind it."""
        return 0.0

    def to_server(self, frame: ToServer) -> None:
        """The client sends."""
        if self._wire is not None:
            self._wire.up.put(frame, self.delay_s(frame))

    def to_client(self, frame: ToClient) -> None:
        """The server sends."""
        if self._wire is not None:
            self._wire.down.put(frame, self.delay_s(frame))

    def cut(self) -> None:
        """Break the connection: what is in flight is lost, both ends notice at once. The client connects again."""
        wire, self._wire = self._wire, None
        for broken in (*([wire] if wire else []), *self._half_open):
            broken.clear()
            broken.session.end()
        self._half_open.clear()
        if wire is not None and self._client is not None:
            self._client.connection_lost()

    def freeze(self) -> None:
        """Nothing arrives any more, and nobody notices until it times out."""
        self.is_frozen = True
        if self._wire is not None:
            self._wire.up.hold()
            self._wire.down.hold()

    def thaw(self) -> None:
        """Everything arrives late, where the connection was not given up meanwhile."""
        self.is_frozen = False
        for abandoned in self._half_open:
            abandoned.session.end()
        self._half_open.clear()
        if self._wire is not None:
            self._wire.up.release()
            self._wire.down.release()

    def sever(self) -> None:
        """Cut, and let no new connection be made until `is_reachable` is set: the process or the machine is gone."""
        self.is_reachable = False
        self.cut()

    def connect(self, server: "SimServer", client: "SimClient") -> bool:
        """Called by the client: whether there is a connection now."""
        if not self.is_reachable or self.is_frozen or not server.is_up:
            return False
        self.cut()
        self._client = client
        self._wire = Wire(server.open(self), client)
        return True

    def abandon(self) -> None:
        """Called by the client: it closes the connection. A server that can't be told keeps it open for a while."""
        wire, self._wire = self._wire, None
        if wire is None:
            return
        wire.clear()
        if self.is_frozen:
            self._half_open.append(wire)
            asyncio.get_running_loop().call_later(STALE_AFTER_S, wire.session.end)
        else:
            wire.session.end()

    def carries(self, session: "Session") -> bool:
        """Whether what the server sends to this session still goes anywhere."""
        return self._wire is not None and self._wire.session is session
