"""JetStream's side of the server: which publish is a call, an ack or a write, and what is answered."""

import json
from typing import TYPE_CHECKING, NamedTuple

from tests.sim.broker.api import Api
from tests.sim.broker.clock import NS
from tests.sim.broker.conditions import Refusal
from tests.sim.broker.consumers import Consumer
from tests.sim.broker.frames import Headers
from tests.sim.broker.streams import Stream

if TYPE_CHECKING:
    from tests.sim.broker.server import SimServer

API = "$JS.API."
ACK = "$JS.ACK."
NO_ANSWER = 0
UNKNOWN = {
    10164: Refusal(400, 10164, "wrong last sequence: pending"),
    10158: Refusal(503, 10158, "no reply received from stream leader"),
    10008: Refusal(503, 10008, "JetStream system temporarily unavailable"),
}


class Write(NamedTuple):
    """A publish that a stream is about to take."""

    stream: str
    subject: str
    data: bytes
    headers: Headers


class Trouble(NamedTuple):
    """What goes wrong with a write."""

    is_stored: bool
    """Carried out all the same, conditions checked; else it never happened."""
    answer: int = NO_ANSWER
    """The code answered in place of the truth: 10164, 10158 or 10008."""
    after_s: float = 0.0
    """Carried out so much later than it was answered."""


class JetStream:
    """The streams of the one account."""

    def __init__(self, server: "SimServer") -> None:
        self._server = server
        self.streams: dict[str, Stream] = {}
        self._api = Api(server, self.streams)

    def __repr__(self) -> str:
        return f"<JetStream {list(self.streams.values())}>"

    def take(self, subject: str, data: bytes, reply: str, headers: Headers | None) -> bool:
        """Whether a publish is anything to JetStream; carry it out."""
        if subject.startswith(API):
            return self._api.call(subject[len(API) :], data, reply)
        if subject.startswith(ACK):
            return self._ack(subject, data, reply)
        for stream in tuple(self.streams.values()):
            if stream.takes(subject):
                self._write(stream, Write(stream.name, subject, data, headers or {}), reply)
                return True
        return False

    def crash(self, acks_since_ns: int | None) -> None:
        for name, stream in tuple(self.streams.items()):
            stream.suspend(acks_since_ns)
            if stream.config["storage"] == "memory":
                del self.streams[name]

    def start(self) -> None:
        for stream in self.streams.values():
            stream.resume()

    def _write(self, stream: Stream, write: Write, reply: str) -> None:
        trouble = self._server.before_answer(write)
        if trouble is None:
            self._answer(reply, _carried_out(stream, write))
            return
        if trouble.is_stored and trouble.after_s:
            at_ns = self._server.clock.now_ns() + round(trouble.after_s * NS)
            self._server.call_at(at_ns, lambda: self._carry_out_late(stream, write))
        elif trouble.is_stored:
            _carried_out(stream, write)
        if trouble.answer != NO_ANSWER:
            self._answer(reply, _refused(stream, UNKNOWN[trouble.answer]))

    def _carry_out_late(self, stream: Stream, write: Write) -> None:
        if self._server.is_up and self.streams.get(stream.name) is stream:
            _carried_out(stream, write)

    def _answer(self, reply: str, answer: dict[str, object]) -> None:
        if reply:
            self._server.deliver(reply, json.dumps(answer).encode())

    def _ack(self, subject: str, verb: bytes, reply: str) -> bool:
        """`$JS.ACK.<stream>.<consumer>.<delivered>.<sequence>.<…>`."""
        parts = subject.split(".")
        stream = self.streams.get(parts[2])
        consumer = stream.consumers.get(parts[3]) if stream else None
        if consumer is None or len(parts) < 9:
            return False
        if delay_s := self._server.ack_delay_s():
            at_ns = self._server.clock.now_ns() + round(delay_s * NS)
            self._server.call_at(at_ns, lambda: self._take_ack(consumer, int(parts[5]), verb, reply))
        else:
            self._take_ack(consumer, int(parts[5]), verb, reply)
        return True

    def _take_ack(self, consumer: Consumer, sequence: int, verb: bytes, reply: str) -> None:
        if not self._server.is_up or not consumer.exists:
            return
        consumer.answer(sequence, verb)
        if reply:
            self._server.deliver(reply, b"")


def _carried_out(stream: Stream, write: Write) -> dict[str, object]:
    """Store it: the answer to its publisher."""
    try:
        sequence, is_duplicate = stream.store(write.subject, write.data, write.headers)
    except Refusal as refusal:
        return _refused(stream, refusal)
    return {"stream": stream.name, "seq": sequence} | ({"duplicate": True} if is_duplicate else {})


def _refused(stream: Stream, refusal: Refusal) -> dict[str, object]:
    return {"error": refusal.body(), "stream": stream.name, "seq": 0}
