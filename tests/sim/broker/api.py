"""The calls of `$JS.API` that Downdraft makes, answered as nats-server does."""

import base64
import json
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from tests.sim.broker.clock import written
from tests.sim.broker.conditions import Refusal
from tests.sim.broker.consumers import ACK_WAIT_NS, EPHEMERAL_NS, MAX_ACK_PENDING, MAX_WAITING, Consumer
from tests.sim.broker.matching import overlap
from tests.sim.broker.streams import DEFAULTS, Stored, Stream, encoded

if TYPE_CHECKING:
    from tests.sim.broker.server import SimServer

LEADER = "sim"
BAD_REQUEST = partial(Refusal, 400, 10003, "bad request")
NO_FILTER = partial(
    Refusal, 400, 10094, "consumer delivery policy is deliver last per subject, but optional filter subject is not set"
)
NO_CONSUMER = partial(Refusal, 404, 10014, "consumer not found")
NO_MESSAGE = partial(Refusal, 404, 10037, "no message found")
NO_STREAM = partial(Refusal, 404, 10059, "stream not found")

Body = dict[str, Any]
Work = Callable[[list[str], Body], Body]


class Api:
    """Answers one server's calls."""

    def __init__(self, server: "SimServer", streams: dict[str, Stream]) -> None:
        self._server = server
        self._streams = streams
        self._calls: dict[str, Work] = {
            "INFO": self._account,
            "STREAM.CREATE": self._create_stream,
            "STREAM.UPDATE": self._update_stream,
            "STREAM.DELETE": self._delete_stream,
            "STREAM.INFO": self._stream_info,
            "STREAM.NAMES": self._stream_names,
            "STREAM.PURGE": self._purge,
            "STREAM.MSG.GET": self._message,
            "STREAM.MSG.DELETE": self._delete_message,
            "CONSUMER.CREATE": self._create_consumer,
            "CONSUMER.DELETE": self._delete_consumer,
            "CONSUMER.INFO": self._consumer_info,
            "CONSUMER.NAMES": self._consumer_names,
        }

    def call(self, subject: str, data: bytes, reply: str) -> bool:
        """Carry out a call, given its subject below `$JS.API.`; False where nobody listens for it."""
        parts = subject.split(".")
        if parts[:3] == ["CONSUMER", "MSG", "NEXT"]:
            return self._next(parts[3:], data, reply)
        if parts[:2] == ["DIRECT", "GET"]:
            return self._direct(parts[2:], data, reply)
        for length in (3, 2, 1):
            if (work := self._calls.get(".".join(parts[:length]))) is not None and reply:
                self._server.deliver(reply, json.dumps(_answered(work, parts[length:], data)).encode())
                break
        return True

    def _stream(self, name: str) -> Stream:
        if name not in self._streams:
            raise NO_STREAM()
        return self._streams[name]

    def _consumer(self, args: list[str]) -> Consumer:
        consumer = self._stream(args[0]).consumers.get(args[1])
        if consumer is None:
            raise NO_CONSUMER()
        return consumer

    def _account(self, _args: list[str], _body: Body) -> Body:
        return {
            "memory": 0,
            "storage": sum(stream.bytes for stream in self._streams.values()),
            "streams": len(self._streams),
            "consumers": sum(len(stream.consumers) for stream in self._streams.values()),
            "limits": {"max_memory": -1, "max_storage": -1, "max_streams": -1, "max_consumers": -1},
        }

    def _create_stream(self, args: list[str], body: Body) -> Body:
        standing = self._streams.get(args[0])
        if standing is None:
            self._streams[args[0]] = Stream(self._server, body)
        elif standing.config != DEFAULTS | body:
            raise Refusal(400, 10058, "stream name already in use with a different configuration")
        return self._told(self._streams[args[0]]) | {"did_create": True}

    def _update_stream(self, args: list[str], body: Body) -> Body:
        stream = self._stream(args[0])
        stream.config = DEFAULTS | body
        return self._told(stream)

    def _delete_stream(self, args: list[str], _body: Body) -> Body:
        stream = self._stream(args[0])
        del self._streams[args[0]]
        for consumer in stream.consumers.values():
            consumer.delete()
        stream.suspend()
        return {"success": True}

    def _stream_info(self, args: list[str], body: Body) -> Body:
        stream = self._stream(args[0])
        told = self._told(stream) | {"total": 0, "offset": 0, "limit": 0, "cluster": {"leader": LEADER}}
        if wanted := body.get("subjects_filter"):
            told["state"]["subjects"] = {name: n for name, n in stream.subjects() if overlap(wanted, name)}
        return told

    def _told(self, stream: Stream) -> Body:
        return {
            "config": stream.config,
            "created": written(stream.created_ns),
            "state": stream.state(),
            "ts": written(self._server.clock.now_ns()),
        }

    def _stream_names(self, _args: list[str], _body: Body) -> Body:
        return {"total": len(self._streams), "offset": 0, "limit": 1024, "streams": sorted(self._streams)}

    def _purge(self, args: list[str], _body: Body) -> Body:
        return {"success": True, "purged": self._stream(args[0]).purge()}

    def _message(self, args: list[str], body: Body) -> Body:
        stream = self._stream(args[0])
        stored = _found(stream, body)
        if stored is None:
            raise NO_MESSAGE()
        hdrs = {"hdrs": base64.b64encode(encoded(stored.headers)).decode()} if stored.headers else {}
        data = {"data": base64.b64encode(stored.data).decode()} if stored.data else {}
        told = {"subject": stored.subject, "seq": stored.sequence, "time": written(stored.at_ns)}
        return {"message": told | hdrs | data}

    def _delete_message(self, args: list[str], body: Body) -> Body:
        stream, sequence = self._stream(args[0]), int(body.get("seq", 0))
        if stream.config["deny_delete"]:
            raise Refusal(500, 10057, "message delete not permitted")
        if sequence > stream.last_sequence:
            raise Refusal(500, 10057, "stream store EOF")
        if sequence < stream.first_sequence:
            raise Refusal(500, 10057, "no message found")
        if not stream.remove(sequence):
            raise Refusal(400, 10043, f"sequence {sequence} not found")
        return {"success": True}

    def _create_consumer(self, args: list[str], body: Body) -> Body:
        config: Body = dict(body.get("config") or {})
        if body.get("stream_name") != args[0]:
            raise Refusal(400, 10056, "stream name in subject does not match request")
        stream = self._stream(args[0])
        config["name"] = args[1]
        standing = stream.consumers.get(args[1])
        if standing is not None and standing.config.get("durable_name") == config.get("durable_name"):
            return standing.info()
        _check_consumer(stream, config)
        stream.consumers[args[1]] = Consumer(self._server, stream, _with_defaults(config))
        return stream.consumers[args[1]].info()

    def _delete_consumer(self, args: list[str], _body: Body) -> Body:
        consumer = self._consumer(args)
        del self._stream(args[0]).consumers[args[1]]
        consumer.delete()
        return {"success": True}

    def _consumer_info(self, args: list[str], _body: Body) -> Body:
        return self._consumer(args).info()

    def _consumer_names(self, args: list[str], _body: Body) -> Body:
        names = sorted(self._stream(args[0]).consumers)
        return {"total": len(names), "offset": 0, "limit": 1024, "consumers": names}

    def _next(self, args: list[str], data: bytes, reply: str) -> bool:
        try:
            consumer = self._consumer(args)
        except Refusal:
            return False
        body = json.loads(data) if data else {}
        consumer.ask(
            reply,
            int(body.get("batch", 1)),
            no_wait=bool(body.get("no_wait")),
            expires_ns=int(body.get("expires", 0)),
            max_bytes=int(body.get("max_bytes", 0)),
        )
        return True

    def _direct(self, args: list[str], data: bytes, reply: str) -> bool:
        stream = self._streams.get(args[0])
        if stream is None or not stream.config["allow_direct"]:
            return False
        body = {"last_by_subj": ".".join(args[1:])} if args[1:] else json.loads(data)
        stored = _found(stream, body)
        if stored is None:
            self._server.deliver(reply, b"", "", {"Status": "404", "Description": "Message Not Found"})
            return True
        about = {
            "Nats-Stream": stream.name,
            "Nats-Subject": stored.subject,
            "Nats-Sequence": str(stored.sequence),
            "Nats-Time-Stamp": written(stored.at_ns),
        }
        self._server.deliver(reply, stored.data, "", stored.headers | about)
        return True


def _answered(work: Work, args: list[str], data: bytes) -> Body:
    try:
        return work(args, json.loads(data) if data else {})
    except Refusal as refusal:
        return {"error": refusal.body()}


def _found(stream: Stream, body: Body) -> Stored | None:
    """What MSG.GET and DIRECT.GET ask for. Raises Refusal."""
    if last := body.get("last_by_subj"):
        return stream.messages.get(stream.last_under(last))
    if following := body.get("next_by_subj"):
        return stream.messages.get(stream.next_under(following, int(body.get("seq", 0))))
    if not body.get("seq"):
        raise BAD_REQUEST()
    return stream.messages.get(int(body["seq"]))


def _check_consumer(stream: Stream, config: Body) -> None:
    """What a policy, and a work queue, ask of consumers. Raises Refusal."""
    filters = _filters(config)
    if stream.is_work_queue and config.get("ack_policy", "none") != "explicit":
        raise Refusal(400, 10084, "consumer in pull mode requires explicit ack policy on workqueue stream")
    if config.get("deliver_policy") == "last_per_subject" and not filters:
        raise NO_FILTER()
    if not stream.is_work_queue:
        return
    if config.get("deliver_policy", "all") != "all":
        raise Refusal(400, 10101, "consumer must be deliver all on workqueue stream")
    others = [other.filters for other in stream.consumers.values()]
    if others and not filters:
        raise Refusal(400, 10099, "multiple non-filtered consumers not allowed on workqueue stream")
    if any(overlap(one, two) for other in others for two in other or (">",) for one in filters):
        raise Refusal(400, 10100, "filtered consumer not unique on workqueue stream")


def _filters(config: Body) -> list[str]:
    return config.get("filter_subjects") or ([config["filter_subject"]] if config.get("filter_subject") else [])


def _with_defaults(config: Body) -> Body:
    acks = config.get("ack_policy", "none") == "explicit"
    return {
        "deliver_policy": "all",
        "ack_policy": "none",
        "max_deliver": -1,
        "replay_policy": "instant",
        "max_waiting": MAX_WAITING,
        "num_replicas": 0,
        **({"ack_wait": ACK_WAIT_NS, "max_ack_pending": MAX_ACK_PENDING} if acks else {}),
        **({} if config.get("durable_name") else {"inactive_threshold": EPHEMERAL_NS}),
        **config,
    }
