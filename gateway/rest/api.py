"""All routes below `/api/v1`."""

from litestar import Router

from gateway.aliases import API
from gateway.rest import actions, events, files, keys, listing, nodes, policy, status, steering, submitting, webhooks


def api() -> Router:
    return Router(
        path=API,
        route_handlers=[
            *listing.ROUTES,
            *submitting.ROUTES,
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
