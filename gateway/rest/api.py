"""All routes below `/api/v1`."""

from litestar import Router

from gateway.aliases import API
from gateway.rest import (
    actions,
    events,
    files,
    keys,
    listing,
    nodes,
    options,
    policy,
    status,
    steering,
    submitting,
    webhooks,
)
from gateway.rest.queries import judge_query

BODY_BYTES_MAX = 1 << 20
"""Of a request that submits nothing: ten thousand ids, say, or a policy."""


def api() -> Router:
    return Router(
        path=API,
        request_max_body_size=BODY_BYTES_MAX,
        before_request=judge_query,
        route_handlers=[
            *listing.ROUTES,
            *submitting.ROUTES,
            *options.ROUTES,
            *steering.ROUTES,
            *actions.ROUTES,
            *nodes.ROUTES,
            *policy.ROUTES,
            *status.ROUTES,
            *webhooks.ROUTES,
            *keys.ROUTES,
            *files.ROUTES,
            *events.ROUTES,
        ],
    )
