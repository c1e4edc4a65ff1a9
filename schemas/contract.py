"""The wire contract as JSON Schema, made from the very types that decode it. Pure: nothing is read or written."""

import types
from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Struct

from schemas import __version__, control, event, orders, transfer
from schemas.heartbeat import Heartbeat, Progress
from schemas.nodes import NodeShare, NodeWishes
from schemas.options import ALLOWED
from schemas.policy import Policy
from schemas.request import DIGEST_HEX, Request
from schemas.task import TaskRow
from schemas.unknown import Strict

DIALECT = "https://json-schema.org/draft/2020-12/schema"
EVENTS: dict[str, Any] = {str(kind.__struct_config__.tag): kind for kind in get_args(event.AnyEvent)}
"""Each event's type by the word in its subject."""


class Verb(NamedTuple):
    """What a verb takes and answers, and what it answers instead when it is not done."""

    query: type
    answer: type
    """`bytes`: no JSON, but a part of a file."""
    says: str
    refusal: type = control.ErrorReply


_STEERS: tuple[type, type] = (control.Steer, control.SteerReply)
_ORDERS: tuple[type, type] = (orders.NodeOrder, orders.OrderReply)
CONTROL: dict[str, Verb] = {
    "cancel": Verb(control.Cancel, control.SteerReply, "Cancel tasks, running or queued."),
    "pause": Verb(*_STEERS, "Pause tasks; what is downloaded so far is kept."),
    "resume": Verb(*_STEERS, "Let paused tasks go on."),
    "retry": Verb(*_STEERS, "Try again: at once what waits for its next try, as a new task what has ended."),
    "clear": Verb(*_STEERS, "Cancel what is queued: of these ids, or everything the caller reaches."),
    "prioritise": Verb(
        control.Prioritise, control.SteerReply, "Change tasks' priority, or their position in the queue."
    ),
    "limit": Verb(control.SetLimits, control.SteerReply, "Set how fast tasks may be, also while they run."),
    "list": Verb(control.ListQuery, control.ListReply, "Live tasks, a page at a time."),
    "show": Verb(control.ShowQuery, control.ShowReply, "One task and its events."),
    "explain": Verb(
        control.ExplainQuery, control.ExplainReply, "Why a task stands where it stands, or what it waits for."
    ),
    "nodes": Verb(control.Steer, control.NodesReply, "The nodes as heard; the query's fields do not matter."),
    "stats": Verb(control.Steer, control.StatsReply, "Counts by state and outcome; the query's fields do not matter."),
    "policy": Verb(control.Steer, control.PolicyReply, "The cluster's policy; the query's fields do not matter."),
    "policy-set": Verb(control.PolicySet, control.PolicySetReply, "Replace the cluster's policy; as `admin` only."),
    "cordon": Verb(*_ORDERS, "Give nodes nothing new; what they hold goes on. As `admin` only."),
    "uncordon": Verb(*_ORDERS, "Give nodes tasks again: ends cordon, drain and setting aside. As `admin` only."),
    "drain": Verb(
        *_ORDERS, "Cordon nodes and take back what has not begun; with `now` what runs, too. As `admin` only."
    ),
    "configure": Verb(
        orders.NodeChange, orders.OrderReply, "Set nodes' slots, tags and limits, or pause them. As `admin` only."
    ),
}
FILES: dict[str, Verb] = {
    transfer.READ: Verb(transfer.ReadQuery, bytes, "A part of a finished file.", transfer.FileRefusal),
    transfer.DELETE: Verb(
        transfer.DeleteQuery, transfer.Deleted, "Delete a finished file, if it is still the very one.", transfer.Deleted
    ),
}
"""What a node is asked about its finished files."""


def _payloads() -> dict[str, Any]:
    named = {"request": Request, "event": event.AnyEvent, **EVENTS}
    named |= {"heartbeat": Heartbeat, "progress": Progress, "task-row": TaskRow}
    named |= {"policy": Policy, "node-wishes": NodeWishes, "node-share": NodeShare}
    asked = [kind for verb in (*CONTROL.values(), *FILES.values()) for kind in (verb.query, verb.answer, verb.refusal)]
    return named | {_kebab(kind.__name__): kind for kind in asked if kind is not bytes}


def _kebab(name: str) -> str:
    return "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("-")


PAYLOADS: dict[str, Any] = _payloads()
"""Every payload by its name on the command line: `request`, `event`, an event's own type, `list-query` …"""


def json_schema(name: str = "") -> dict[str, Any]:
    """A JSON Schema document: of one payload, or with '' all of them as `$defs`. Raises KeyError for no such name."""
    head = {"$schema": DIALECT}
    if not name:
        _, definitions = components(PAYLOADS.values(), "#/$defs/{name}")
        return head | {"title": f"Downdraft {__version__}: everything on the wire", "$defs": definitions}
    [schema], definitions = components([PAYLOADS[name]], "#/$defs/{name}")
    return head | {"title": f"Downdraft {__version__}: {name}"} | schema | {"$defs": definitions}


def components(kinds: Iterable[Any], reference: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """A schema for each type, and the definitions they refer to as `reference` says (`{name}` in it)."""
    wanted = list(kinds)
    schemas, definitions = msgspec.json.schema_components(wanted, ref_template=reference)
    close(wanted, definitions)
    for kind in structs(wanted):
        _mark_moments(kind, definitions[kind.__name__])
    if "Request" in definitions:
        _tell_what_types_cannot(definitions["Request"])
    return [_portable(schema) for schema in schemas], {key: _portable(found) for key, found in definitions.items()}


def close(kinds: Iterable[Any], definitions: dict[str, Any]) -> None:
    """Say of each `Strict` part within these types that it has no other fields: whoever writes one is told early."""
    for kind in structs(kinds):
        if issubclass(kind, Strict):
            definitions[kind.__name__]["additionalProperties"] = False


def _portable(node: Any) -> Any:
    """As any validator understands it: Python's `\\Z` is `$` elsewhere, and `discriminator` is OpenAPI's alone."""
    if isinstance(node, dict):
        kept = {key: _portable(value) for key, value in node.items() if key != "discriminator"}
        if isinstance(pattern := node.get("pattern"), str):
            kept["pattern"] = pattern.replace(r"\Z", "$")
        return kept
    return [_portable(item) for item in node] if isinstance(node, list | tuple) else node


def structs(kinds: Iterable[Any]) -> list[type[Struct]]:
    """Every Struct within these types, each once."""
    found: dict[type[Struct], None] = {}
    left = list(kinds)
    while left:
        kind = left.pop()
        if isinstance(kind, type) and issubclass(kind, Struct):
            if kind not in found:
                found[kind] = None
                left += get_type_hints(kind).values()
        else:
            left += get_args(kind)
    return list(found)


def _mark_moments(kind: type[Struct], schema: dict[str, Any]) -> None:
    """Say `date-time` of each time: msgspec does only where it insists on a zone, while we always write one."""
    for name, hint in get_type_hints(kind).items():
        variants = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
        if datetime in variants:
            for part in schema["properties"][name].get("anyOf", [schema["properties"][name]]):
                if part.get("type") == "string":
                    part["format"] = "date-time"


def _tell_what_types_cannot(request: dict[str, Any]) -> None:
    """Of `schemas.request.normalise`, what a schema can say: an address is needed; options and digests are listed."""
    fields = request["properties"]
    fields["options"]["propertyNames"] = {"enum": list(ALLOWED)}
    digests = "|".join(f"{kind}=[0-9a-fA-F]{{{digits}}}" for kind, digits in DIGEST_HEX.items())
    fields["checksum"]["anyOf"][0]["pattern"] = f"^({digests})$"
    request["anyOf"] = [
        {"required": ["uris"], "properties": {"uris": {"minItems": 1}}},
        {"required": ["uri"], "properties": {"uri": {"type": "string"}}},
    ]
