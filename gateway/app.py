"""The application: its routes, and what they have in common."""

from litestar import Litestar
from litestar.datastructures import State
from litestar.middleware import DefineMiddleware
from litestar.openapi import OpenAPIConfig

from gateway.access import KeyAuthentication, guard
from gateway.aria2rpc import routes as aria2rpc
from gateway.aria2rpc.notices import Notices
from gateway.health import healthz, readyz
from gateway.problems import HANDLERS
from gateway.rest.api import api
from gateway.service import Gateway
from schemas import __version__

BODY_BYTES_MAX = 32 << 20
"""Of a request: ten thousand tasks of three kilobytes."""


def make_app(gateway: Gateway, notices: Notices) -> Litestar:
    """The ASGI application of one gateway."""
    return Litestar(
        route_handlers=[healthz, readyz, api(), *aria2rpc.ROUTES],
        state=State({"gateway": gateway, "notices": notices}),
        guards=[guard],
        middleware=[DefineMiddleware(KeyAuthentication)],
        exception_handlers=HANDLERS,
        request_max_body_size=BODY_BYTES_MAX,
        openapi_config=OpenAPIConfig(title="Downdraft", version=__version__, path="/docs"),
        logging_config=None,
    )
