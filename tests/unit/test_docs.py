"""What the documentation says is so: commands parse, examples decode, tables are complete."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer

from coordinator.strategies import BUILT_IN
from gateway.access import ANY_KEY
from gateway.aliases import API
from gateway.aria2rpc.methods import METHODS
from schemas.checking import decode_request
from schemas.event import KINDS
from schemas.policy import OriginPolicy, OwnerPolicy, Policy, decode_policy
from schemas.request import Request
from schemas.settings import Settings, names
from tests.gateway.test_scopes import ROWS
from tests.harness.examples import commands
from tools.cli import app

CHECKOUT = Path(__file__).parent.parent.parent
DOCS = [CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
GROUP: Any = typer.main.get_command(app)


def blocks(file: Path, language: str) -> list[str]:
    return [body for kind, body in BLOCK.findall(file.read_text()) if kind == language]


def documented_commands() -> list[str]:
    """Every `downdraft …` of the documentation and of the commands' own help."""
    lines = [line for file in DOCS for body in blocks(file, "sh") for line in body.splitlines()]
    lines += [line for _, command in commands() for line in (command.help or "").splitlines()]
    found = [line.strip().split("  #")[0].split(" | ")[0] for line in lines]
    return sorted({line for line in found if line.startswith("downdraft ")})


@pytest.mark.parametrize("line", documented_commands())
def test_a_documented_command_line_is_understood(line: str) -> None:
    _, name, *arguments = shlex.split(line)
    command = GROUP.commands[name]
    while hasattr(command, "commands"):
        name, *arguments = arguments
        command = command.commands[name]
    command.make_context(name, arguments)


def test_every_command_shows_an_example_in_its_help() -> None:
    for name, command in commands():
        assert f"downdraft {name}" in (command.help or ""), name


@pytest.mark.parametrize("body", blocks(CHECKOUT / "docs" / "requests.md", "json"))
def test_a_documented_request_is_accepted(body: str) -> None:
    assert decode_request(body.encode()).uris


def test_the_page_on_requests_names_every_field() -> None:
    page = (CHECKOUT / "docs" / "requests.md").read_text()
    fields = re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)
    assert fields == [field.name for field in msgspec.structs.fields(Request)]


@pytest.mark.parametrize("body", blocks(CHECKOUT / "docs" / "policy.md", "json"))
def test_a_documented_policy_is_valid(body: str) -> None:
    assert decode_policy(body.encode()) != Policy()


def test_the_page_on_the_policy_names_every_field_and_default() -> None:
    page = (CHECKOUT / "docs" / "policy.md").read_text()
    fields = re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)
    assert fields == [
        field.name for kind in (Policy, OwnerPolicy, OriginPolicy) for field in msgspec.structs.fields(kind)
    ]
    weights = Policy().bin_pack_weights
    assert f"| `bin_pack_weights` | `bandwidth` {weights.bandwidth}, `disk` {weights.disk} |" in page
    assert f"| `strategy` | `{Policy().strategy}` |" in page
    assert f"| `time_zone` | `{Policy().time_zone}` |" in page
    for strategy in BUILT_IN:
        assert f"`{strategy}`" in page


def test_the_page_on_settings_names_every_setting_with_its_default() -> None:
    page = (CHECKOUT / "docs" / "settings.md").read_text()
    rows = dict(re.findall(r"^\| `([\w.]+)` \|([^|]*)\|", page, re.MULTILINE))
    assert sorted(rows) == sorted(names())
    for name, shown in rows.items():
        section, field = name.split(".")
        default = getattr(getattr(Settings(), section), field)
        default = ",".join(default) if isinstance(default, tuple) else default
        expected = "" if default in ("", (), {}) else f"{default:g}" if isinstance(default, float) else str(default)
        assert shown.strip().strip("`") == expected, name


def test_the_page_on_events_names_every_type() -> None:
    page = (CHECKOUT / "docs" / "events.md").read_text()
    for kind in KINDS:
        assert f"`{kind}`" in page, kind


def test_the_page_on_json_rpc_names_every_method_with_its_scope() -> None:
    page = (CHECKOUT / "docs" / "jsonrpc.md").read_text()
    rows = re.findall(r"^\| (`[^|]+) \| (read|submit|admin) \|", page, re.MULTILINE)
    told = {f"aria2.{name}": scope for names, scope in rows for name in re.findall(r"`(\w+)`", names)}
    assert told == {name: str(method.scope) for name, method in METHODS.items()}


def test_the_page_on_http_names_every_route_with_its_scope() -> None:
    page = (CHECKOUT / "docs" / "http.md").read_text()
    table = page[page.index("## Routes") : page.index("### Other names")].replace("\\|", "+")
    told: dict[str, str] = {}
    for routes, scopes in re.findall(r"^\| (`[^|]+) \| ([a-z, ]+) \|", table, re.MULTILINE):
        to_read, _, to_change = scopes.partition(", ")
        for method, path in documented_routes(routes):
            told[f"{method} {API}{path}"] = to_read if method == "GET" else to_change or to_read
    served = {re.sub(r"{\w+}", "{id}", row): str(scope) for row, scope in ROWS.items() if API in row}
    words = {ANY_KEY: "any"}
    assert told == {row: words.get(scope, scope) for row, scope in served.items() if not row.startswith("HEAD ")}


def documented_routes(cell: str) -> Iterator[tuple[str, str]]:
    """Methods and paths of one row: what a part leaves out is that of the part before it."""
    methods, path = "", ""
    for part in re.findall(r"`([^`]+)`", cell):
        said, _, place = part.rpartition(" ") if "/" in part else (part, "", "")
        methods, path = said or methods, (place if said else path.rpartition("/")[0] + place) if place else path
        yield from ((method, path) for method in methods.split("+"))


@pytest.mark.parametrize("file", sorted((CHECKOUT / "docs" / "adr").glob("*.md")), ids=lambda file: file.stem)
def test_a_decision_tells_context_decision_and_consequences(file: Path) -> None:
    text = file.read_text()
    assert text.startswith(f"# {int(file.stem[:4])}. ")
    positions = [text.index(f"**{part}.**") for part in ("Context", "Decision", "Consequences")]
    assert positions == sorted(positions)


@pytest.mark.parametrize("file", DOCS, ids=lambda file: file.name)
def test_links_between_pages_lead_somewhere(file: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", file.read_text()):
        assert (file.parent / target).exists(), target
