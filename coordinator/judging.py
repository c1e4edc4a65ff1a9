"""What nodes report of attempts, put before `Conduct`, which sets aside those that fail what others finish.

Nothing of this is stored: a new leader starts afresh, and needs a few failed attempts to see the same again.
"""

from collections.abc import Sequence

import anyio
import structlog

from coordinator.term import Term
from schemas.event import AttemptFailed, Completed
from schemas.redact import origin_of
from schemas.request import Request

log = structlog.get_logger()

STALE_S = 60.0
"""A report that was so long on its way says nothing of now: at takeover they come all at once."""


def note_completed(term: Term, fact: Completed) -> None:
    """A node finished a task; it may be the one that shows that the node is well again."""
    at = fact.time.timestamp()
    if not _counts(term, fact.node, at):
        return
    uris = fact.request.uris if fact.request is not None else fact.uris
    if term.conduct.completed(fact.node, fact.task, _origin(uris), at):
        log.info("node is well again", node=fact.node)
        term.desk.set_aside(fact.node, 0.0, "")


def note_failed(term: Term, fact: AttemptFailed, request: Request | None) -> None:
    """An attempt failed; it may be the one by which its node is set aside."""
    at = fact.time.timestamp()
    if not _counts(term, fact.node, at):
        return
    decision = term.conduct.failed(
        fact.node,
        fact.task,
        _origin(request.uris if request is not None else ()),
        at,
        failure=fact.failure,
        code=fact.code,
        reason=fact.reason,
        online=lambda: _online(term),
    )
    if decision is not None:
        log.warning("node is set aside", node=decision.node, for_s=round(decision.until - at), why=decision.why)
        term.desk.set_aside(*decision)


def _counts(term: Term, node: str, at: float) -> bool:
    return term.fleet.get(node) is not None and term.connection.clock.now() - at < STALE_S


def _online(term: Term) -> int:
    now, lost_after_s = anyio.current_time(), term.settings.node_lost_after_s
    return sum(term.fleet.is_online(seen.heartbeat.node, now, lost_after_s) for seen in term.fleet)


def _origin(uris: Sequence[str]) -> str:
    """Of the first address; a node's report may hold anything."""
    try:
        return origin_of(uris[0]) if uris else ""
    except ValueError:
        return ""
