"""Changing one task: pause, resume, retry, cancel, its priority, place and limits; and explaining it."""

from http import HTTPStatus
from typing import Annotated

import msgspec
from litestar import delete, get, patch, post
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import Meta, Struct

from gateway.problems import ProblemError
from gateway.rest.asking import (
    AGAIN_AFTER_S,
    Amount,
    Asked,
    bytes_of,
    client_of,
    gateway_of,
    not_found,
    settled,
    visible,
)
from schemas.apikey import Scope
from schemas.control import Cancel, ExplainQuery, ExplainReply, How, Prioritise, SetLimits, Steer, Steered
from schemas.errors import RequestInvalid
from schemas.lifecycle import State

POSITION_MAX = 1_000_000_000
NO_SUCH_TASK = "no such task"
"""What the coordinator says of a task that it does not know, or that belongs to another owner."""

Priority = Annotated[int, Meta(ge=-10, le=10)]
Position = Annotated[int, Meta(ge=-POSITION_MAX, le=POSITION_MAX)]
KeepPartial = Annotated[
    bool, QueryParameter(description="Keep what has come so far, on its node, as `<name>.part`.", required=False)
]


class TaskChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change of a task; what is left out stays as it is."""

    priority: Priority | None = None
    position: Position | None = None
    """Among the queued tasks of its owner and priority, counted as `how` says."""
    how: How = How.SET
    download_limit: Amount | None = None
    """Bytes a second it may receive; 0: as much as it gets."""
    upload_limit: Amount | None = None
    """Bytes a second a torrent may send; 0: as much as it can."""

    @property
    def place(self) -> Prioritise | None:
        if self.priority is None and self.position is None:
            return None
        return Prioritise(priority=self.priority, position=self.position, how=self.how)

    @property
    def limits(self) -> SetLimits | None:
        """Raises RequestInvalid."""
        if self.download_limit is None and self.upload_limit is None:
            return None
        download, upload = (
            bytes_of("download_limit", self.download_limit),
            bytes_of("upload_limit", self.upload_limit),
        )
        try:
            return msgspec.convert({"download": download, "upload": upload}, SetLimits)
        except msgspec.ValidationError as error:
            field = "download_limit" if "download" in str(error) else "upload_limit"
            raise RequestInvalid(field, "is more than aria2 can keep to") from error


async def steer(request: Asked, task: str, verb: str, asked: Steer | None = None) -> Steered:
    """Do something to one task. Raises ProblemError where it was not done."""
    task = (await visible(request, task)).task
    _check_claimed(request, task)
    client = client_of(request)
    [result] = (await client.steer(verb, (task,), None, asked)).results
    if result.said == NO_SUCH_TASK:
        raise not_found(task)
    if not result.ok and verb == "cancel":
        view = (await client.show(task)).task
        if view is not None and view.state is State.CANCELLED:  # what was asked for is so: a repeat does no harm
            return msgspec.structs.replace(result, ok=True)
    settled(result)
    return result


def _check_claimed(request: Asked, task: str) -> None:
    """Raises ProblemError."""
    if gateway_of(request).fresh.find(task) is not None:
        raise ProblemError(
            HTTPStatus.SERVICE_UNAVAILABLE,
            f"{task} is in the inbox, and no coordinator has claimed it yet: ask again",
            headers={"Retry-After": str(AGAIN_AFTER_S)},
        )


@post("/tasks/{task:str}/pause", opt={"scope": Scope.SUBMIT}, status_code=200, tags=["tasks"])
async def pause(request: Asked, task: FromPath[str]) -> Steered:
    """Stop a task until it is resumed."""
    return await steer(request, task, "pause")


@post("/tasks/{task:str}/resume", opt={"scope": Scope.SUBMIT}, status_code=200, tags=["tasks"])
async def resume(request: Asked, task: FromPath[str]) -> Steered:
    """Let a paused task go on."""
    return await steer(request, task, "resume")


@post("/tasks/{task:str}/retry", opt={"scope": Scope.SUBMIT}, status_code=200, tags=["tasks"])
async def retry(request: Asked, task: FromPath[str]) -> Steered:
    """Try again: at once what waits for its next try, as `new_task` what has ended."""
    return await steer(request, task, "retry")


@post("/tasks/{task:str}/cancel", opt={"scope": Scope.SUBMIT}, status_code=200, tags=["tasks"])
async def cancel(request: Asked, task: FromPath[str], keep_partial: KeepPartial = False) -> Steered:
    """End a task. What it had downloaded is deleted, unless it is to be kept."""
    return await steer(request, task, "cancel", Cancel(keep_partial=keep_partial))


@delete("/tasks/{task:str}", opt={"scope": Scope.SUBMIT}, status_code=200, tags=["tasks"])
async def delete_task(request: Asked, task: FromPath[str], keep_partial: KeepPartial = False) -> Steered:
    """The same as cancel."""
    return await steer(request, task, "cancel", Cancel(keep_partial=keep_partial))


@patch("/tasks/{task:str}", opt={"scope": Scope.SUBMIT}, tags=["tasks"])
async def change(request: Asked, task: FromPath[str], data: JSONBody[TaskChange]) -> Steered:
    """Change priority, position and limits."""
    place, limits = data.place, data.limits
    if place is None and limits is None:
        raise ProblemError(
            HTTPStatus.UNPROCESSABLE_ENTITY, "say what to change: priority, position, download_limit or upload_limit"
        )
    done = [await steer(request, task, verb, asked) for verb, asked in _verbs(place, limits)]
    said = "; ".join(result.said for result in done)
    return msgspec.structs.replace(done[-1], said=said)


def _verbs(place: Prioritise | None, limits: SetLimits | None) -> list[tuple[str, Steer]]:
    """The limits first: a task may refuse one, and then nothing is to have changed."""
    asks: list[tuple[str, Steer]] = []
    if place is not None:
        asks.append(("prioritise", place))
    if limits is not None:
        asks.insert(0, ("limit", limits))
    return asks


@get("/tasks/{task:str}/explain", opt={"scope": Scope.READ}, tags=["tasks"])
async def explain(request: Asked, task: FromPath[str]) -> ExplainReply:
    """Why a task stands where it stands, or what it waits for."""
    task = (await visible(request, task)).task
    _check_claimed(request, task)
    return await client_of(request).ask("explain", ExplainQuery(task), ExplainReply)


ROUTES = [pause, resume, retry, cancel, delete_task, change, explain]
