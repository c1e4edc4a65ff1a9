"""The printed contract says what the code decodes: real payloads pass it, wrong ones do not."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from schemas import codec, contract
from schemas.checking import decode_request
from schemas.contract import CONTROL, EVENTS, FILES, PAYLOADS, json_schema
from schemas.control import VERBS, NodesReply, NodeView
from schemas.errors import RequestInvalid
from schemas.event import KINDS, Assigned, Completed, Event
from schemas.heartbeat import Held, Progress
from tests.examples import NOON, TASK, a_failure, a_heartbeat, a_release, a_request, a_row

REQUESTS_PAGE = Path(__file__).parents[3] / "docs" / "requests.md"
EXAMPLES = re.findall(r"^```json\n(.*?)^```", REQUESTS_PAGE.read_text(), re.MULTILINE | re.DOTALL)


def validator(name: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(json_schema(name), format_checker=jsonschema.FormatChecker())


def is_valid(name: str, payload: Any) -> bool:
    return validator(name).is_valid(payload)


def on_the_wire(value: Any) -> Any:
    return json.loads(codec.encode(value))


ABOUT: dict[str, Any] = {"task": TASK, "owner": "ada", "time": NOON, "attempt": 1}
COMPLETED = Completed(**ABOUT, node="attic", path="f.iso", bytes=1, digest="sha-256=00", seconds=0.5)
REAL: dict[str, list[Any]] = {
    "request": [a_request(), a_request(tags=("eu",), options={"split": 4}, deadline=NOON, labels={"a": "b"})],
    "event": [a_failure(), a_release(), COMPLETED, Assigned(**ABOUT, node="attic", why="idle")],
    "attempt_failed": [a_failure()],
    "finished.completed": [COMPLETED],
    "heartbeat": [a_heartbeat(held=(Held(TASK, 1, "active"),))],
    "progress": [Progress(task=TASK, attempt=1, node="attic", bytes_done=1, bytes_total=2, bytes_per_s=3)],
    "task-row": [a_row(), a_row(submitted=NOON, avoid=("attic",))],
    "nodes-reply": [
        NodesReply((NodeView(node="attic", online=True, heard_ago_s=0.1, assigned=0, heartbeat=a_heartbeat("attic")),))
    ],
}


@pytest.mark.parametrize("name", ["", *PAYLOADS])
def test_every_schema_is_one(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema(name))


def test_a_misspelt_name_is_told_by_the_schema_where_it_is_refused() -> None:
    assert not validator("request").is_valid({"uri": "https://a.example/f", "resources": {"disc": 1}})
    assert not validator("policy").is_valid({"owners": {"ada": {"wieght": 1}}})


@pytest.mark.parametrize("name", REAL)
def test_a_real_payload_is_valid(name: str) -> None:
    for payload in REAL[name]:
        validator(name).validate(on_the_wire(payload))


@pytest.mark.parametrize("name", REAL)
def test_a_payload_without_what_is_required_is_refused(name: str) -> None:
    for payload in REAL[name]:
        wire = on_the_wire(payload)
        required = next(key for key in ("uris", "type", "task", "node", "nodes") if key in wire)
        assert not is_valid(name, {key: value for key, value in wire.items() if key != required})


@pytest.mark.parametrize("body", EXAMPLES)
def test_an_example_of_the_page_on_requests_is_valid(body: str) -> None:
    validator("request").validate(json.loads(body))


def test_the_page_on_requests_has_examples() -> None:
    assert len(EXAMPLES) >= 2


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"uris": []},
        {"uri": None},
        {"uris": "https://a.example/f"},
        {"uri": "https://a.example/f", "priority": 11},
        {"uri": "https://a.example/f", "priority": True},
        {"uri": "https://a.example/f", "tags": ["two words"]},
        {"uri": "https://a.example/f", "labels": {"a b": "c"}},
        {"uri": "https://a.example/f", "headers": {"A": "b\r\nC: d"}},
        {"uri": "https://a.example/f", "options": {"dir": "/etc"}},
        {"uri": "https://a.example/f", "checksum": "sha-256=abc"},
        {"uri": "https://a.example/f", "checksum": "crc=00"},
        {"uri": "https://a.example/f", "id": ""},
        {"uri": "https://a.example/f", "size": 1.5},
    ],
)
def test_a_request_that_would_be_rejected_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(RequestInvalid):
        decode_request(json.dumps(wrong).encode())
    assert not is_valid("request", wrong)


def test_an_event_of_another_type_is_refused() -> None:
    assert not is_valid("finished.completed", on_the_wire(a_failure()))
    assert not is_valid("event", on_the_wire(a_failure()) | {"type": "exploded"})


def test_unknown_fields_pass_as_they_do_on_the_wire() -> None:
    assert is_valid("event", on_the_wire(a_failure()) | {"of_a_later_version": 1})


def test_a_time_says_that_it_is_one() -> None:
    assert json_schema("event")["$defs"]["Queued"]["properties"]["time"]["format"] == "date-time"
    submitted = json_schema("task-row")["$defs"]["TaskRow"]["properties"]["submitted"]
    assert submitted["anyOf"][0]["format"] == "date-time"


def test_no_pattern_needs_python() -> None:
    """`\\Z` is no more than the letter Z to other languages, which know `$`."""
    text = json.dumps(json_schema())
    assert r"\\Z" not in text
    assert "discriminator" not in text
    assert json_schema("request")["$defs"]["Request"]["properties"]["tags"]["items"]["pattern"].endswith("$")


def test_every_event_and_verb_is_in_it() -> None:
    assert tuple(EVENTS) == KINDS
    assert set(KINDS) <= set(PAYLOADS)
    assert set(CONTROL) == set(VERBS)
    for verb in (*CONTROL.values(), *FILES.values()):
        for kind in (verb.query, verb.answer, verb.refusal):
            assert kind is bytes or kind in PAYLOADS.values()


def test_one_document_holds_every_definition_once() -> None:
    definitions = json_schema()["$defs"]
    assert {"Request", "TaskRow", "Heartbeat", "Progress", "StatsReply", "TaskView"} <= set(definitions)
    assert {kind.__name__ for kind in EVENTS.values()} <= set(definitions)
    for target in re.findall(r'"\$ref": "#/\$defs/(\w+)"', json.dumps(json_schema())):
        assert target in definitions


def test_an_unknown_name_is_no_payload() -> None:
    with pytest.raises(KeyError):
        json_schema("nothing")


def test_making_a_schema_changes_no_other() -> None:
    before = json_schema("request")
    contract.components([Event, a_request().__class__], "#/elsewhere/{name}")
    assert json_schema("request") == before


def test_a_schema_is_plain_json() -> None:
    assert json.loads(json.dumps(json_schema())) == json_schema()
