"""`/tasks/{id}/file`: what a task brought, from the node where it lies, and its deletion there."""

import time
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import PurePosixPath
from typing import Annotated, Any
from urllib.parse import urlencode

import structlog
from litestar import HttpMethod, Request, Response, delete, post, route
from litestar.datastructures import State
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, HeaderParameter, QueryParameter
from msgspec import Struct

from broker.cluster import Refused
from broker.filedeletion import delete_files
from broker.filestream import FileUnavailable, NodeAway, NodeFile, look, reading
from gateway.access import still_valid
from gateway.aliases import API
from gateway.callers import Caller
from gateway.counting import Counting
from gateway.pouring import Poured, Write
from gateway.problems import ProblemError
from gateway.ranges import Unsatisfiable, Whole, is_known, part_asked
from gateway.service import Gateway
from gateway.tickets import QUERY, VALID_S, ticket_for
from schemas.apikey import Scope
from schemas.ids import TASK_ID
from schemas.lifecycle import FINISHED
from schemas.lifecycle import State as TaskState
from schemas.transfer import Trouble
from schemas.view import TaskView

log = structlog.get_logger()

FILE = "/file"
FILES_MAX = 32
"""Sent at once by one gateway: each holds up to 4 MiB."""
FILES_OF_KEY_MAX = 16
PATH_CHARS_MAX = 4096
NAMED_MAX = 10
"""Files that are named where one has to be chosen."""

STATUSES = {
    Trouble.GONE: HTTPStatus.GONE,
    Trouble.CHANGED: HTTPStatus.CONFLICT,
    Trouble.REFUSED: HTTPStatus.CONFLICT,
    Trouble.INVALID: HTTPStatus.BAD_GATEWAY,
    Trouble.DISK: HTTPStatus.BAD_GATEWAY,
}

Asked = Request[Caller, Any, Any]


class FileDeleted(Struct, frozen=True, kw_only=True):
    """What a task brought is not there any more."""

    task: str
    node: str
    path: str
    said: str
    """A sentence for people."""


class FileLink(Struct, frozen=True, kw_only=True):
    """Where a browser finds a file."""

    url: str
    """Below this gateway's own address. Whoever has it can fetch this one file."""
    name: str
    bytes: int
    until: datetime


async def completed(gateway: Gateway, caller: Caller, task: str) -> TaskView:
    """A task that the caller may see and whose file lies on a node. Raises ProblemError."""
    view = await _view(gateway, task) if TASK_ID.match(task) else None
    if view is None or not caller.sees(view.owner):
        raise ProblemError(HTTPStatus.NOT_FOUND, f"there is no task {task[:64]!r}, or not any more")
    if view.state is TaskState.COMPLETED:
        return view
    if view.state in FINISHED:
        why = f": {view.reason}" if view.reason else ""
        raise ProblemError(HTTPStatus.CONFLICT, f"the task is {view.state}, there is no file{why}")
    where = f" on {view.node}" if view.node else ""
    raise ProblemError(HTTPStatus.CONFLICT, f"the task is {view.state}{where}: there is no whole file yet")


async def _view(gateway: Gateway, task: str) -> TaskView | None:
    """Older tasks than the read model keeps are known to the coordinator, as long as the log goes back."""
    if (view := await gateway.model.get(task)) is not None and view.state is TaskState.COMPLETED:
        return view
    try:
        return (await gateway.client.show(task)).task or view
    except Refused:
        if view is None:
            raise
        return view


def chosen(view: TaskView, path: str | None) -> tuple[NodeFile, Whole]:
    """The file that is meant: the only one, or the one at `path`. Raises ProblemError."""
    size, digest, at = view.bytes, view.digest, view.path
    if view.files:
        one = next((one for one in view.files if path in (one.path, one.path.removeprefix(f"{view.path}/"))), None)
        if one is None:
            names = ", ".join(file.path for file in view.files[:NAMED_MAX])
            said = f"there is no file {path!r} among" if path else "choose one with ?path= of"
            cut = view.files_cut + max(0, len(view.files) - NAMED_MAX)
            status = HTTPStatus.NOT_FOUND if path else HTTPStatus.CONFLICT
            raise ProblemError(status, f"{said} its files: {names}{f' and {cut} more' if cut else ''}", field="path")
        size, digest, at = one.bytes, one.digest, one.path
    elif path not in (None, "", view.path):
        raise ProblemError(HTTPStatus.NOT_FOUND, f"its only file is {view.path!r}", field="path")
    file = NodeFile(view.node, view.task, at, size, view.path if view.files else "")
    return file, Whole(task=view.task, path=at, bytes=size, digest=digest, finished=view.finished)


def unavailable(error: NodeAway | FileUnavailable) -> ProblemError:
    if isinstance(error, FileUnavailable):
        return ProblemError(STATUSES[error.trouble], str(error))
    return ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, str(error), headers={"Retry-After": "10"})


@route(
    "/tasks/{task:str}/file",
    http_method=[HttpMethod.GET, HttpMethod.HEAD],
    opt={"scope": Scope.READ},
    media_type="application/octet-stream",
    responses={
        200: ResponseSpec(bytes, description="The file.", media_type="application/octet-stream"),
        206: ResponseSpec(bytes, description="The part that was asked for.", media_type="application/octet-stream"),
    },
    tags=["files"],
)
async def get_file(
    request: Asked,
    state: State,
    task: FromPath[str],
    path: Annotated[
        str | None,
        QueryParameter(max_length=PATH_CHARS_MAX, description="Which of several files, as the task names it"),
    ] = None,
    asked_range: Annotated[str | None, HeaderParameter(name="Range", description="A part of it: bytes=0-499")] = None,
    if_range: Annotated[str | None, HeaderParameter(name="If-Range", description="Only of this very file")] = None,
    if_none_match: Annotated[
        str | None, HeaderParameter(name="If-None-Match", description="Only if it is another one")
    ] = None,
) -> Response[bytes]:
    """What a task brought, from the node where it lies."""
    gateway: Gateway = state.gateway
    file, whole = chosen(await completed(gateway, request.user, task), path)
    headers = whole.headers()
    if is_known(if_none_match, whole):
        return Response(b"", status_code=304, headers=headers)
    try:
        part = part_asked(asked_range, if_range, whole)
    except Unsatisfiable:
        said = f"the file has {whole.bytes} bytes: there is nothing of it in {asked_range!r}"
        raise ProblemError(416, said, headers={"Content-Range": f"bytes */{whole.bytes}"}) from None
    _check_room(gateway.transfers, request.user.key)
    try:
        with gateway.transfers.one(request.user.key):  # also while the node is asked: many may come meanwhile
            await look(gateway.client.connection, file)
    except (NodeAway, FileUnavailable) as error:
        raise unavailable(error) from error
    start, end = part or (0, whole.bytes)
    headers["Content-Length"] = str(end - start)
    if part:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{whole.bytes}"

    check = still_valid(gateway, request)

    async def pour(write: Write) -> bool:
        with gateway.transfers.one(request.user.key):
            try:
                async with reading(gateway.client.connection, file, start, end) as chunks:
                    async for chunk in chunks:
                        check()
                        await write(chunk)
            except (NodeAway, FileUnavailable, ProblemError) as error:
                log.warning("a file broke off", task=task, path=file.path, problem=str(error))
                return False
        return True

    return Poured(pour, media_type=whole.media_type, headers=headers, status_code=206 if part else 200)


def _check_room(transfers: Counting, key: str) -> None:
    """Raises ProblemError."""
    soon = {"Retry-After": "5"}
    if transfers.of(key) >= FILES_OF_KEY_MAX:
        said = f"this key is being sent {FILES_OF_KEY_MAX} files, which is the most"
        raise ProblemError(HTTPStatus.TOO_MANY_REQUESTS, said, headers=soon)
    if transfers.total >= FILES_MAX:
        raise ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, "too many files are being sent from here", headers=soon)


@post("/tasks/{task:str}/file/link", opt={"scope": Scope.READ}, status_code=201, tags=["files"])
async def link_file(
    request: Asked,
    state: State,
    task: FromPath[str],
    path: Annotated[
        str | None,
        QueryParameter(max_length=PATH_CHARS_MAX, description="Which of several files; as the task names it"),
    ] = None,
) -> FileLink:
    """An address that fetches the file for an hour without a key, for a browser. It ends with the key that asked."""
    gateway: Gateway = state.gateway
    file, whole = chosen(await completed(gateway, request.user, task), path)
    try:
        await look(gateway.client.connection, file)
    except (NodeAway, FileUnavailable) as error:
        raise unavailable(error) from error
    key = gateway.keys.get(request.user.key)
    if key is None:  # revoked since it was shown
        raise ProblemError(HTTPStatus.UNAUTHORIZED, "this API key is not valid any more")
    until = int(time.time()) + VALID_S
    asked = {QUERY: ticket_for(key, task, until)} | ({"path": path} if path else {})
    url = f"{API}/tasks/{task}/file?{urlencode(asked)}"
    return FileLink(
        url=url, name=PurePosixPath(whole.path).name, bytes=whole.bytes, until=datetime.fromtimestamp(until, UTC)
    )


@delete("/tasks/{task:str}/file", opt={"scope": Scope.SUBMIT}, status_code=200, tags=["files"])
async def delete_file(request: Asked, state: State, task: FromPath[str]) -> FileDeleted:
    """Delete what a task brought on its node, where it is still the very file. The task stays completed."""
    gateway: Gateway = state.gateway
    view = await completed(gateway, request.user, task)
    try:
        outcome = await delete_files(gateway.client.connection, view)
    except (NodeAway, FileUnavailable) as error:
        raise unavailable(error) from error
    if not outcome.deleted:
        status = STATUSES[outcome.trouble] if outcome.trouble else HTTPStatus.CONFLICT
        raise ProblemError(status, f"{view.node}:{view.path} was not deleted: {outcome.said}")
    return FileDeleted(task=task, node=view.node, path=view.path, said=outcome.said)


ROUTES = (get_file, link_file, delete_file)
