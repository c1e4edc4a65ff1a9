"""One pull consumer: what it has still to deliver, to whom, and what was not acked yet."""

import asyncio
import json
import math
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Any

from tests.sim.broker.clock import NS, written
from tests.sim.broker.ledger import Ledger
from tests.sim.broker.matching import matches
from tests.sim.broker.selection import selected

if TYPE_CHECKING:
    from tests.sim.broker.server import SimServer
    from tests.sim.broker.streams import Stored, Stream

ACK_WAIT_NS = 30 * NS
MAX_ACK_PENDING = 1000
MAX_WAITING = 512
EPHEMERAL_NS = 5 * NS
"""How long a consumer without a durable name outlives its last reader, where it does not say so itself."""


class Request:
    """A reader's open request for some messages."""

    def __init__(self, inbox: str, batch: int, *, no_wait: bool, max_bytes: int) -> None:
        self.inbox = inbox
        self.left = max(1, batch)
        self.bytes_left = max_bytes or math.inf
        self.no_wait = no_wait
        self.delivered = 0
        self.timer: asyncio.TimerHandle | None = None

    def stop_timer(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


class Consumer:
    """A pull consumer of a stream."""

    def __init__(self, server: "SimServer", stream: "Stream", config: dict[str, Any]) -> None:
        self._server = server
        self._stream = stream
        self.config = config
        self.created_ns = server.clock.now_ns()
        self.filters: tuple[str, ...] = tuple(
            config.get("filter_subjects") or ([config["filter_subject"]] if config.get("filter_subject") else [])
        )
        self._acks = config.get("ack_policy", "explicit") != "none"
        self._ack_wait_ns = config.get("ack_wait") or ACK_WAIT_NS
        most = config.get("max_ack_pending") or MAX_ACK_PENDING
        self._un_acked_max = most if self._acks and most > 0 else 0
        start, upcoming = selected(stream, config, self.filters)
        self.upcoming: OrderedDict[int, None] = OrderedDict.fromkeys(upcoming)
        """What was never delivered, in its order."""
        self._next = start
        self._count = 1
        self.ledger = Ledger(start)
        self._waiting: deque[Request] = deque()
        self._due_timer: asyncio.TimerHandle | None = None
        self._idle_timer: asyncio.TimerHandle | None = None
        self._asked_at_ns = self.created_ns
        self._watch_idleness()

    def __repr__(self) -> str:
        return f"<Consumer {self.name}: {len(self.upcoming)} pending, {len(self.ledger.out)} un-acked>"

    @property
    def name(self) -> str:
        return str(self.config["name"])

    @property
    def is_durable(self) -> bool:
        return bool(self.config.get("durable_name"))

    @property
    def exists(self) -> bool:
        """Whether it was not deleted meanwhile."""
        return self._stream.consumers.get(self.name) is self

    @property
    def is_in_memory(self) -> bool:
        """Whether it vanishes with its server's process."""
        return bool(self.config.get("mem_storage")) or self._stream.config["storage"] == "memory"

    def info(self) -> dict[str, Any]:
        """As CONSUMER.INFO tells it."""
        return {
            "stream_name": self._stream.name,
            "name": self.name,
            "created": written(self.created_ns),
            "config": self.config,
            "delivered": {"consumer_seq": self._count - 1, "stream_seq": self._next - 1},
            "ack_floor": {"consumer_seq": self.ledger.floor[0], "stream_seq": self.ledger.floor[1]},
            "num_ack_pending": len(self.ledger.out),
            "num_redelivered": len(self.ledger.repeats),
            "num_waiting": len(self._waiting),
            "num_pending": len(self.upcoming),
            "ts": written(self._server.clock.now_ns()),
        }

    def ask(self, inbox: str, batch: int, *, no_wait: bool, expires_ns: int, max_bytes: int = 0) -> None:
        """Take a pull request."""
        now = self._server.clock.now_ns()
        self._asked_at_ns = now
        self._drop_deaf()
        if len(self._waiting) >= (self.config.get("max_waiting") or MAX_WAITING):
            self._say(inbox, "409", "Exceeded MaxWaiting")
            return
        if no_wait:
            pending = len(self.upcoming) + len(self.ledger.again)
            if pending == 0 and not expires_ns:
                self._say(inbox, "404", "No Messages")
                return
            if 0 < pending < sum(one.left for one in self._waiting):
                self._say(inbox, "408", "Requests Pending")
                return
        request = Request(inbox, batch, no_wait=no_wait, max_bytes=max_bytes)
        if expires_ns:
            request.timer = self._server.call_at(now + expires_ns, lambda: self._expired(request))
        self._waiting.append(request)
        self._pump()

    def stored(self, stored: "Stored") -> None:
        """The stream took a message."""
        if stored.sequence >= self._next and (
            not self.filters or any(matches(pattern, stored.subject) for pattern in self.filters)
        ):
            self.upcoming[stored.sequence] = None
            self._pump()

    def removed(self, sequence: int) -> None:
        """The stream lost a message."""
        self.upcoming.pop(sequence, None)
        self._settle(sequence)

    def answer(self, sequence: int, verb: bytes) -> None:
        """Take an ack, nak, term or a sign of progress for a delivery."""
        if not self._acks or sequence >= self._next:
            return
        if verb.startswith(b"-NAK"):
            self._nak(sequence, verb[len(b"-NAK") :].strip())
        elif verb.startswith(b"+WPI"):
            self._put_off(sequence, self._ack_wait_ns)
        elif verb in (b"", b"+ACK") or verb.startswith(b"+TERM"):
            self._settle(sequence)
            if self._stream.is_work_queue:
                self._stream.remove(sequence)
            self._pump()

    def delete(self) -> None:
        """It goes: whoever waits is told."""
        waiting = [request.inbox for request in self._waiting]
        self.suspend()
        for inbox in waiting:
            self._say(inbox, "409", "Consumer Deleted")

    def suspend(self) -> None:
        """Timers and open requests end."""
        for request in self._waiting:
            request.stop_timer()
        self._waiting.clear()
        for timer in (self._due_timer, self._idle_timer):
            if timer is not None:
                timer.cancel()
        self._due_timer = self._idle_timer = None

    def resume(self) -> None:
        """After a restart: what was delivered and not acked comes again when its time is up."""
        self.ledger.restart()
        self._arm_due()
        self._asked_at_ns = self._server.clock.now_ns()
        self._watch_idleness()

    def _pump(self) -> None:
        """Deliver while somebody waits and something is there."""
        while (request := self._next_waiting()) is not None:
            sequence = self._next_message()
            if sequence is None:
                return
            self._deliver(request, sequence)
            if request.left == 0:
                self._waiting.remove(request)
                request.stop_timer()
                if request.bytes_left < math.inf:
                    self._say(request.inbox, "409", "Batch Completed")
            else:
                self._waiting.rotate(-1)

    def _next_waiting(self) -> Request | None:
        while self._waiting:
            request = self._waiting[0]
            is_heard = self._server.is_heard(request.inbox)
            if is_heard and self._upcoming_bytes() <= request.bytes_left:
                return request
            self._waiting.popleft().stop_timer()
            if is_heard:
                self._say(request.inbox, "409", "Message Size Exceeds MaxBytes")
        return None

    def _upcoming_bytes(self) -> int:
        """Of what is delivered next, but for what comes again: who counts bytes does not ack."""
        return self._stream.messages[next(iter(self.upcoming))].size if self.upcoming else 0

    def _drop_deaf(self) -> None:
        for request in [one for one in self._waiting if not self._server.is_heard(one.inbox)]:
            self._waiting.remove(request)
            request.stop_timer()

    def _next_message(self) -> int | None:
        """What to deliver now; None: nothing, and requests that don't wait are told."""
        if (again := self.ledger.next_again(self._stream.messages)) is not None:
            return again
        if self._un_acked_max and len(self.ledger.out) >= self._un_acked_max:
            return None
        if self.upcoming:
            sequence, _ = self.upcoming.popitem(last=False)
            self._next = max(self._next, sequence + 1)
            return sequence
        for request in [one for one in self._waiting if one.no_wait and one.delivered]:
            self._waiting.remove(request)
            request.stop_timer()
            self._say(request.inbox, "404", "No Messages")
        return None

    def _deliver(self, request: Request, sequence: int) -> None:
        stored = self._stream.messages[sequence]
        count, self._count = self._count, self._count + 1
        if self._acks:
            self.ledger.delivered(sequence, count, self._server.clock.now_ns() + self._ack_wait_ns)
            self._arm_due()
        else:
            self.ledger.floor = count, sequence
        times = self.ledger.repeats.get(sequence, 0) + 1
        reply = (
            f"$JS.ACK.{self._stream.name}.{self.name}.{times}.{sequence}.{count}.{stored.at_ns}.{len(self.upcoming)}"
        )
        request.left -= 1
        request.bytes_left -= stored.size
        request.delivered += 1
        self._server.deliver(request.inbox, stored.data, reply, stored.headers or None, subject=stored.subject)

    def _expired(self, request: Request) -> None:
        request.timer = None
        if request in self._waiting:
            self._waiting.remove(request)
            self._say(request.inbox, "408", "Request Timeout", **{"Nats-Pending-Messages": str(request.left)})

    def _say(self, inbox: str, status: str, description: str, **more: str) -> None:
        self._server.deliver(inbox, b"", "", {"Status": status, "Description": description, **more})

    def _nak(self, sequence: int, options: bytes) -> None:
        if sequence not in self.ledger.out:
            return
        delay_ns = int(json.loads(options).get("delay", 0)) if options else 0
        if delay_ns > 0:
            self._put_off(sequence, delay_ns)
        elif sequence not in self.ledger.again:
            self.ledger.again.append(sequence)
            self._pump()

    def _put_off(self, sequence: int, wait_ns: int) -> None:
        """Count from now until the message comes again."""
        self.ledger.put_off(sequence, self._server.clock.now_ns() + wait_ns)
        self._arm_due()

    def _arm_due(self) -> None:
        due_ns = self.ledger.next_due_ns()
        if self._due_timer is not None:
            self._due_timer.cancel()
        self._due_timer = self._server.call_at(due_ns, self._come_again) if due_ns is not None else None

    def _come_again(self) -> None:
        self._due_timer = None
        self.ledger.call_back(self._server.clock.now_ns())
        self._arm_due()
        self._pump()

    def _settle(self, sequence: int) -> None:
        """A delivery is acked, or its message is gone."""
        if self.ledger.settle(sequence, self._count - 1, self._next - 1, self._server.clock.now_ns()):
            self._arm_due()

    def _watch_idleness(self) -> None:
        after_ns = self.config.get("inactive_threshold") or (0 if self.is_durable else EPHEMERAL_NS)
        if after_ns:
            self._idle_timer = self._server.call_at(self._asked_at_ns + after_ns, self._look_idle)

    def _look_idle(self) -> None:
        self._idle_timer = None
        now = self._server.clock.now_ns()
        self._drop_deaf()
        if self._waiting:
            self._asked_at_ns = now
        after_ns = self.config.get("inactive_threshold") or EPHEMERAL_NS
        if now - self._asked_at_ns >= after_ns:
            self._stream.consumers.pop(self.name, None)
            self.delete()
        else:
            self._watch_idleness()
