"""HEAD where there is GET: the same headers without the body, as those who look whether something lives ask for it."""

from litestar.types import ASGIApp, Message, Receive, Scope, Send


class Headless:
    """An application whose routes need not know of HEAD; those that do are left to it."""

    def __init__(self, app: ASGIApp, own_ending: str) -> None:
        """`own_ending`: paths that end so answer HEAD themselves, cheaper than GET."""
        self._app = app
        self._own_ending = own_ending

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope.get("method") != "HEAD" or scope["path"].endswith(self._own_ending):
            await self._app(scope, receive, send)
            return
        is_over = False

        async def sending(message: Message) -> None:
            nonlocal is_over
            if message["type"] != "http.response.body":
                await send(message)
            elif not is_over:
                is_over = True  # for the server; whoever pours more hears that the client has gone
                await send({"type": "http.response.body", "body": b"", "more_body": False})

        asked: Scope = {**scope, "method": "GET"}  # type: ignore[assignment]
        try:
            await self._app(asked, receive, sending)
        finally:
            scope.update({**asked, "method": "HEAD"})  # type: ignore[typeddict-item]
