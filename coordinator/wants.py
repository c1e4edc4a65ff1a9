"""What a row asks of placing. Pure."""

from functools import lru_cache

from coordinator.snapshot import Stand, Task, Wanted
from schemas.payload import Kind
from schemas.redact import origin_of
from schemas.request import Request
from schemas.task import StoredRow, TaskRow, order_of


def task_of(stored: StoredRow) -> Task:
    """A queued row as the planner sees it."""
    row = stored.row
    assert row.request is not None, "a rejected request is never queued"
    request = row.request
    return Task(
        task=row.task,
        owner=row.owner,
        priority=request.priority,
        order=order_of(row),
        sequence=stored.sequence,
        wanted=wanted_of(request),
        size=size_of(row),
        origins=origins_of(request),
        avoid=row.avoid,
    )


def stand_of(row: TaskRow) -> Stand:
    """What a row takes up at its node."""
    request = row.request
    if request is None:
        return Stand(row.place, row.owner, (), 0)
    bandwidth = request.resources.bytes_per_s if request.resources else 0
    return Stand(row.place, row.owner, origins_of(request), bandwidth)


def is_overdue(row: TaskRow, now: float) -> bool:
    """Whether its deadline has passed. `now`: broker time, Unix seconds."""
    return row.request is not None and row.request.deadline is not None and row.request.deadline.timestamp() <= now


def size_of(row: TaskRow) -> int:
    """Bytes its file will take: as asked for, else as a node found out; 0 while unknown."""
    request = row.request
    size = (request.size_bytes if request else None) or row.size
    return max(size, request.resources.disk_bytes) if request and request.resources else size


def wanted_of(request: Request) -> Wanted:
    """What all tasks with such a request want of a node."""
    resources = request.resources
    return _wanted(
        _capability(request),
        request.tags,
        request.avoid_tags,
        request.prefer_tags,
        resources.bytes_per_s if resources else 0,
    )


@lru_cache(maxsize=4096)
def _wanted(
    capability: str, tags: tuple[str, ...], avoid: tuple[str, ...], prefer: tuple[str, ...], bandwidth: int
) -> Wanted:
    return Wanted(capability, frozenset(tags), frozenset(avoid), frozenset(prefer), bandwidth)


def _capability(request: Request) -> str:
    """What a node must be able to do: the protocol, or to follow a torrent or metalink."""
    if (payload := request.payload) is not Kind.FILE:
        return str(payload)
    scheme = request.uris[0].partition(":")[0].lower()
    return "http" if scheme == "https" else scheme


def origins_of(request: Request) -> tuple[str, ...]:
    """The `host:port` of each of its addresses, each once."""
    uris = request.uris
    if len(uris) == 1:
        return _origins(_site(uris[0]))
    return tuple(dict.fromkeys(origin for uri in uris for origin in _origins(_site(uri))))


def _site(uri: str) -> str:
    """An address without what follows its host: the same for many."""
    scheme, _, rest = uri.partition("://")
    for end in "/?#":
        rest = rest.partition(end)[0]
    return f"{scheme}://{rest.rpartition('@')[2]}"


@lru_cache(maxsize=16384)
def _origins(site: str) -> tuple[str, ...]:
    """The one origin of a site, none of an address without a host."""
    origin = origin_of(site)
    return (origin,) if not origin.startswith(":") else ()
