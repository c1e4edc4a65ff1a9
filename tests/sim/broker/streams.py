"""One stream: what is stored, on which conditions, and when it goes again."""

import heapq
from collections import OrderedDict
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.sim.broker.clock import NS, written
from tests.sim.broker.conditions import Refusal, check, ttl_s
from tests.sim.broker.consumers import Consumer
from tests.sim.broker.frames import Headers
from tests.sim.broker.matching import SubjectIndex, matches, transformed

if TYPE_CHECKING:
    import asyncio

    from tests.sim.broker.server import SimServer

MESSAGE_ID = "Nats-Msg-Id"
RECORD_BYTES = 30
"""What the file store adds to each message; a message with headers takes HEADERS_BYTES more."""
HEADERS_BYTES = 4
MEMORY_RECORD_BYTES = 16
TOO_LARGE = partial(Refusal, 400, 10054, "message size exceeds maximum allowed")
FULL = partial(Refusal, 503, 10077, "maximum bytes exceeded")

DEFAULTS: dict[str, Any] = {
    "retention": "limits",
    "max_consumers": -1,
    "max_msgs": -1,
    "max_bytes": -1,
    "max_age": 0,
    "max_msgs_per_subject": -1,
    "max_msg_size": -1,
    "discard": "old",
    "storage": "file",
    "num_replicas": 1,
    "duplicate_window": 120 * NS,
    "compression": "none",
    "allow_direct": False,
    "deny_delete": False,
    "deny_purge": False,
    "allow_rollup_hdrs": False,
    "allow_msg_ttl": False,
}


class Stored(NamedTuple):
    sequence: int
    subject: str
    data: bytes
    headers: dict[str, str]
    at_ns: int
    size: int


def encoded(headers: Headers) -> bytes:
    """Headers as they are stored, counted and returned by MSG.GET."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"NATS/1.0\r\n{lines}\r\n".encode()


class Stream:
    """Messages by sequence, and the consumers that read them."""

    def __init__(self, server: "SimServer", config: dict[str, Any]) -> None:
        self._server = server
        self.config = DEFAULTS | config
        self.created_ns = server.clock.now_ns()
        self.messages: OrderedDict[int, Stored] = OrderedDict()
        self.last_sequence = 0
        self.last_ns = 0
        self.bytes = 0
        self.consumers: dict[str, Consumer] = {}
        self._by_subject: dict[str, list[int]] = {}
        self._index = SubjectIndex()
        self._replaced: dict[str, list[Stored]] = {}
        """By subject, what newer messages took the place of: nothing on the disk says that it is gone."""
        self._ids: dict[str, tuple[int, int]] = {}
        """Message ids of the duplicate window: the sequence, and when it was stored."""
        self._expiring: list[tuple[int, int]] = []
        self._timer: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<Stream {self.name}: {len(self.messages)} of {self.last_sequence}, {len(self.consumers)} consumers>"

    @property
    def name(self) -> str:
        return str(self.config["name"])

    @property
    def is_work_queue(self) -> bool:
        return bool(self.config["retention"] == "workqueue")

    @property
    def first_sequence(self) -> int:
        """Of the first message that is there; the one to come where there is none."""
        return next(iter(self.messages), self.last_sequence + 1)

    def takes(self, subject: str) -> bool:
        """Whether a publish to this subject is meant for it."""
        return any(matches(pattern, subject) for pattern in self.config["subjects"])

    def store(self, subject: str, data: bytes, headers: Headers) -> tuple[int, bool]:
        """Store a message: its sequence, and whether it is a duplicate of the one that has it. Raises Refusal."""
        if transform := self.config.get("subject_transform"):
            subject = transformed(transform["src"], transform["dest"], subject) or subject
        stored = self._sized(subject, data, dict(headers))
        lives_s = ttl_s(headers, allowed=self.config["allow_msg_ttl"])
        check(self, subject, headers)
        if (found := self._known_id(headers)) is not None:
            return found, True
        before = self.last_of_subject(subject)
        self._make_room(stored)
        self._add(stored)
        self._expire_later(stored, lives_s)
        if message_id := headers.get(MESSAGE_ID):
            self._ids[message_id] = stored.sequence, stored.at_ns
        self._republish(stored, before)
        for consumer in tuple(self.consumers.values()):
            consumer.stored(stored)
        return stored.sequence, False

    def last_of_subject(self, subject: str) -> int:
        return self._by_subject[subject][-1] if subject in self._by_subject else 0

    def last_under(self, pattern: str) -> int:
        """The highest sequence under a filter, 0 for none."""
        return max((self._by_subject[subject][-1] for subject in self._index.under(pattern)), default=0)

    def next_under(self, pattern: str, start: int) -> int:
        """The first sequence from `start` on under a filter, 0 for none."""
        found = (
            sequence
            for subject in self._index.under(pattern)
            for sequence in self._by_subject[subject]
            if sequence >= start
        )
        return min(found, default=0)

    def sequences_under(self, patterns: tuple[str, ...]) -> list[int]:
        """All sequences under any of the filters, ascending; no filter: all."""
        if not patterns:
            return list(self.messages)
        subjects = {subject: None for pattern in patterns for subject in self._index.under(pattern)}
        return sorted(sequence for subject in subjects for sequence in self._by_subject[subject])

    def subjects(self) -> Iterator[tuple[str, int]]:
        """Each stored subject with its count of messages."""
        return ((subject, len(sequences)) for subject, sequences in self._by_subject.items())

    def remove(self, sequence: int) -> bool:
        """Delete a message; False where there is none."""
        stored = self.messages.pop(sequence, None)
        if stored is None:
            return False
        self.bytes -= stored.size
        left = self._by_subject[stored.subject]
        left.remove(sequence)
        if not left:
            del self._by_subject[stored.subject]
            self._index.discard(stored.subject)
        if not self.messages:
            self._replaced.clear()  # a block without messages goes, with all that it has
        for consumer in tuple(self.consumers.values()):
            consumer.removed(sequence)
        return True

    def purge(self) -> int:
        """Delete everything; how many there were."""
        gone = list(self.messages)
        for sequence in gone:
            self.remove(sequence)
        return len(gone)

    def state(self) -> dict[str, Any]:
        """As STREAM.INFO tells it."""
        first = next(iter(self.messages.values()), None)
        interior = self.last_sequence + 1 - self.first_sequence - len(self.messages)
        return {
            "messages": len(self.messages),
            "bytes": self.bytes,
            "first_seq": self.first_sequence if self.last_sequence else 0,
            "first_ts": written(first.at_ns if first else 0),
            "last_seq": self.last_sequence,
            "last_ts": written(self.last_ns),
            **({"num_subjects": len(self._index)} if self._index else {}),
            **({"num_deleted": interior} if interior else {}),
            "consumer_count": len(self.consumers),
        }

    def suspend(self, acks_since_ns: int | None = None) -> None:
        """The server died: timers stop, and what lives in memory is gone; so are acks since that moment, if given."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for name, consumer in tuple(self.consumers.items()):
            consumer.suspend()
            if acks_since_ns is not None:
                consumer.ledger.forget_acks(acks_since_ns, self.messages)
            if consumer.is_in_memory:
                del self.consumers[name]

    def resume(self) -> None:
        """The server started again."""
        self._bring_back()
        kept = {stored.headers.get(MESSAGE_ID) for stored in self.messages.values()}
        self._ids = {message_id: known for message_id, known in self._ids.items() if message_id in kept}
        self._expire()
        for consumer in self.consumers.values():
            consumer.resume()

    def _known_id(self, headers: Headers) -> int | None:
        """The sequence of the message that has this one's id already."""
        window_ns = self.config["duplicate_window"]
        since = self._server.clock.now_ns() - window_ns
        while self._ids and next(iter(self._ids.values()))[1] < since:
            del self._ids[next(iter(self._ids))]
        known = self._ids.get(headers.get(MESSAGE_ID, ""))
        return known[0] if known else None

    def _sized(self, subject: str, data: bytes, headers: dict[str, str]) -> Stored:
        head = encoded(headers) if headers else b""
        if 0 <= self.config["max_msg_size"] < len(head) + len(data):
            raise TOO_LARGE()
        if self.config["storage"] == "memory":
            size = MEMORY_RECORD_BYTES + len(subject) + len(head) + len(data)
        else:
            size = RECORD_BYTES + len(subject) + (HEADERS_BYTES + len(head) if head else 0) + len(data)
        return Stored(self.last_sequence + 1, subject, data, headers, self._server.clock.now_ns(), size)

    def _make_room(self, stored: Stored) -> None:
        """Refuse where the stream is full, or delete the oldest, as its discard policy says. Raises Refusal.

        A full stream still takes what is no larger than the message it replaces.
        """
        limit = self.config["max_bytes"]
        if limit < 0 or self.bytes + stored.size <= limit:
            return
        if self.config["discard"] == "new":
            same = self._by_subject.get(stored.subject, [])
            replaces = len(same) == self.config["max_msgs_per_subject"]
            if not replaces or stored.size > self.messages[same[0]].size:
                raise FULL()
            return
        while self.messages and self.bytes + stored.size > limit:
            self.remove(self.first_sequence)

    def _add(self, stored: Stored) -> None:
        self.last_sequence, self.last_ns = stored.sequence, stored.at_ns
        self.messages[stored.sequence] = stored
        self.bytes += stored.size
        self._by_subject.setdefault(stored.subject, []).append(stored.sequence)
        self._index.add(stored.subject)
        most = self.config["max_msgs_per_subject"]
        while 0 < most < len(self._by_subject[stored.subject]):
            replaced = self.messages[self._by_subject[stored.subject][0]]
            self.remove(replaced.sequence)
            self._replaced.setdefault(stored.subject, []).append(replaced)

    def _bring_back(self) -> None:
        """A server that was killed reads its blocks: of a subject whose message was deleted, the one that it had
        replaced stands again, if its time has not run out.
        """
        for subject, replaced in tuple(self._replaced.items()):
            if subject not in self._by_subject:
                self._stand_again(replaced.pop())
        self._replaced = {subject: replaced for subject, replaced in self._replaced.items() if replaced}
        self.messages = OrderedDict(sorted(self.messages.items()))

    def _stand_again(self, stored: Stored) -> None:
        self.messages[stored.sequence] = stored
        self.bytes += stored.size
        self._by_subject[stored.subject] = [stored.sequence]
        self._index.add(stored.subject)
        self._expire_later(stored, ttl_s(stored.headers, allowed=self.config["allow_msg_ttl"]))

    def _republish(self, stored: Stored, before: int) -> None:
        republish = self.config.get("republish")
        if republish is None or not matches(republish["src"], stored.subject):
            return
        headers = stored.headers | {
            "Nats-Stream": self.name,
            "Nats-Subject": stored.subject,
            "Nats-Sequence": str(stored.sequence),
            "Nats-Time-Stamp": written(stored.at_ns),
            "Nats-Last-Sequence": str(before),
        }
        to = transformed(republish["src"], republish["dest"], stored.subject) or stored.subject
        self._server.deliver(to, stored.data, "", headers)

    def _expire_later(self, stored: Stored, lives_s: int) -> None:
        ends = [stored.at_ns + lives_s * NS] if lives_s else []
        if self.config["max_age"]:
            ends.append(stored.at_ns + self.config["max_age"])
        if ends:
            heapq.heappush(self._expiring, (min(ends), stored.sequence))
            if self._expiring[0][1] == stored.sequence:
                self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        expire: Callable[[], None] = self._expire
        self._timer = self._server.call_at(self._expiring[0][0], expire) if self._expiring else None

    def _expire(self) -> None:
        now = self._server.clock.now_ns()
        while self._expiring and (self._expiring[0][0] <= now or self._expiring[0][1] not in self.messages):
            self.remove(heapq.heappop(self._expiring)[1])
        self._arm()
