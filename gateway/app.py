"""The application: its routes, and what they have in common."""

from litestar import Litestar
from litestar.config.cors import CORSConfig
from litestar.datastructures import State
from litestar.middleware import DefineMiddleware

from gateway.access import KeyAuthentication, guard
from gateway.aliases import Aliased
from gateway.allowing import Allowing
from gateway.aria2rpc import routes as aria2rpc
from gateway.aria2rpc.bodies import Bodies
from gateway.aria2rpc.notices import Notices
from gateway.headless import Headless
from gateway.health import healthz, readyz
from gateway.observed import Observed
from gateway.page import page, read_files
from gateway.problems import HANDLERS
from gateway.reference import config
from gateway.rest.api import api
from gateway.rest.files import FILE
from gateway.rest.submitting import BODY_BYTES_MAX
from gateway.scrape import metrics
from gateway.service import Gateway


def make_app(gateway: Gateway, notices: Notices) -> Litestar:
    """The ASGI application of one gateway."""
    return Litestar(
        route_handlers=[healthz, readyz, metrics, api(), *aria2rpc.ROUTES, page(read_files())],
        state=State({"gateway": gateway, "notices": notices, "bodies": Bodies()}),
        guards=[guard],
        middleware=[Allowing, DefineMiddleware(KeyAuthentication)],
        exception_handlers=HANDLERS,
        request_max_body_size=BODY_BYTES_MAX,
        openapi_config=config(),
        cors_config=_cors(gateway.settings.cors_origins),
        logging_config=None,
    )


def serve_app(gateway: Gateway, notices: Notices) -> Observed:
    """The application as it is served: its requests are logged and measured, what is no route included."""
    return Observed(Headless(Aliased(make_app(gateway, notices)), FILE), gateway.metrics.requests)


def _cors(origins: tuple[str, ...]) -> CORSConfig | None:
    """What pages of other origins may do: anything that they have a key for. None: nothing."""
    if not origins:
        return None
    return CORSConfig(
        allow_origins=list(origins),
        allow_methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"],
        allow_headers=[
            *("authorization", "content-type", "idempotency-key", "last-event-id", "x-api-key"),
            *("if-match", "if-none-match", "if-range", "range"),
        ],
        expose_headers=[
            *("accept-ranges", "content-disposition", "content-range", "etag", "location"),
            *("repr-digest", "retry-after", "www-authenticate"),
        ],
    )
