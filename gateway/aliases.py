"""Names that people know from similar systems: `/tasks`, `/workers` and `/status`, also under `/api`."""

import re

from litestar.types import ASGIApp, Receive, Scope, Send

API = "/api/v1"
ALIASES = {"tasks": "tasks", "workers": "nodes", "status": "status"}
"""What each is called below `/api/v1`."""
_ALIAS = re.compile(rf"(?:/api(?:/v1)?)?/({'|'.join(ALIASES)})(?=/|\Z)")


def canonical(path: str) -> str:
    """The path below `/api/v1` that a path stands for; itself where it is no alias. Pure."""
    found = _ALIAS.match(path)
    return f"{API}/{ALIASES[found[1]]}{path[found.end() :]}" if found else path


class Aliased:
    """An application that is asked by its aliases too."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (path := canonical(scope["path"])) != scope["path"]:
            scope["path"] = path
            scope["raw_path"] = canonical(scope["raw_path"].decode("latin-1")).encode("latin-1")
        await self._app(scope, receive, send)
