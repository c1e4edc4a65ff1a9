"""The streams and the bucket, declared once; created where missing, reported where they drifted."""

from typing import Any

import anyio
import structlog

from broker.connection import Connection
from broker.errors import STREAM_NOT_FOUND, ApiRefused, Unanswered
from schemas import subjects as s
from schemas.request import REQUEST_BYTES_MAX
from schemas.settings import BrokerSettings

log = structlog.get_logger()

NS = 10**9
DAY_S = 24 * 3600
DUPLICATE_WINDOW_NS = NS // 10
"""The minimum. De-duplication is stream-wide: a longer window would let one owner swallow another's id."""
CONSUMERS_MAX = 100_000
"""The server's default of 1,000 would be one short for each further node."""
ROW_BYTES_MAX = 768 * 1024
"""A request at its limit, with room for the row around it."""

PAYLOADS_BYTES_MAX = 256 << 20
"""Torrents and metalinks together: a thousand of those that don't fit into a request."""
PAYLOADS_AGE_MAX_DAYS = 30
"""As long as the log remembers the tasks that may be tried again."""


def declared(settings: BrokerSettings) -> dict[str, dict[str, Any]]:
    """Each stream's configuration by its name."""
    common: dict[str, Any] = {"storage": settings.storage, "num_replicas": settings.replicas, "allow_direct": True}
    tasks_public = s.task("{{wildcard(1)}}", "{{wildcard(2)}}")
    return {
        s.REQUESTS_STREAM: common
        | {
            "subjects": [s.REQUESTS, s.REQUESTS_ALL],
            "retention": "workqueue",
            "discard": "new",
            "max_bytes": settings.requests_bytes_max,
            "max_msg_size": REQUEST_BYTES_MAX,
            "duplicate_window": DUPLICATE_WINDOW_NS,
        },
        s.TASKS_STREAM: common
        | {
            "subjects": [s.TASKS_WRITE_ALL],
            "subject_transform": {"src": s.TASKS_WRITE_ALL, "dest": tasks_public},
            "republish": {"src": s.TASKS_TREE, "dest": s.TASKS_TREE},
            "retention": "limits",
            "discard": "new",
            "max_msgs_per_subject": 1,
            "max_bytes": settings.tasks_bytes_max,
            "max_msg_size": ROW_BYTES_MAX,
            "max_consumers": CONSUMERS_MAX,
            "duplicate_window": DUPLICATE_WINDOW_NS,
        },
        s.EVENTS_STREAM: common
        | {
            "subjects": [s.EVENTS_WRITE_ALL],
            "subject_transform": {"src": s.EVENTS_WRITE_ALL, "dest": s.EVENTS_ALL},
            "republish": {"src": s.EVENTS_ALL, "dest": s.EVENTS_ALL},
            "retention": "limits",
            "discard": "new",
            "max_bytes": settings.events_bytes_max,
            "max_age": settings.events_age_max_days * DAY_S * NS,
            "max_consumers": CONSUMERS_MAX,
            "duplicate_window": DUPLICATE_WINDOW_NS,
        },
        s.BUCKET_STREAM: common
        | {
            "subjects": [s.bucket_key(">")],
            "republish": {"src": s.bucket_key(">"), "dest": s.bucket_news(">")},
            "retention": "limits",
            "discard": "new",
            "max_msgs_per_subject": 1,
            "max_bytes": 16 << 20,
            "allow_msg_ttl": True,
            "allow_rollup_hdrs": True,
            "deny_delete": True,
            "duplicate_window": DUPLICATE_WINDOW_NS,
        },
        s.PAYLOADS_STREAM: common
        | {
            "subjects": [s.payload_chunks("*"), s.payload_meta("*")],
            "retention": "limits",
            "discard": "new",
            "max_bytes": PAYLOADS_BYTES_MAX,
            "max_age": PAYLOADS_AGE_MAX_DAYS * DAY_S * NS,
            "allow_rollup_hdrs": True,
            "duplicate_window": DUPLICATE_WINDOW_NS,
        },
    }


async def ensure(connection: Connection, settings: BrokerSettings) -> list[str]:
    """Create what is missing and return a sentence for each setting that differs from what was declared.

    Nothing that exists is changed: a stream that somebody tuned is theirs. Safe to call at any time, from
    any number of processes. Raises ApiRefused, StoreFull, Unanswered.
    """
    drift: list[str] = []
    for name, wanted in declared(settings).items():
        try:
            answer = await connection.api(f"STREAM.INFO.{name}")
        except ApiRefused as error:
            if error.code != STREAM_NOT_FOUND:
                raise
            answer = await connection.api(f"STREAM.CREATE.{name}", {"name": name, **wanted})
            log.info("stream created", stream=name, storage=settings.storage, replicas=settings.replicas)
        drift += differences(name, wanted, answer["config"])
    for sentence in drift:
        log.warning("stream differs from what is declared; left as it is", drift=sentence)
    return drift


def differences(name: str, wanted: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """A sentence for each declared field that stands otherwise."""
    return [
        f"{name}.{field} is {found.get(field)!r}, declared {value!r}"
        for field, value in wanted.items()
        if found.get(field, type(value)()) != value
    ]


async def ensure_patiently(connection: Connection, settings: BrokerSettings, *, every_s: float = 0.5) -> list[str]:
    """`ensure`, waiting out a broker that has no leader yet or was lost on the way."""
    while True:
        try:
            return await ensure(connection, settings)
        except Unanswered as error:
            log.warning("the broker is not ready, trying again", problem=str(error))
            await anyio.sleep(every_s)
