"""The application: its routes, and what they have in common."""

from litestar import Litestar, Router
from litestar.datastructures import State
from litestar.middleware import DefineMiddleware
from litestar.openapi import OpenAPIConfig

from gateway.access import KeyAuthentication, guard
from gateway.health import healthz, readyz
from gateway.problems import HANDLERS
from gateway.rest import listing
from gateway.service import Gateway
from schemas import __version__

BODY_BYTES_MAX = 32 << 20
"""Of a request: ten thousand tasks of three kilobytes."""


def make_app(gateway: Gateway) -> Litestar:
    """The ASGI application of one gateway."""
    return Litestar(
        route_handlers=[healthz, readyz, Router("/api/v1", route_handlers=[listing.tasks, listing.task])],
        state=State({"gateway": gateway}),
        guards=[guard],
        middleware=[DefineMiddleware(KeyAuthentication)],
        exception_handlers=HANDLERS,
        request_max_body_size=BODY_BYTES_MAX,
        openapi_config=OpenAPIConfig(title="Downdraft", version=__version__, path="/docs"),
        logging_config=None,
    )
