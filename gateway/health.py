"""Whether the process lives, and whether it can serve."""

from litestar import Response, get
from litestar.datastructures import State
from msgspec import Struct

from gateway.access import OPEN
from gateway.problems import ProblemError
from gateway.service import Gateway


class Health(Struct, frozen=True):
    status: str


@get("/healthz", opt={"scope": OPEN}, sync_to_thread=False)
def healthz() -> Health:
    """The process lives."""
    return Health("ok")


@get("/readyz", opt={"scope": OPEN}, sync_to_thread=False)
def readyz(state: State) -> Response[Health]:
    """It is connected to the broker and has read what there is to read."""
    gateway: Gateway = state.gateway
    if not gateway.client.connection.is_connected:
        raise ProblemError(503, "the broker is away")
    if not gateway.model.is_ready:
        raise ProblemError(503, "the read model is being built")
    return Response(Health("ready"))
