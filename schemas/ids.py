"""Task ids: 16 lower-case hex digits, which are the aria2 GID too.

An id is a hash of *who asked* and *what the producer called it*, so that every redelivery and every repeat
of one request finds the same task, and no owner can reach another's.
"""

import hashlib
import re
from typing import NewType

TaskId = NewType("TaskId", str)

TASK_ID = re.compile(r"(?!0{16})[0-9a-f]{16}\Z")
"""All zeros is no id: aria2 does not accept it, and it stands for no task in the table."""
NODE_ID = re.compile(r"[a-z0-9-]{1,63}\Z")
WRITER = re.compile(r"[A-Za-z0-9_-]{1,63}\Z")
"""The name of a coordinator: the last part of the subjects of what it writes."""
OWNER = re.compile(r"[a-z0-9_-]{1,63}\Z")

DEFAULT_OWNER = "default"
ADMIN_CALLER = "admin"
QUEUED = "queued"
"""The place of a task that no node holds; therefore not a node id."""

_NO_GID = "0" * 16  # aria2 does not accept it


def source_of(producer_id: str | None, message_id: str | None, sequence: int, stored_ns: int) -> str:
    """What identifies a request within its owner: the producer's own id, else where the inbox stored it.

    `sequence` and `stored_ns` (store time, nanoseconds since 1970) come from the ack subject and are the same
    for each redelivery; the time makes them differ after a stream was created anew and counts from 1 again.
    """
    if producer_id:
        return f"id:{producer_id}"
    if message_id:
        if message_id.isprintable():
            return f"id:{message_id}"
        raw = message_id.encode(errors="surrogateescape")  # a header need not be UTF-8, a row must
        return f"raw:{hashlib.sha256(raw).hexdigest()}"
    return f"seq:{sequence}@{stored_ns}"


def task_id(owner: str, source: str, salt: int = 0) -> TaskId:
    """The id of the task that `owner` asked for under `source`; raise `salt` when that hex is another's."""
    while True:
        digest = hashlib.sha256(f"{owner}\0{source}\0{salt}".encode()).hexdigest()[:16]
        if digest != _NO_GID:
            return TaskId(digest)
        salt += 1


def rejected_task_id(owner: str, source: str, body: bytes) -> TaskId:
    """The id of a request that was refused: it includes the body, so that a corrected one is no repeat of it."""
    return task_id(owner, f"rejected:{source}:{hashlib.sha256(body).hexdigest()}")


def is_node_id(text: str) -> bool:
    return bool(NODE_ID.match(text)) and text != QUEUED


def is_owner(text: str) -> bool:
    return bool(OWNER.match(text)) and text != ADMIN_CALLER
