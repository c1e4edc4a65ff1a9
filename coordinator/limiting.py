"""The verb `limit`: how fast a task may be, from now on, also while it runs. Its row says so, and its node follows.

Other options of its request change with it: a node reads them when it begins, or goes on after a pause.
"""

from functools import partial

from coordinator import moves
from coordinator.listing import Reaches
from coordinator.steering import Steering, left_alone
from coordinator.term import Term
from schemas.checking import meaningless
from schemas.control import ErrorReply, SetLimits, Steered, SteerReply
from schemas.errors import RequestInvalid
from schemas.lifecycle import State
from schemas.options import DOWNLOAD_LIMIT, UPLOAD_LIMIT, check_options, limit_of
from schemas.payload import Kind
from schemas.sizes import format_size
from schemas.task import StoredRow, TaskRow


async def limit(steering: Steering, asked: SetLimits, reaches: Reaches) -> SteerReply | ErrorReply:
    """Carry it out."""
    if asked.download is None and asked.upload is None and not asked.options:
        return ErrorReply("say a limit: download, upload or both; 0 for none")
    try:
        check_options(asked.options)
    except RequestInvalid as error:
        return ErrorReply(str(error))
    return await steering.each(asked, reaches, partial(_carry_out, asked=asked))


async def _carry_out(term: Term, top: StoredRow, *, asked: SetLimits) -> Steered | None:
    """One task, judged on its true row. None: the row changed under it, look again."""
    row = top.row
    if row.state is State.ENDING or row.request is None:
        return left_alone(row.task, "it is ending already")
    limits = {DOWNLOAD_LIMIT: asked.download, UPLOAD_LIMIT: asked.upload}
    if asked.upload is not None and row.request.payload is not Kind.TORRENT:
        if asked.where is None or (asked.download is None and not asked.options):
            return left_alone(row.task, f"a {row.request.payload} sends nothing: it has no limit for that")
        del limits[UPLOAD_LIMIT]  # of many, each gets what means something for it
    strange = meaningless(row.request.payload)
    asked_for = {name: value for name, value in check_options(asked.options).items() if name not in strange}
    asked_for |= {name: str(value) for name, value in limits.items() if value is not None}
    change = moves.with_options(row, asked_for, waited_s=term.connection.clock.now() - top.stored_at)
    if change is not None and await term.cas(change, top.sequence) is None:
        return None
    return Steered(row.task, True, _said(change or row))


def _said(row: TaskRow) -> str:
    options = row.request.options if row.request else {}
    told = [
        f"{way} at {format_size(limit)}/s" if limit else f"{way} without a limit of its own"
        for way, name in (("downloads", DOWNLOAD_LIMIT), ("uploads", UPLOAD_LIMIT))
        if (limit := limit_of(options, name)) is not None
    ]
    return ", ".join(told)
