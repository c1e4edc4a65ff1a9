"""OpenAPI, and the page that shows it without asking any other host."""

import re

from jsonschema import Draft202012Validator

from tests.harness.web import Web

ARGUMENTS = ("--nodes", "0")


async def test_the_description_tells_of_each_route_what_key_it_needs_and_how_it_refuses(stranger: Web) -> None:
    description = (await stranger.get("/docs/openapi.json")).json
    assert description["openapi"].startswith("3.1")
    assert "/docs" not in description["paths"]
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            refusal = operation["responses"]["default"]["content"]["application/problem+json"]["schema"]
            assert refusal == {"$ref": "#/components/schemas/Problem"}, (method, path)
    assert "401" in description["paths"]["/metrics"]["get"]["responses"]
    assert "security" not in description["paths"]["/healthz"]["get"]


async def test_the_shapes_in_it_are_sound_and_all_there(stranger: Web) -> None:
    answer = await stranger.get("/docs/openapi.json")
    schemas = answer.json["components"]["schemas"]
    for schema in schemas.values():
        Draft202012Validator.check_schema(schema)
    assert set(re.findall(r'"#/components/schemas/([^"]+)"', answer.text)) <= schemas.keys()


async def test_the_page_takes_everything_from_this_host(stranger: Web) -> None:
    page = await stranger.get("/docs")
    assert page.headers["Content-Type"].startswith("text/html")
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(loaded) == 4
    for address in loaded:
        assert address.startswith("/docs/")
        assert (await stranger.get(address)).status == 200
    assert "<script>" not in page.text


async def test_the_page_may_run_and_ask_nothing_else(stranger: Web) -> None:
    policy = (await stranger.get("/docs")).headers["Content-Security-Policy"]
    directives = dict(part.split(" ", 1) for part in policy.split("; "))
    assert directives["default-src"] == "'none'"
    assert directives["script-src"] == directives["connect-src"] == "'self'"
    assert directives["frame-ancestors"] == "'none'"
