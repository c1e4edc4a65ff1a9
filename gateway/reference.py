"""OpenAPI of the routes, and the page that shows it, from files of this machine alone."""

from collections.abc import Iterable
from importlib import resources
from typing import Any, get_args

import msgspec
from litestar import Litestar, Request, Response, Router, get
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin, OpenAPIRenderPlugin
from litestar.openapi.spec import Components, Reference, SecurityScheme
from msgspec import Struct

from gateway.access import OPEN, SCOPE
from gateway.problems import MEDIA_TYPE, Problem
from schemas import __version__, contract

PATH = "/docs"
ASSETS = {
    "swagger-ui.css": "text/css",
    "swagger-ui-bundle.js": "text/javascript",
    "favicon-32x32.png": "image/png",
}
"""Of Swagger UI, as a package carries them."""
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Scripts and requests from and to this gateway alone. Swagger UI sets some styles in its elements."""
KEPT_S = 86_400
"""A version of Downdraft has one version of them."""
REFUSALS = {
    "401": "No API key, or one that is not valid.",
    "403": "The key lacks the scope that the route needs.",
    "429": "The key asked more than it may; Retry-After says when to ask again.",
}

_PAGE = b"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Downdraft: HTTP reference</title>
<link rel="stylesheet" href="/docs/swagger-ui.css">
<link rel="icon" type="image/png" href="/docs/favicon-32x32.png">
</head>
<body>
<div id="reference"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/reference.js"></script>
</body>
</html>
"""
_SCRIPT = b"""SwaggerUIBundle({
  url: "/docs/openapi.json", dom_id: "#reference", deepLinking: true, validatorUrl: null, docExpansion: "list",
  persistAuthorization: false,
});
"""

KEY_SCHEMES: dict[str, SecurityScheme | Reference] = {
    "key": SecurityScheme(type="apiKey", name="X-API-Key", security_scheme_in="header"),
    "bearer": SecurityScheme(type="http", scheme="bearer", description="The API key as a bearer token."),
    "basic": SecurityScheme(type="http", scheme="basic", description="The owner, and as the password the API key."),
}


class Json(JsonRenderPlugin):
    """The description, with what all routes have in common."""

    _rendered: bytes | None = None
    """Made once: it takes 30 ms, and anybody may ask for it."""

    def render(self, request: "Request[Any, Any, Any]", openapi_schema: dict[str, Any]) -> bytes:
        if self._rendered is None:
            whole = completed(openapi_schema, scopes_of(request.app), structs_of(request.app))
            self._rendered = self.render_json(request, whole)
        return self._rendered


class Page(OpenAPIRenderPlugin):
    """Swagger UI."""

    def __init__(self) -> None:
        super().__init__(path="/")

    def render(self, request: "Request[Any, Any, Any]", openapi_schema: dict[str, Any]) -> bytes:
        return _PAGE


def config() -> OpenAPIConfig:
    """For the application."""
    router = Router(
        PATH,
        route_handlers=[asset, script],
        opt={SCOPE: OPEN},
        include_in_schema=False,
        after_request=_allow_scripts,
    )
    return OpenAPIConfig(
        title="Downdraft",
        version=__version__,
        description="A distributed download cluster over HTTP. Every refusal is a problem document (RFC 9457).",
        components=Components(security_schemes=KEY_SCHEMES),
        use_handler_docstrings=True,
        openapi_router=router,
        render_plugins=[Page(), Json()],
    )


def _allow_scripts(response: "Response[Any]") -> "Response[Any]":
    response.headers.setdefault("Content-Security-Policy", PAGE_POLICY)
    response.headers.setdefault("Cache-Control", "no-cache")
    return response


@get([f"/{name}" for name in ASSETS], sync_to_thread=False)
def asset(request: "Request[Any, Any, Any]") -> Response[bytes]:
    """A file of the page."""
    name = request.url.path.rpartition("/")[2]
    body = (resources.files("openapi_ui_bundles.swagger_ui") / "vendor" / name).read_bytes()
    return Response(body, media_type=ASSETS[name], headers={"Cache-Control": f"public, max-age={KEPT_S}"})


@get("/reference.js", media_type="text/javascript", sync_to_thread=False)
def script() -> bytes:
    """What makes the page show this gateway's description."""
    return _SCRIPT


def scopes_of(app: Litestar) -> dict[tuple[str, str], str]:
    """What each operation asks for, by method and path."""
    scopes: dict[tuple[str, str], str] = {}
    for route in app.routes:
        for method, handler in getattr(route, "route_handler_map", {}).items():
            scopes[method.lower(), route.path_format] = str(handler[0].opt.get(SCOPE, ""))
    return scopes


def structs_of(app: Litestar) -> set[type[Struct]]:
    """What the routes take and answer."""
    found: set[type[Struct]] = {Problem}
    for route in app.routes:
        for handler, _ in getattr(route, "route_handler_map", {}).values():
            signature = handler.parsed_fn_signature
            for field in (signature.return_type, *signature.parameters.values()):
                found |= _structs_in(field.annotation)
    return found


def _structs_in(annotation: Any) -> set[type[Struct]]:
    if isinstance(annotation, type) and issubclass(annotation, Struct):
        return {annotation}
    return {struct for part in get_args(annotation) for struct in _structs_in(part)}


def completed(
    description: dict[str, Any], scopes: dict[tuple[str, str], str], structs: Iterable[type[Struct]]
) -> dict[str, Any]:
    """A copy in which each operation says what key it needs, and how it refuses. Pure."""
    whole: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(description))
    schemas = whole.setdefault("components", {}).setdefault("schemas", {})
    # As those that decode them say: with every limit and pattern.
    shown = [struct for struct in structs if struct is Problem or struct.__name__ in schemas]
    _, shapes = msgspec.json.schema_components(shown, ref_template="#/components/schemas/{name}")
    contract.close(shown, shapes)
    schemas |= shapes
    body = {"content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}}
    for path, methods in whole.get("paths", {}).items():
        for method, operation in methods.items():
            if not isinstance(operation, dict):
                continue
            # The framework's own idea of a refusal is not how it is said here.
            answers = {status: told for status, told in operation.get("responses", {}).items() if status < "400"}
            for parameter in operation.get("parameters", ()):
                parameter["schema"] = _said_or_left_out(parameter["schema"])
            answers["default"] = {"description": "What is wrong, where, and what to do."} | body
            scope = scopes.get((method, path), "")
            if scope != OPEN:
                answers |= {status: {"description": said} | body for status, said in REFUSALS.items()}
                operation["security"] = [{name: []} for name in KEY_SCHEMES]
                operation["description"] = f"{operation.get('description', '')}\n\nScope: `{scope}`.".strip()
            operation["responses"] = answers
    plain: dict[str, Any] = _plain(whole)
    return plain


def _said_or_left_out(schema: dict[str, Any]) -> dict[str, Any]:
    """Nobody can say null in an address: what is not said is left out."""
    kinds = [kind for kind in schema.get("oneOf", ()) if kind != {"type": "null"}]
    return kinds[0] if len(kinds) == 1 else schema


def _plain(part: Any) -> Any:
    """As any validator understands it: Python's `\\Z` is `$` elsewhere, and one value may be of several shapes."""
    if isinstance(part, list):
        return [_plain(one) for one in part]
    if not isinstance(part, dict):
        return part
    plain = {"anyOf" if name == "oneOf" else name: _plain(value) for name, value in part.items()}
    if isinstance(pattern := part.get("pattern"), str):
        plain["pattern"] = pattern.replace(r"\Z", "$")
    return plain
