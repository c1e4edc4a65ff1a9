"""What events say of a task, and the one that tells how it ended, made of its row. Pure."""

from datetime import datetime
from typing import Any

from coordinator import moves
from schemas.event import QUEUE_LIMIT, Cancelled, Failed, Finished, Rejected
from schemas.lifecycle import Outcome
from schemas.redact import told_of
from schemas.task import TaskRow


def said_of(row: TaskRow, time: datetime) -> dict[str, Any]:
    """What every event says of its task."""
    return {
        "task": row.task,
        "owner": row.owner,
        "time": time,
        "attempt": row.attempt,
        "name": row.request.title if row.request else "",
        "labels": row.request.labels if row.request else {},
    }


def outcome_event(row: TaskRow, about: dict[str, Any]) -> Finished:
    """Of a row that is ending; `about` is what every event says of its task."""
    about = about | {"source": row.source, "retry_of": row.retry_of} | told_of(row.request)
    if row.outcome is Outcome.FAILED:
        about |= {"history": row.history, "history_cut": moves.cut(row), "mirrors": row.mirrors}
        return Failed(**about, reason=row.reason, code=row.code)
    if row.outcome is Outcome.CANCELLED:
        return Cancelled(**about, reason=row.reason)
    submitted = row.submitted if row.code == QUEUE_LIMIT else None
    return Rejected(**about, reason=row.reason, where=row.code, submitted=submitted)
