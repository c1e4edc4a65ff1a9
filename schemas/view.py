"""A task as people see it, live or ended: no secrets."""

from datetime import UTC, datetime

from msgspec import Struct
from msgspec.structs import replace

from schemas.event import Cancelled, Completed, Failed, Finished, Rejected, StoredFile
from schemas.lifecycle import Desired, State
from schemas.options import DOWNLOAD_LIMIT, UPLOAD_LIMIT, limit_of
from schemas.redact import redact_uri
from schemas.request import Request, Resources
from schemas.sizes import format_size
from schemas.task import AttemptRecord, Mirror, TaskRow, order_of


class TaskView(Struct, frozen=True, kw_only=True):
    task: str
    owner: str
    state: State
    name: str = ""
    uris: tuple[str, ...] = ()
    """Without users, passwords and secret query values."""
    node: str = ""
    attempt: int = 1
    """Rises with each node it is given to."""
    failures: int = 0
    """Attempts that failed; the others were moved at no fault of the task."""
    desired: Desired = Desired.RUN
    phase: str = ""
    """What its node does with it just now."""
    tags: tuple[str, ...] = ()
    avoid_tags: tuple[str, ...] = ()
    prefer_tags: tuple[str, ...] = ()
    resources: Resources | None = None
    not_before: datetime | None = None
    deadline: datetime | None = None
    labels: dict[str, str] = {}
    download_limit: int | None = None
    """Bytes a second that its request lets it receive, 0 for any; None: it does not say."""
    upload_limit: int | None = None
    priority: int = 0
    order: int = 0
    """Of the queued tasks of one owner and priority the lowest goes first: up to 19 digits. 0 once it has ended."""
    reason: str = ""
    submitted: datetime | None = None
    """When the inbox stored its request; None once it has ended."""
    due_in_s: float = 0.0
    """How long until it may be placed: back-off, or not_before."""
    retry_of: str = ""
    dir: str = ""
    """The folder below its node's download folder that its request names."""
    path: str = ""
    """Relative to its node's download folder: the file, or the folder where `files` lie."""
    bytes: int = 0
    digest: str = ""
    seconds: float = 0.0
    finished: datetime | None = None
    history: tuple[AttemptRecord, ...] = ()
    files: tuple[StoredFile, ...] = ()
    """Where a task brought several: the first of them."""
    files_cut: int = 0
    """So many more are not told."""
    mirrors: tuple[Mirror, ...] = ()
    """Where there were several addresses."""


def view_of(row: TaskRow, state: State, *, phase: str = "", due_in_s: float = 0.0, in_full: bool = True) -> TaskView:
    """A task that has not ended. `state` and `phase`: with what its node said of it last, where it said anything.

    To take its addresses apart costs four times all the rest: unless `in_full`, name and addresses stay empty.
    """
    request = row.request
    view = TaskView(
        task=row.task,
        owner=row.owner,
        state=state,
        name=request.title if request and in_full else "",
        uris=tuple(redact_uri(uri) for uri in request.uris) if request and in_full else (),
        node="" if row.state is State.QUEUED else row.place,
        attempt=row.attempt,
        failures=row.failures,
        desired=Desired.PAUSE if row.wish_elsewhere is Desired.PAUSE else row.desired,
        phase=phase,
        labels=request.labels if request else {},
        order=order_of(row),
        reason=row.reason,
        submitted=row.submitted,
        due_in_s=due_in_s,
        retry_of=row.retry_of,
        history=row.history,
    )
    return asked(view, request)


def asked(view: TaskView, request: Request | None) -> TaskView:
    """With what the request asks for."""
    if request is None:
        return view
    return replace(
        view,
        priority=request.priority,
        tags=request.tags,
        avoid_tags=request.avoid_tags,
        prefer_tags=request.prefer_tags,
        resources=request.resources,
        not_before=request.not_before,
        deadline=request.deadline,
        download_limit=limit_of(request.options, DOWNLOAD_LIMIT),
        upload_limit=limit_of(request.options, UPLOAD_LIMIT),
        dir=request.dir or "",
    )


def ended(event: Finished) -> TaskView:
    """A task that has ended, from its outcome event."""
    request = event.request
    view = TaskView(
        task=event.task,
        owner=event.owner,
        state=State(event.kind.removeprefix("finished.")),
        name=event.name,
        uris=tuple(redact_uri(uri) for uri in request.uris) if request else event.uris,
        tags=request.tags if request else event.tags,
        attempt=event.attempt,
        labels=event.labels,
        retry_of=event.retry_of,
        finished=event.time,
    )
    view = asked(view, request)
    match event:
        case Completed():
            return replace(
                view,
                node=event.node,
                path=event.path,
                bytes=event.bytes,
                digest=event.digest,
                seconds=event.seconds,
                files=event.files,
                files_cut=event.files_cut,
                mirrors=event.mirrors,
            )
        case Failed():
            counted = sum(past.failure is not None for past in event.history)
            return replace(view, reason=event.reason, history=event.history, failures=counted, mirrors=event.mirrors)
        case Cancelled() | Rejected():
            return replace(view, reason=event.reason)
        case _:  # pragma: no cover - there are four outcomes
            raise AssertionError(event.kind)


def needs(view: TaskView) -> list[str]:
    """What it takes of its node: `10 GiB of disk`."""
    asked = view.resources or Resources()
    disk = f"{format_size(asked.disk_bytes)} of disk" if asked.disk_bytes else ""
    return [*filter(None, (disk, f"{format_size(asked.bytes_per_s)}/s of bandwidth" if asked.bytes_per_s else ""))]


def limits(view: TaskView) -> list[str]:
    """How fast it may be, as its request says: `downloads at 2 MiB/s`."""
    return [
        f"{way} at {format_size(limit)}/s" if limit else f"{way} without a limit of its own"
        for way, limit in (("downloads", view.download_limit), ("uploads", view.upload_limit))
        if limit is not None
    ]


def asks_for(view: TaskView) -> list[str]:
    """What its request asks for, beside the file: each a few words."""
    return [
        *(f"tag {tag}" for tag in view.tags),
        *(f"not {tag}" for tag in view.avoid_tags),
        *(f"rather {tag}" for tag in view.prefer_tags),
        *needs(view),
        *([f"start from {_utc(view.not_before)}"] if view.not_before else []),
        *([f"end by {_utc(view.deadline)}"] if view.deadline else []),
    ]


def _utc(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
