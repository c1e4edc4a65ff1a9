"""Figures for Prometheus: of the whole cluster as this gateway knows it, and of this gateway's own requests."""

from collections import Counter as Counts
from collections.abc import Iterable
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from broker.health import Stream
from gateway.readmodel.model import ReadModel
from schemas import subjects as s
from schemas.event import AnyEvent, Assigned, AttemptFailed, Event, Failed, Finished, Retrying
from schemas.heartbeat import Heartbeat
from schemas.lifecycle import State

LATENCY_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
HUNDRED = 100


class Requests:
    """HTTP requests of this gateway: how many, and how soon they were answered."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._latency = Histogram(
            "downdraft_http_request_seconds",
            "Until the answer began, by route and kind of status.",
            ("method", "route", "status"),
            buckets=LATENCY_BUCKETS_S,
            registry=registry,
        )

    def ended(self, method: str, route: str, status: int, seconds: float) -> None:
        """A request was answered; `route` as it is declared, so that there are not more of them than routes."""
        self._latency.labels(method, route, f"{status // HUNDRED}xx").observe(seconds)


class Happenings:
    """What the log told since this gateway started: the same for each replica, so one of them is enough."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._placements = Counter("downdraft_placements", "Tasks given to a node.", registry=registry)
        self._outcomes = Counter(
            "downdraft_outcomes", "Tasks that ended.", ("outcome", "failure_class"), registry=registry
        )
        self._failures = Counter(
            "downdraft_attempts_failed", "Attempts that failed, by class.", ("failure_class",), registry=registry
        )
        self._retries = Counter(
            "downdraft_retries", "Tasks that went back to the queue.", ("counted",), registry=registry
        )
        self._lag = Gauge(
            "downdraft_event_lag_seconds", "How old the latest event was when it was heard.", registry=registry
        )

    def heard(self, event: AnyEvent, now: datetime) -> None:
        """An event was stored; `now` by the broker's clock."""
        self._lag.set(max(0.0, (now - event.time).total_seconds()))
        match event:
            case Assigned():
                self._placements.inc()
            case AttemptFailed():
                self._failures.labels(event.failure).inc()
            case Retrying():
                self._retries.labels("yes" if event.counted else "no").inc()
            case Finished():
                self._outcomes.labels(event.kind.removeprefix("finished."), class_of(event)).inc()


def class_of(event: Event) -> str:
    """Of a failed task: how its last attempt failed."""
    failures = [past.failure for past in event.history if past.failure is not None] if isinstance(event, Failed) else []
    return str(failures[-1]) if failures else ""


class Standing(Collector):
    """How the cluster stands, told once for each scrape."""

    def __init__(self) -> None:
        self._gauges: list[GaugeMetricFamily] = []

    def tell(self, gauges: Iterable[GaugeMetricFamily]) -> None:
        """Replace what the next scrape sees."""
        self._gauges = list(gauges)

    def collect(self) -> Iterable[GaugeMetricFamily]:
        return self._gauges


class Metrics:
    """Everything that `/metrics` shows."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = Requests(self.registry)
        self.happenings = Happenings(self.registry)
        self.standing = Standing()
        self.registry.register(self.standing)

    def __repr__(self) -> str:
        return "<Metrics>"


def gauge(name: str, says: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"downdraft_{name}", says, labels=labels)


async def of_tasks(model: ReadModel) -> list[GaugeMetricFamily]:
    """From the read model: how many tasks are in each state, and what waits."""
    states = gauge("tasks", "Tasks by state, the finished ones as far as they are kept.", "state")
    counts: Counts[State] = Counts()
    for (_, state), count in (await model.counts()).items():
        counts[state] += count
    for state in State:
        states.add_metric((str(state),), counts[state])
    depth = gauge("queue_depth", "Queued tasks by priority.", "priority")
    oldest = gauge(
        "queue_oldest_seconds", "How long ago the oldest queued task was submitted, by priority.", "priority"
    )
    now = datetime.now(UTC)
    for priority, waiting in sorted((await model.waiting()).items()):
        depth.add_metric((str(priority),), waiting.count)
        oldest.add_metric((str(priority),), max(0.0, (now - waiting.oldest).total_seconds()))
    ready = gauge("gateway_ready", "1 once this gateway has read everything that is stored.")
    ready.add_metric((), model.is_ready)
    return [states, depth, oldest, ready]


def of_nodes(beats: Iterable[Heartbeat]) -> list[GaugeMetricFamily]:
    """From what each node said last. One that left is not told any more."""
    told = {
        "node_slots": gauge("node_slots", "Downloads that a node runs at once.", "node"),
        "node_running": gauge("node_running", "Downloads that run.", "node"),
        "node_waiting": gauge("node_waiting", "Tasks that wait at a node for a slot.", "node"),
        "node_bytes_per_second": gauge("node_bytes_per_second", "What a node downloads.", "node"),
        "node_disk_free_bytes": gauge("node_disk_free_bytes", "Free on its download disk.", "node"),
        "node_disk_promised_bytes": gauge("node_disk_promised_bytes", "What its tasks will still take.", "node"),
        "node_memory_bytes": gauge("node_memory_bytes", "Memory of the node and its aria2c.", "node"),
        "node_in_trouble": gauge("node_in_trouble", "1 while something keeps it from taking tasks.", "node"),
    }
    for beat in beats:
        if beat.leaving:
            continue
        values = (
            *(beat.slots, beat.running, beat.waiting, beat.bytes_per_s),
            *(beat.disk_free_bytes, beat.disk_promised_bytes, beat.memory_bytes, bool(beat.trouble)),
        )
        for family, value in zip(told.values(), values, strict=True):
            family.add_metric((beat.node,), value)
    return list(told.values())


def of_reading(streams: Iterable[Stream], read_to: int) -> list[GaugeMetricFamily]:
    """How far this gateway's reading of the log lags behind what is stored."""
    unread = gauge("event_log_unread", "Events that are stored and that this gateway has not heard yet.")
    for stream in streams:
        if stream.name == s.EVENTS_STREAM:
            unread.add_metric((), max(0, stream.last_sequence - read_to))
    return [unread]


def of_streams(streams: Iterable[Stream]) -> list[GaugeMetricFamily]:
    """How full the streams are. The messages of REQUESTS are the lag of the cluster: requests nobody claimed yet."""
    messages = gauge("stream_messages", "Messages of a stream.", "stream")
    used = gauge("stream_bytes", "Bytes of a stream.", "stream")
    room = gauge("stream_headroom_bytes", "Bytes that a stream still takes; none where it has no limit.", "stream")
    oldest = gauge("stream_oldest_seconds", "Age of the first message.", "stream")
    for stream in streams:
        messages.add_metric((stream.name,), stream.messages)
        used.add_metric((stream.name,), stream.used_bytes)
        oldest.add_metric((stream.name,), stream.oldest_age_s)
        if stream.max_bytes > 0:
            room.add_metric((stream.name,), max(0, stream.max_bytes - stream.used_bytes))
    return [messages, used, room, oldest]
