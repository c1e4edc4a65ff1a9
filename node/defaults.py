"""Which aria2 options hold for a task: what its request says, else its node, else its cluster. Pure."""

from collections.abc import Mapping

from msgspec.structs import replace

from schemas.options import DOWNLOAD_LIMIT, OF_TORRENTS, UPLOAD_LIMIT, Value
from schemas.payload import Kind
from schemas.request import Request
from schemas.task import TaskRow

SPLITTING = frozenset({"split", "max-connection-per-server", "min-split-size", "piece-length"})
"""Of large files. In a request they make its file one, however small it is; as defaults they leave the lanes alone."""


def with_defaults(row: TaskRow, own: Mapping[str, Value]) -> TaskRow:
    """The row with every option that holds in its request, but for those of SPLITTING; `defaults`: all that hold."""
    if row.request is None or not (own or row.defaults):
        return row
    is_torrent = row.request.payload is Kind.TORRENT
    defaults = {
        name: str(value) for name, value in {**row.defaults, **own}.items() if is_torrent or name not in OF_TORRENTS
    }
    told = {name: value for name, value in defaults.items() if name not in SPLITTING}
    request = replace(row.request, options={**told, **row.request.options})
    return replace(row, request=request, defaults=defaults)


def asked_of(row: TaskRow) -> Request | None:
    """The request without what node and cluster added to it, for others to read: they may try it again elsewhere.

    What it says itself in the very words of a default is left out, too; but for SPLITTING, which are never added.
    """
    request = row.request
    if request is None or not row.defaults:
        return request
    added = row.defaults.items() - {(name, row.defaults[name]) for name in SPLITTING & row.defaults.keys()}
    own = {name: value for name, value in request.options.items() if (name, value) not in added}
    return replace(request, options=own)


def limits_of(row: TaskRow) -> dict[str, str]:
    """Its limits, as options of aria2: 0 for none."""
    options = row.request.options if row.request else {}
    names = (DOWNLOAD_LIMIT, UPLOAD_LIMIT) if row.request and row.request.payload is Kind.TORRENT else (DOWNLOAD_LIMIT,)
    return {name: str(options.get(name, 0)) for name in names}
