"""The AsyncAPI document holds together: every reference leads somewhere, and every subject is in it."""

import inspect
import re
from collections.abc import Iterator
from typing import Any

import pytest

from schemas import asyncapi
from schemas import subjects as s
from schemas.contract import CONTROL, FILES
from schemas.event import KINDS

DOCUMENT = asyncapi.document()
CHANNELS: dict[str, Any] = DOCUMENT["channels"]
OPERATIONS: dict[str, Any] = DOCUMENT["operations"]
ADDRESSES = {channel["address"] for channel in CHANNELS.values() if channel["address"]}
ALLOWED = {
    "": {"asyncapi", "info", "defaultContentType", "servers", "channels", "operations", "components"},
    "channel": {"address", "description", "messages", "parameters"},
    "operation": {"action", "channel", "summary", "tags", "messages", "reply"},
    "message": {"name", "summary", "payload", "headers", "contentType"},
    "parameter": {"description", "enum", "examples"},
}
"""What this document uses of each object's fields in the specification."""
KEYS = {
    "api_key_key",
    "webhook_key",
    "webhook_state_key",
    "bucket_key",
    "node_lock_key",
    "node_settings_key",
    "node_share_key",
    "payload_chunks",
    "payload_meta",
}
"""The bucket is the cluster's own affair, and how an object store is laid out that of NATS."""
READERS = {"owner_of", "key_of", "key_of_news", "parse_task", "parse_event", "task_in", "task_of_event"}


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref":
                yield value
            else:
                yield from references(value)
    elif isinstance(node, list):
        for item in node:
            yield from references(item)


def at(reference: str) -> Any:
    found: Any = DOCUMENT
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return found


def test_it_is_an_asyncapi_3_document() -> None:
    assert re.fullmatch(r"3\.0\.\d", DOCUMENT["asyncapi"])
    assert {"title", "version"} <= set(DOCUMENT["info"])
    assert set(DOCUMENT) == ALLOWED[""]
    for server in DOCUMENT["servers"].values():
        assert {"host", "protocol"} <= set(server)


def test_every_reference_leads_somewhere() -> None:
    found = list(references(DOCUMENT))
    assert len(found) > 100
    for reference in found:
        assert at(reference), reference


@pytest.mark.parametrize("name", CHANNELS)
def test_a_channel_names_its_parameters_and_carries_a_message(name: str) -> None:
    channel = CHANNELS[name]
    assert set(channel) <= ALLOWED["channel"]
    named = re.findall(r"\{(\w+)\}", channel["address"] or "")
    assert sorted(named) == sorted(channel.get("parameters", {}))
    assert channel["messages"]
    assert not set("*>") & set(channel["address"] or "")


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_uses_messages_of_its_own_channel(name: str) -> None:
    operation = OPERATIONS[name]
    assert set(operation) <= ALLOWED["operation"]
    assert operation["action"] in {"send", "receive"}
    for one in (operation, *([operation["reply"]] if "reply" in operation else [])):
        channel = one["channel"]["$ref"]
        assert re.fullmatch(r"#/channels/[\w.-]+", channel)
        for message in one["messages"]:
            assert message["$ref"].startswith(f"{channel}/messages/")


def test_messages_and_parameters_use_only_what_the_specification_has() -> None:
    for message in DOCUMENT["components"]["messages"].values():
        assert set(message) <= ALLOWED["message"]
    for parameter in DOCUMENT["components"]["parameters"].values():
        assert set(parameter) <= ALLOWED["parameter"]


def covers(address: str, subject: str) -> bool:
    """Whether a channel's address and a built subject mean the same, parameters of both left open."""
    one, other = address.split("."), subject.split(".")
    return len(one) == len(other) and all(
        mine == theirs or "{" in mine + theirs for mine, theirs in zip(one, other, strict=True)
    )


def test_every_subject_that_is_built_somewhere_has_its_channel() -> None:
    for name, build in inspect.getmembers(s, inspect.isfunction):
        if build.__module__ != s.__name__ or name in KEYS | READERS:
            continue
        subject = build(*[f"{{{parameter}}}" for parameter in inspect.signature(build).parameters])
        if not set("*>") & set(subject):  # a filter is no subject of its own
            assert any(covers(address, subject) for address in ADDRESSES), name
    assert {s.REQUESTS, s.requests("{owner}")} <= ADDRESSES


def test_events_and_outcomes_are_told_apart_by_their_subjects() -> None:
    kinds = asyncapi.PARAMETERS["type"]["enum"]
    outcomes = [f"finished.{outcome}" for outcome in asyncapi.PARAMETERS["outcome"]["enum"]]
    assert sorted((*kinds, *outcomes)) == sorted(KINDS)
    assert s.event("{task}", "finished.{outcome}", "{writer}") in ADDRESSES


def test_every_verb_can_be_asked_and_its_answer_is_described() -> None:
    asked = {name for name, operation in OPERATIONS.items() if "reply" in operation}
    assert asked == {f"control.{verb}" for verb in CONTROL} | {f"files.{verb}" for verb in FILES}
    for name in asked:
        answer = at(OPERATIONS[name]["reply"]["channel"]["$ref"])
        assert answer["address"] is None
        assert len(answer["messages"]) >= 1


def test_every_message_has_a_payload_or_is_said_to_be_no_json() -> None:
    for message in DOCUMENT["components"]["messages"].values():
        assert ("payload" in message) != (message.get("contentType") == "application/octet-stream")


def test_the_server_can_be_named() -> None:
    assert asyncapi.document("broker.example:4333")["servers"]["broker"]["host"] == "broker.example:4333"
