"""What the routes have in common: who asks the coordinator, which tasks somebody may see, and answers as statuses."""

from http import HTTPStatus
from typing import Any, TypeAlias

from litestar import Request as HttpRequest

from broker.cluster import Client
from gateway.callers import Caller
from gateway.problems import ProblemError
from gateway.service import Gateway
from schemas.control import Steered
from schemas.errors import RequestInvalid
from schemas.ids import TASK_ID, is_owner
from schemas.orders import Ordered
from schemas.sizes import parse_size
from schemas.view import TaskView

Asked: TypeAlias = HttpRequest[Caller, Any, Any]
Amount: TypeAlias = int | str
"""Bytes; K, M, G and T of 1024 are accepted."""

AGAIN_AFTER_S = 2
"""A new leader is there by then."""


def gateway_of(request: Asked) -> Gateway:
    gateway: Gateway = request.app.state.gateway
    return gateway


def client_of(request: Asked) -> Client:
    """Whoever calls asks the coordinator as themselves: an owner reaches only their own tasks. Raises ProblemError."""
    client, caller = gateway_of(request).client, request.user
    if caller.is_admin:
        return client
    if not is_owner(caller.owner):
        raise ProblemError(HTTPStatus.FORBIDDEN, f"this key belongs to no owner that may have tasks: {caller.owner!r}")
    return client.on_behalf_of(caller.owner)


async def visible(request: Asked, task: str) -> TaskView:
    """A task that the caller may see. Raises ProblemError; another owner's is not found.

    One that came in just now is waited for until it is claimed. One that was rejected has another id than its request.
    """
    if not TASK_ID.match(task):
        raise not_found(task)
    view = await gateway_of(request).fresh.found(task)
    if view is None:  # too old for the read model, or from elsewhere and too new
        view = (await client_of(request).show(task)).task
    if view is None or not request.user.sees(view.owner):
        raise not_found(task)
    return view


def not_found(task: str) -> ProblemError:
    if not TASK_ID.match(task):
        return ProblemError(HTTPStatus.NOT_FOUND, f"{task[:64]!r} is not a task id: 16 hex digits are")
    return ProblemError(
        HTTPStatus.NOT_FOUND, f"there is no task {task}; one that was submitted just now may not be claimed yet"
    )


def settled(result: Steered | Ordered) -> None:
    """Raises ProblemError where what was asked for was not done."""
    if result.ok:
        return
    if result.again:
        raise ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, result.said, headers={"Retry-After": str(AGAIN_AFTER_S)})
    if isinstance(result, Ordered) and result.is_unknown:
        raise ProblemError(HTTPStatus.NOT_FOUND, f"there is no node {result.node}: none of that name was heard")
    raise ProblemError(HTTPStatus.CONFLICT, result.said)


def bytes_of(field: str, amount: Amount | None) -> int | None:
    """Raises RequestInvalid."""
    try:
        return None if amount is None else parse_size(amount)
    except ValueError as error:
        raise RequestInvalid(field, str(error)) from error
