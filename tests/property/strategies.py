"""What hypothesis draws: names, requests, events and JSON as the wire may carry them."""

from datetime import UTC, datetime

import msgspec
from hypothesis import strategies as st

from schemas import event as ev
from schemas.event import Event
from schemas.ids import NODE_ID, OWNER, is_node_id, is_owner
from schemas.lifecycle import Desired
from schemas.request import Request
from schemas.task import AttemptRecord, FailureClass, Mirror

task_ids = st.from_regex(r"[0-9a-f]{16}\Z", fullmatch=True)
owners = st.from_regex(OWNER, fullmatch=True).filter(is_owner)
node_ids = st.from_regex(NODE_ID, fullmatch=True).filter(is_node_id)
words = st.text(max_size=12)
lines = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=12)
sizes = st.integers(0, 1 << 62)
seconds = st.floats(0, 1e9)
moments = st.datetimes(datetime(1990, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))
attempts = st.integers(1, 1000)
failures = st.sampled_from(FailureClass)
desires = st.sampled_from(Desired)

scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20)
)
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4), max_leaves=8
)

records = st.builds(
    AttemptRecord, attempt=attempts, node=node_ids, reason=words, failure=st.none() | failures, code=words
)
requests = st.builds(
    Request,
    uris=st.lists(st.builds("https://{}.example/f".format, node_ids), min_size=1, max_size=3).map(tuple),
    priority=st.integers(-10, 10),
    name=st.none() | words,
    headers=st.dictionaries(st.sampled_from(["Accept", "Authorization"]), lines, max_size=1),
    max_attempts=st.none() | st.integers(1, 100),
)

_fields = {
    "task": task_ids,
    "owner": owners,
    "time": moments,
    "attempt": attempts,
    "name": words,
    "labels": st.dictionaries(words, words, max_size=2),
    "uris": st.lists(words, max_size=2).map(tuple),
    "tags": st.lists(words, max_size=2).map(tuple),
    "priority": st.integers(-10, 10),
    "size": st.none() | sizes,
    "node": node_ids,
    "why": words,
    "lane": st.sampled_from(["small", "large"]),
    "failure": failures,
    "reason": words,
    "code": words,
    "retry_after_s": st.none() | seconds,
    "origin": st.just("") | words,
    "next_in_s": seconds,
    "counted": st.booleans(),
    "desired": desires,
    "source": words,
    "retry_of": st.just("") | task_ids,
    "request": st.none() | requests,
    "path": words,
    "bytes": sizes,
    "digest": words,
    "seconds": seconds,
    "history": st.lists(records, max_size=3).map(tuple),
    "history_cut": st.integers(0, 1000),
    "where": words,
    "submitted": st.none() | moments,
    "position": st.none() | st.integers(0, 1_000_000),
    "files": st.lists(st.builds(ev.StoredFile, words, sizes, words), max_size=3).map(tuple),
    "files_cut": st.integers(0, 1000),
    "mirrors": st.lists(st.builds(Mirror, words, st.none() | sizes, words), max_size=3).map(tuple),
}
"""A strategy for each name an event's field may have: a new field without one fails loudly."""

EVENT_TYPES: tuple[type[Event], ...] = (
    ev.Queued,
    ev.Assigned,
    ev.Started,
    ev.AttemptFailed,
    ev.Retrying,
    ev.Released,
    ev.Paused,
    ev.Resumed,
    ev.Prioritised,
    ev.Dismissed,
    *ev.OUTCOME_EVENTS.values(),
)


def events(kind: type[Event]) -> st.SearchStrategy[Event]:
    """Events of one type, with every field drawn."""
    return st.builds(kind, **{field.name: _fields[field.name] for field in msgspec.structs.fields(kind)})


any_event = st.one_of(*(events(kind) for kind in EVENT_TYPES))
