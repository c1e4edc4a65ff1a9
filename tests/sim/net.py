"""What lies between the processes: links that know whose they are, and a server that is watched and troubled."""

import asyncio
import random
from collections.abc import Callable
from contextvars import Context

from broker.pull import Delivery
from schemas import codec
from schemas import subjects as s
from schemas.heartbeat import Heartbeat
from tests.sim.broker.frames import Headers, ToClient, ToServer
from tests.sim.broker.jetstream import UNKNOWN, Trouble, Write
from tests.sim.broker.link import Link, Pipe
from tests.sim.broker.server import SimServer
from tests.sim.broker.streams import Stored, Stream
from tests.sim.config import Config
from tests.sim.judge import Judge, decode_row
from tests.sim.loop import Process, SimLoop

API = "$JS.API."
ACK = "$JS.ACK."
HEARTBEATS = s.heartbeat("")
NODE_SETTINGS = s.bucket_key(s.node_settings_key(""))
LATE_S = (0.1, 3.0)
"""How much later than it was answered a write may be carried out."""


class _Pipe(Pipe):  # type: ignore[type-arg]
    """One direction whose arrivals happen in whose hands they come."""

    def __init__(self, deliver: Callable[[ToServer], None] | Callable[[ToClient], None], context: Context) -> None:
        super().__init__(deliver)
        self._context = context

    def _arm(self) -> None:
        if self._timer is not None or self._is_held or not self._frames:
            return
        self._timer = asyncio.get_running_loop().call_at(self._frames[0][0], self._arrive, context=self._context)


class ProcessLink(Link):
    """The link of one process: what it sends travels on when it freezes or dies, what it gets waits for it."""

    def __init__(self, loop: SimLoop, process: Process, config: Config, dice: random.Random) -> None:
        super().__init__()
        self._loop = loop
        self._process = process
        self._delay_s = config.delay_s
        self._dice = dice

    def delay_s(self, frame: ToServer | ToClient) -> float:
        return self._dice.uniform(*self._delay_s)

    def connect(self, server: SimServer, client) -> bool:  # type: ignore[no-untyped-def]
        connected = super().connect(server, client)
        if connected:
            assert self._wire is not None
            self._wire.up = _Pipe(self._wire.session.receive, self._loop.nobody.context)
            self._wire.down = _Pipe(client.receive, self._process.context)
        return connected

    def cut(self) -> None:
        client, self._client = self._client, None
        had_wire = self._wire is not None
        super().cut()
        self._client = client
        if had_wire and client is not None:
            self._loop.call_soon(client.connection_lost, context=self._process.context)

    def died(self) -> None:
        """The process is dead: the kernel closes its connection."""
        self._client = None
        self.sever()


class WatchedServer(SimServer):
    """A server that shows the judge what it stores, and gets into the trouble a config asks for."""

    def __init__(self, judge: Judge, config: Config, dice: random.Random, note: Callable[..., None]) -> None:
        super().__init__(dice=dice)
        self._judge, self._config, self._throw, self._note = judge, config, dice, note
        self.is_troubled = True
        """Whether the config's rates count: they don't any more once faults stop."""
        self.leaderless: set[str] = set()
        """Streams that nobody answers for just now."""
        self.before_answer = self._trouble

    def watch(self, stream: Stream) -> None:
        """Show the judge what this stream stores and deletes, and what stands again after a crash."""
        add, remove, stand_again = stream._add, stream.remove, stream._stand_again

        def added(stored: Stored) -> None:
            self._seen(stream.name, stored)
            add(stored)

        def removed(sequence: int) -> bool:
            is_there = sequence in stream.messages
            found = remove(sequence)
            if is_there:
                self._gone(stream.name, sequence)
            return found

        def stands_again(stored: Stored) -> None:
            stand_again(stored)
            if stream.name == s.TASKS_STREAM and (row := decode_row(stored.data)) is not None:
                place, task = s.parse_task(stored.subject)
                self._note("TASKS", stored.sequence, place, task, row.state, "stands again")
                self._judge.row_stands_again(stored.sequence, task, row)

        stream._add = added  # type: ignore[method-assign]
        stream._stand_again = stands_again  # type: ignore[method-assign]
        stream.remove = removed  # type: ignore[method-assign]

    def publish(self, subject: str, data: bytes, reply: str = "", headers: Headers | None = None) -> None:
        if not self.is_up:
            return
        if subject.startswith(HEARTBEATS):
            self._carry_heartbeat(subject, data)
            return
        if subject.startswith(ACK) and data == b"+ACK" and self._chance(self._config.lost_acks):
            self._note("broker", "loses an ack", subject)
            return
        if subject.startswith(API) and any(f".{name}" in subject for name in self.leaderless):
            self._note("broker", "has no leader for", subject)
            return
        super().publish(subject, data, reply, headers)

    def _carry_heartbeat(self, subject: str, data: bytes) -> None:
        """To whoever listens: at once, late or never."""
        if self._chance(self._config.lost_beats):
            self._note("broker", "loses a heartbeat", subject)
        elif self._chance(self._config.late_beats):
            after_s = self._throw.uniform(*self._config.late_s)
            self._note("broker", "holds a heartbeat up", subject, round(after_s, 2))
            asyncio.get_running_loop().call_later(after_s, self._heartbeat_arrives, subject, data)
        else:
            self._heartbeat_arrives(subject, data)

    def _heartbeat_arrives(self, subject: str, data: bytes) -> None:
        if self.is_up:
            self._judge.heartbeat(codec.decode(data, Heartbeat))
            super().publish(subject, data)

    def _chance(self, share: float) -> bool:
        return bool(share) and self.is_troubled and self._throw.random() < share

    def _trouble(self, write: Write) -> Trouble | None:
        if write.stream in self.leaderless:
            return Trouble(False)
        if self._chance(self._config.lost_answers):
            after_s = self._throw.uniform(*LATE_S) if self._throw.random() < 0.2 else 0.0
            self._note("broker", "loses the answer to", write.subject, f"late {after_s:.1f}" if after_s else "")
            return Trouble(True, after_s=after_s)
        if self._chance(self._config.refusals):
            code, is_stored = self._throw.choice(list(UNKNOWN)), self._throw.random() < 0.5
            self._note("broker", "answers", code, "to", write.subject, "and stores it" if is_stored else "")
            return Trouble(is_stored, code)
        return None

    def _seen(self, stream: str, stored: Stored) -> None:
        if stream == s.TASKS_STREAM:
            place, task = s.parse_task(stored.subject)
            if (row := decode_row(stored.data)) is not None:
                told = (row.state, row.outcome or "", f"attempt {row.attempt}", f"to {row.desired}")
                self._note("TASKS", stored.sequence, place, task, *told, f"by {row.writer}/{row.epoch}", row.reason)
                self._judge.row_stored(stored.sequence, place, task, row)
        elif stream == s.EVENTS_STREAM:
            self._note("EVENTS", stored.sequence, stored.subject)
            self._judge.event_stored(stored.subject, stored.data)
        elif stored.subject.startswith(NODE_SETTINGS):
            node = stored.subject.removeprefix(NODE_SETTINGS)
            self._note("NODES", stored.sequence, node, stored.data.decode())
            self._judge.fleet.decided(node, stored.sequence, stored.data)
        elif stored.subject == s.bucket_key(s.LEADER_KEY):
            self._judge.fleet.led(stored.sequence)
        elif stored.subject == s.bucket_key(s.PLACING_KEY):
            self._note("PLACING", stored.sequence, stored.data.decode())
        elif stream == s.REQUESTS_STREAM:
            at = (stored.sequence, stored.at_ns, 1, 0)
            task = self._judge.request_stored(Delivery(stored.subject, stored.data, stored.headers, "", *at))
            self._note("REQUESTS", stored.sequence, stored.subject, task)

    def _gone(self, stream: str, sequence: int) -> None:
        if stream == s.TASKS_STREAM:
            self._note("TASKS", sequence, "deleted")
            self._judge.row_deleted(sequence)
        elif stream == s.REQUESTS_STREAM:
            self._note("REQUESTS", sequence, "acked")
            self._judge.request_removed(sequence)
