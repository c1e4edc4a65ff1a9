"""Every subject, stream, bucket and header name, built in one place.

Writers publish under `downloads.write.…`, which nobody may subscribe to; the streams store and republish
what they accepted under the public name. Reading a public name therefore never shows a refused write.
"""

from base64 import urlsafe_b64encode
from typing import NamedTuple

from schemas.ids import DEFAULT_OWNER

ROOT = "downloads"

REQUESTS_STREAM = "REQUESTS"
TASKS_STREAM = "TASKS"
EVENTS_STREAM = "EVENTS"
BUCKET = "downdraft"
BUCKET_STREAM = f"KV_{BUCKET}"
PAYLOADS = "payloads"
PAYLOADS_STREAM = f"OBJ_{PAYLOADS}"
"""The object store of torrents and metalinks that are too large for a request."""

REQUESTS = f"{ROOT}.requests"
REQUESTS_ALL = f"{ROOT}.requests.*"
TASKS_WRITE_ALL = f"{ROOT}.write.tasks.*.*"
TASKS_ALL = f"{ROOT}.tasks.*.*"
TASKS_TREE = f"{ROOT}.tasks.>"
EVENTS_WRITE_ALL = f"{ROOT}.write.events.>"
EVENTS_ALL = f"{ROOT}.events.>"
PROGRESS_ALL = f"{ROOT}.progress.>"
HEARTBEATS_ALL = f"{ROOT}.heartbeats.>"
NODE_VERBS_ALL = f"{ROOT}.nodes.*.*"
OUTCOMES_ALL = f"{ROOT}.events.*.finished.*.*"

FACTS = (
    f"{ROOT}.events.*.attempt_failed.*",
    f"{ROOT}.events.*.released.*",
    f"{ROOT}.events.*.finished.completed.*",
)
"""What nodes report and the coordinator must act on."""

SEQUENCE = "Nats-Sequence"
LAST_SEQUENCE = "Nats-Last-Sequence"
EXPECTED_SEQUENCE = "Nats-Expected-Last-Subject-Sequence"
EXPECTED_SUBJECT = "Nats-Expected-Last-Subject-Sequence-Subject"
MESSAGE_ID = "Nats-Msg-Id"
TTL = "Nats-TTL"


def requests(owner: str) -> str:
    return REQUESTS if owner == DEFAULT_OWNER else f"{REQUESTS}.{owner}"


def owner_of(subject: str) -> str:
    """The owner a request subject speaks for."""
    return subject[len(REQUESTS) + 1 :] or DEFAULT_OWNER


def task_write(place: str, task: str) -> str:
    return f"{ROOT}.write.tasks.{place}.{task}"


def task(place: str, task: str) -> str:
    return f"{ROOT}.tasks.{place}.{task}"


def task_anywhere(task: str) -> str:
    """All rows of one task, whatever their place: the subject a CAS write must name."""
    return f"{ROOT}.tasks.*.{task}"


def node_tasks(node: str) -> str:
    return f"{ROOT}.tasks.{node}.*"


class TaskSubject(NamedTuple):
    place: str
    task: str


def parse_task(subject: str) -> TaskSubject:
    """Split a public task subject. Raises ValueError for any other subject."""
    root, kind, place, task = subject.split(".")
    if (root, kind) != (ROOT, "tasks"):
        raise ValueError(f"not a task subject: {subject}")
    return TaskSubject(place, task)


def task_in(subject: str) -> str:
    """The task of a public task subject, which must be one: of a million at once this is checked by the filter."""
    return subject[subject.rindex(".") + 1 :]


def event_write(task: str, kind: str, writer: str) -> str:
    """`kind` is an event type, `finished.<outcome>` included."""
    return f"{ROOT}.write.events.{task}.{kind}.{writer}"


def event(task: str, kind: str, writer: str) -> str:
    """Where everyone reads what was written at `event_write`."""
    return f"{ROOT}.events.{task}.{kind}.{writer}"


def task_events(task: str) -> str:
    return f"{ROOT}.events.{task}.>"


def events_of(task: str, kind: str) -> str:
    """Events of one kind, `finished.<outcome>` included; `*` for any task."""
    return f"{ROOT}.events.{task}.{kind}.*"


def outcome_of(task: str) -> str:
    """All outcomes of one task: the broker allows one message in it."""
    return f"{ROOT}.events.{task}.finished.>"


def outcomes_all(outcome: str) -> str:
    """This outcome of every task."""
    return f"{ROOT}.events.*.finished.{outcome}.*"


def own_completion(task: str, node: str) -> str:
    return f"{ROOT}.events.{task}.finished.completed.{node}"


class EventSubject(NamedTuple):
    task: str
    kind: str
    writer: str


def parse_event(subject: str) -> EventSubject:
    """Split a public event subject. Raises ValueError for any other subject."""
    root, events, task, *kind, writer = subject.split(".")
    if (root, events) != (ROOT, "events") or not kind:
        raise ValueError(f"not an event subject: {subject}")
    return EventSubject(task, ".".join(kind), writer)


def task_of_event(subject: str) -> str:
    """The task of a public event subject, which must be one: of a million at once this is checked by the filter."""
    return subject.split(".", 3)[2]


def progress(task: str, node: str) -> str:
    return f"{ROOT}.progress.{task}.{node}"


def task_progress(task: str) -> str:
    return f"{ROOT}.progress.{task}.*"


def heartbeat(node: str) -> str:
    return f"{ROOT}.heartbeats.{node}"


def control(caller: str, verb: str) -> str:
    return f"{ROOT}.control.{caller}.{verb}"


def node_verb(node: str, verb: str) -> str:
    """Where a node is asked about its finished files."""
    return f"{ROOT}.nodes.{node}.{verb}"


FILE_SERVICE = "downdraft-files"
"""The service that each node runs, as `nats micro ls` lists it."""

LEADER_KEY = "leader"
POLICY_KEY = "policy"
PLACING_KEY = "placing"
"""What the next leader must know of the last one's placing."""


def node_settings_key(node: str) -> str:
    """What an operator decided about a node at run time."""
    return f"nodes.{node}"


def node_share_key(node: str) -> str:
    """A node's share of the cluster's bandwidth."""
    return f"shares.{node}"


def node_lock_key(node: str) -> str:
    return f"nodelocks.{node}"


WEBHOOKS_KEYS = "webhooks.*"
"""Where events are to be sent; each under an id of its own."""


def webhook_key(webhook_id: str) -> str:
    return f"webhooks.{webhook_id}"


def webhook_state_key(webhook_id: str) -> str:
    """How far its deliveries are."""
    return f"webhookstates.{webhook_id}"


WEBHOOK_LEASE_KEY = "webhooklease"
"""Held by the gateway that delivers."""


def api_key_key(key_id: str) -> str:
    """What is known of an API key of the gateway."""
    return f"keys.{key_id}"


def bucket_key(key: str) -> str:
    """The subject on which a key of the bucket is written."""
    return f"$KV.{BUCKET}.{key}"


def key_of(subject: str) -> str:
    """The key that is written on a subject of the bucket."""
    return subject.removeprefix(bucket_key(""))


def bucket_news(key: str) -> str:
    """Where everyone who may know of a key hears what the bucket stored under it."""
    return f"{ROOT}.bucket.{key}"


def payload_chunks(nuid: str) -> str:
    """Where the parts of an object are written."""
    return f"$O.{PAYLOADS}.C.{nuid}"


def payload_meta(name: str) -> str:
    """Where an object is described; `*` for any."""
    return f"$O.{PAYLOADS}.M." + (name if name == "*" else urlsafe_b64encode(name.encode()).decode())


def key_of_news(subject: str) -> str:
    return subject.removeprefix(bucket_news(""))
