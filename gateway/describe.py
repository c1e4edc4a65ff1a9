"""`python -m gateway.describe` prints OpenAPI of the routes without a cluster: the web page's types are made of it."""

import sys
from types import SimpleNamespace
from typing import Any, cast

import msgspec

from gateway.app import make_app
from gateway.aria2rpc.notices import Notices
from gateway.reference import completed, scopes_of, structs_of
from gateway.service import Gateway
from schemas.settings import GatewaySettings


def description() -> dict[str, Any]:
    """As `/docs/openapi.json` has it."""
    unconnected = cast(Gateway, SimpleNamespace(settings=GatewaySettings()))  # routes alone are asked for
    app = make_app(unconnected, cast(Notices, None))
    return completed(app.openapi_schema.to_schema(), scopes_of(app), structs_of(app))


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.encode(description()))
