"""The cluster's policy: read by all, set whole by operators."""

from http import HTTPStatus
from typing import Annotated

import msgspec
from litestar import Response, get, put
from litestar.di import Provide
from litestar.params import HeaderParameter, RawBody

from broker import policyclient
from broker.policyclient import PolicyConflict
from gateway.problems import ProblemError
from gateway.rest.asking import Asked, client_of, gateway_of
from schemas.apikey import Scope
from schemas.control import PolicyReply
from schemas.errors import RequestInvalid
from schemas.policy import Policy, decode_policy

IfMatch = Annotated[
    str | None,
    HeaderParameter(name="If-Match", description="`ETag` of the policy this one was made from: nothing is lost then."),
]


def _documented(data: Policy) -> None:
    """The body of `put_policy`, for its description alone: it is read with its own messages."""


@get("/policy", opt={"scope": Scope.READ}, tags=["policy"])
async def get_policy(request: Asked) -> Response[PolicyReply]:
    """The policy as the leader follows it; owners are shown the entries that concern them."""
    reply = await policyclient.read(client_of(request))
    return Response(reply, headers={"ETag": f'"{reply.revision}"'})


@put(
    "/policy",
    opt={"scope": Scope.ADMIN},
    dependencies={"documented": Provide(_documented, sync_to_thread=False)},
    tags=["policy"],
)
async def put_policy(request: Asked, body: RawBody, if_match: IfMatch = None) -> Response[PolicyReply]:
    """Replace the whole policy."""
    values = msgspec.to_builtins(decode_policy(body))
    client, based_on = gateway_of(request).client, _revision(if_match)
    try:
        await policyclient.change(client, lambda _stands: values, whole=True, based_on=based_on)
    except PolicyConflict as error:
        status = HTTPStatus.CONFLICT if based_on is None else HTTPStatus.PRECONDITION_FAILED
        raise ProblemError(status, str(error)) from error
    reply = await policyclient.read(client)
    return Response(reply, headers={"ETag": f'"{reply.revision}"'})


def _revision(if_match: str | None) -> int | None:
    """Raises RequestInvalid."""
    if if_match is None or if_match.strip() == "*":
        return None
    text = if_match.strip().removeprefix("W/").strip('"')
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise RequestInvalid("If-Match", 'must be the ETag of a GET: "17", say')
    return int(text)


ROUTES = [get_policy, put_policy]
