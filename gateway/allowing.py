"""Which methods a path has: as OPTIONS is told, and as a refusal of another one tells it.

The framework's own answer knows only the route that came first where several have one path.
"""

from collections.abc import Iterable

from litestar import Litestar
from litestar.types import ASGIApp, Receive, Scope, Send

from gateway.observed import METHODS


class Allowing:
    """A middleware that answers OPTIONS itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope.get("method") != "OPTIONS":
            await self._app(scope, receive, send)
            return
        methods = ", ".join(methods_of(scope["litestar_app"], scope["path_template"])).encode()
        await send({"type": "http.response.start", "status": 204, "headers": [(b"allow", methods)]})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def methods_of(app: Litestar, path_template: str) -> list[str]:
    """The methods of a path as it is declared."""
    found = {
        method
        for route in app.routes
        if path_template in (route.path, route.path_format)
        for method in getattr(route, "route_handler_map", ())
    }
    return allowed(found)


def allowed(methods: Iterable[str]) -> list[str]:
    """In order, with HEAD wherever there is GET: `Headless` answers it."""
    found = set(methods)
    return sorted((found | {"HEAD"} if "GET" in found else found) & METHODS)
