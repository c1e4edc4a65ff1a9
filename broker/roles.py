"""Who may do what: one table of permission templates, signed into the account.

`{{name()}}` is the connecting user's own name (a node's id, an owner), filled in by the server.
Each role has an inbox prefix of its own, so that nobody reads another's replies.
"""

from enum import StrEnum
from typing import NamedTuple

from schemas import subjects as s


class Role(StrEnum):
    PRODUCER = "producer"
    VIEWER = "viewer"
    NODE = "node"
    COORDINATOR = "coordinator"
    GATEWAY = "gateway"
    OPERATOR = "operator"
    """People at the command line: submit for any owner, watch, and ask the coordinator as `admin`."""
    ADMIN = "admin"


class Permissions(NamedTuple):
    publish: tuple[str, ...]
    subscribe: tuple[str, ...]
    answers: bool = False
    """May reply once to each request it receives."""


NAME = "{{name()}}"
API = "$JS.API"


INBOXES = "_INBOX.>"


def inbox(role: Role, name: str) -> str:
    return f"_INBOX.{role}.{name}"


def across(permissions: Permissions, domain: str) -> Permissions:
    """The same rights at a leaf node, whose server asks the JetStream of `domain` in place of its own."""
    api = f"$JS.{domain}.API"
    publish = list(permissions.publish)
    for subject in permissions.publish:
        if subject.startswith(f"{API}."):
            publish.append(api + subject.removeprefix(API))
        elif subject.startswith(("$KV.", "$O.")):
            publish.append(f"{api}.{subject}")
    return permissions._replace(publish=tuple(publish))


def _own_inbox(role: Role) -> str:
    return f"{inbox(role, NAME)}.>"


def _consumer(verb: str, stream: str, name: str, filtered: str = "") -> str:
    return f"{API}.CONSUMER.{verb}.{stream}.{name}" + (f".{filtered}" if filtered else "")


def _value(key: str) -> str:
    """Reading one key of the bucket, from whichever replica."""
    return f"{API}.DIRECT.GET.{s.BUCKET_STREAM}.{s.bucket_key(key)}"


WATCH = (s.EVENTS_ALL, s.PROGRESS_ALL, s.HEARTBEATS_ALL)

NODE_EVENTS = ("started", "attempt_failed", "released", "paused", "resumed", "finished.completed")
"""By name: a node that could write any type could write `finished` and so end tasks that are not its own."""

_OWN_SERVICE = ("", f".{s.FILE_SERVICE}", f".{s.FILE_SERVICE}.*")
"""How a service is discovered. No wildcard in place of the verb: `$SRV.*` would let a node hear all of `$SRV.>`."""

_NODE = Permissions(
    publish=(
        *(s.event_write("*", kind, NAME) for kind in NODE_EVENTS),
        s.progress("*", NAME),
        s.heartbeat(NAME),
        s.bucket_key(s.node_lock_key(NAME)),
        *(_value(key(NAME)) for key in (s.node_lock_key, s.node_settings_key, s.node_share_key)),
        f"{API}.STREAM.MSG.GET.{s.PAYLOADS_STREAM}",
        _consumer("CREATE", s.TASKS_STREAM, NAME, s.node_tasks(NAME)),
        _consumer("DELETE", s.TASKS_STREAM, NAME),
        _consumer("MSG.NEXT", s.TASKS_STREAM, NAME),
    ),
    subscribe=(
        s.node_tasks(NAME),
        s.node_verb(NAME, "*"),
        *(s.bucket_news(key(NAME)) for key in (s.node_settings_key, s.node_share_key)),
        *(f"$SRV.{verb}{its}" for verb in ("PING", "INFO", "STATS") for its in _OWN_SERVICE),
        _own_inbox(Role.NODE),
    ),
    answers=True,
)

DECIDED_KEYS = (s.POLICY_KEY, s.PLACING_KEY, s.node_settings_key("*"), s.node_share_key("*"))
"""What whoever leads writes into the bucket, and follows. Operators ask the coordinator for it."""

_STREAMS = (s.REQUESTS_STREAM, s.TASKS_STREAM, s.EVENTS_STREAM, s.BUCKET_STREAM, s.PAYLOADS_STREAM)

_COORDINATOR = Permissions(
    publish=(
        s.TASKS_WRITE_ALL,
        s.EVENTS_WRITE_ALL,
        s.TASKS_ALL,  # hints only: an empty body with the superseding sequence
        *(s.bucket_key(key) for key in (s.LEADER_KEY, *DECIDED_KEYS)),
        *(f"{API}.STREAM.{verb}.{stream}" for stream in _STREAMS for verb in ("CREATE", "INFO", "MSG.GET")),
        f"{API}.STREAM.MSG.DELETE.{s.TASKS_STREAM}",
        *(f"{API}.CONSUMER.NAMES.{stream}" for stream in _STREAMS[:3]),
        *(_consumer("CREATE", stream, ">") for stream in _STREAMS[:3]),
        *(_consumer(verb, stream, "*") for verb in ("DELETE", "INFO", "MSG.NEXT") for stream in _STREAMS[:3]),
        *(f"$JS.ACK.{stream}.>" for stream in _STREAMS[:3]),
    ),
    subscribe=(
        f"{s.ROOT}.control.*.*",
        s.HEARTBEATS_ALL,
        s.EVENTS_ALL,
        *map(s.bucket_news, DECIDED_KEYS),
        "$SRV.>",  # services are discovered by it
        _own_inbox(Role.COORDINATOR),
    ),
    answers=True,
)


PUTS_PAYLOADS = (s.payload_chunks("*"), s.payload_meta("*"))
"""Whoever submits may store what a request is too small for. Only nodes read it."""


def _reads_log() -> tuple[str, ...]:
    return (
        f"{API}.CONSUMER.CREATE.{s.EVENTS_STREAM}.>",
        f"{API}.CONSUMER.DELETE.{s.EVENTS_STREAM}.*",
        f"{API}.CONSUMER.MSG.NEXT.{s.EVENTS_STREAM}.*",
    )


def _reads_table() -> tuple[str, ...]:
    return (
        f"{API}.CONSUMER.CREATE.{s.TASKS_STREAM}.>",
        f"{API}.CONSUMER.DELETE.{s.TASKS_STREAM}.*",
        f"{API}.CONSUMER.MSG.NEXT.{s.TASKS_STREAM}.*",
    )


def _reads_bucket() -> tuple[str, ...]:
    return (f"{API}.STREAM.MSG.GET.{s.BUCKET_STREAM}",)


def _looks_at_streams() -> tuple[str, ...]:
    """How full they are, how they are configured, and who leads; nothing of what is in them."""
    return (
        f"{API}.INFO",
        *(f"{API}.STREAM.INFO.{stream}" for stream in _STREAMS),
        _value(s.LEADER_KEY),
    )


PERMISSIONS: dict[Role, Permissions] = {
    Role.PRODUCER: Permissions(
        publish=(s.requests(NAME), s.control(NAME, "*"), *PUTS_PAYLOADS),
        subscribe=(_own_inbox(Role.PRODUCER),),
    ),
    Role.VIEWER: Permissions(publish=(), subscribe=WATCH),
    Role.NODE: _NODE,
    Role.COORDINATOR: _COORDINATOR,
    Role.GATEWAY: Permissions(
        publish=(
            s.REQUESTS,
            s.REQUESTS_ALL,
            f"{s.ROOT}.control.*.*",
            s.NODE_VERBS_ALL,
            s.event_write("*", "dismissed", NAME),
            s.bucket_key(s.api_key_key("*")),
            *(s.bucket_key(key) for key in (s.WEBHOOKS_KEYS, s.webhook_state_key("*"), s.WEBHOOK_LEASE_KEY)),
            *_reads_log(),
            *_reads_table(),
            *_reads_bucket(),
            *_looks_at_streams(),
            *PUTS_PAYLOADS,
        ),
        subscribe=(*WATCH, *map(s.bucket_news, (s.api_key_key("*"), s.WEBHOOKS_KEYS)), _own_inbox(Role.GATEWAY)),
    ),
    Role.OPERATOR: Permissions(
        publish=(
            s.REQUESTS,
            s.REQUESTS_ALL,
            s.control("admin", "*"),
            s.NODE_VERBS_ALL,
            s.bucket_key(s.api_key_key("*")),
            *PUTS_PAYLOADS,
            *_reads_log(),
            *_reads_bucket(),
            *_looks_at_streams(),
        ),
        subscribe=(*WATCH, _own_inbox(Role.OPERATOR)),
    ),
    Role.ADMIN: Permissions(publish=(">",), subscribe=(">",)),
}

LEAF_PUBLISHES = (s.EVENTS_WRITE_ALL, s.PROGRESS_ALL, s.HEARTBEATS_ALL, INBOXES)
"""What a site's server may bring beside what its nodes may: a subject crosses only where all that somebody hears by
one subscription is allowed. Its nodes still have their own rights and no others, for it knows those too."""

DEFAULT_PRODUCER = Permissions(
    publish=(s.REQUESTS, *PERMISSIONS[Role.PRODUCER].publish), subscribe=PERMISSIONS[Role.PRODUCER].subscribe
)
"""The owner `default` may use the bare subject too, which speaks for it."""
