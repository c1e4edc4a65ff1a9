"""Changes that a read model is told of, and what it shows then."""

from datetime import UTC, datetime, timedelta

from gateway.readmodel.changes import Change, Ended, RowCame
from gateway.readmodel.cursors import Sort
from gateway.readmodel.paging import Listing
from gateway.readmodel.store import Store
from schemas import codec
from schemas.event import Completed, Failed
from schemas.filter import TaskFilter
from schemas.lifecycle import Desired, State
from schemas.request import Request
from schemas.task import StoredRow, TaskRow

BEGIN = datetime(2026, 11, 1, tzinfo=UTC)


def name_of(index: int) -> str:
    return f"{index * 0x9E3779B97F4A7C15 % (1 << 64):016x}"


def request(index: int) -> Request:
    return Request(
        uris=(f"https://host{index % 3}.example.org/Files/file-{index}.iso",),
        tags=("gpu", f"t{index % 7}"),
        labels={"job": f"j{index % 5}"},
        priority=index % 3,
    )


def row(index: int, sequence: int = 0, **more: object) -> RowCame:
    given = {
        "task": name_of(index),
        "owner": f"o{index % 2}",
        "source": "s",
        "request": request(index),
        "state": State.QUEUED,
        "place": "queued",
        "submitted": BEGIN + timedelta(seconds=index),
    } | more
    return RowCame(StoredRow(sequence or index + 1, TaskRow(**given), BEGIN.timestamp()))  # type: ignore[arg-type]


def completed(index: int, sequence: int = 0, *, after_s: float | None = None) -> Ended:
    asked = request(index)
    event = Completed(
        task=name_of(index),
        owner=f"o{index % 2}",
        time=BEGIN + timedelta(seconds=index if after_s is None else after_s),
        name=f"file-{index}.iso",
        labels=asked.labels,
        request=asked,
        node=f"n{index % 4}",
        path=f"file-{index}.iso",
        bytes=index * 10,
        digest="",
        seconds=1.0,
    )
    return Ended(codec.encode(event), sequence or index + 1)


def failed(index: int) -> Ended:
    event = Failed(task=name_of(index), owner="o0", time=BEGIN, reason="Der Server SCHLIEẞT: Straße gesperrt")
    return Ended(codec.encode(event), index + 1)


def pages(store: Store, where: TaskFilter, sort: Sort = Sort.NEWEST, limit: int = 7) -> list[str]:
    """Every task that a listing shows, page after page."""
    found: list[str] = []
    after = ""
    while True:
        page = Listing(store, where, sort, after).page(limit)
        found += [view.task for view in page.tasks]
        if not (after := page.after):
            return found


def mixed() -> list[Change]:
    changes: list[Change] = [row(index) for index in range(60)]
    changes += [row(index, 100 + index, state=State.ASSIGNED, place=f"n{index % 4}") for index in range(10)]
    changes += [row(index, 100 + index, desired=Desired.PAUSE) for index in range(10, 15)]
    return changes + [completed(index, after_s=1000 + index) for index in range(30, 60)]
