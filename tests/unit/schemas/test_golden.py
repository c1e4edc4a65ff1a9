"""Rolling upgrades: what each release wrote is read by this one, and what a newer one adds is passed over."""

import json
from typing import Any

import pytest

from schemas import __version__, asyncapi, codec, contract
from schemas.control import ShowAnswer, ShowReply
from schemas.filter import TaskFilter
from tests.golden import FOLDER, KINDS, filled

RELEASES = sorted(file.parent.name for file in FOLDER.glob("*/payloads.json"))
WRITTEN: dict[str, dict[str, Any]] = {
    release: json.loads((FOLDER / release / "payloads.json").read_text()) for release in RELEASES
}
EACH = [(release, name) for release in RELEASES for name in WRITTEN[release]]
CLOSED = {"where"}
"""A condition that nobody knows is refused, for without it more would be cancelled than was meant: it is asked, never
stored, so that nothing of a newer version is lost on an older one (docs/operations.md)."""
WRITE = "run `python -m tests.golden`; if this version is released already, name the next in schemas/__init__.py first"
NEW = {"new_word": "x", "new_list": [{"deep": 1}], "new_number": 1.5, "new_nothing": None}


@pytest.mark.parametrize(("release", "name"), EACH)
def test_what_a_release_wrote_is_read_with_every_field(release: str, name: str) -> None:
    wrote = WRITTEN[release][name]

    read = codec.decode(json.dumps(wrote).encode(), KINDS[name])

    assert within(wrote, json.loads(codec.encode(read))) == []


@pytest.mark.parametrize("name", sorted(KINDS))
def test_what_a_newer_version_adds_is_passed_over_everywhere(name: str) -> None:
    wrote = WRITTEN[RELEASES[-1]].get(name) or filled(KINDS[name])

    assert codec.decode(json.dumps(added_to(wrote)).encode(), KINDS[name]) == codec.decode(
        json.dumps(wrote).encode(), KINDS[name]
    )


def test_events_of_types_that_a_newer_version_adds_are_passed_over_in_an_answer() -> None:
    wrote = WRITTEN[RELEASES[-1]]["show-reply"]
    newer = wrote | {"events": [{"type": "teleported", "task": {"deep": 1}}, *wrote["events"]]}

    told = codec.decode(json.dumps(newer).encode(), ShowAnswer).reply

    assert told == codec.decode(json.dumps(wrote).encode(), ShowReply)


def test_every_type_that_is_read_from_the_broker_has_a_payload_here() -> None:
    told = {kind for channel in asyncapi.CHANNELS.values() for kind in channel.payloads}
    asked = {kind for one in asyncapi.QUESTIONS.values() for kind in (one.verb.query, *one.answers)}

    assert (told | asked) - set(KINDS.values()) == {bytes}


def test_no_other_struct_of_the_wire_refuses_what_it_does_not_know() -> None:
    refusing = {kind for kind in contract.structs(KINDS.values()) if kind.__struct_config__.forbid_unknown_fields}

    assert refusing == {TaskFilter}


@pytest.mark.parametrize("release", RELEASES)
def test_no_payload_of_a_release_is_gone(release: str) -> None:
    assert WRITTEN[release].keys() - KINDS.keys() == set()


@pytest.mark.parametrize("name", sorted(KINDS))
def test_this_version_has_each_payload_kept_with_every_field(name: str) -> None:
    kept = WRITTEN.get(__version__, {})

    assert name in kept, WRITE
    assert fields(filled(KINDS[name])) - fields(kept[name]) == set(), WRITE


def within(old: Any, new: Any, where: str = "") -> list[str]:
    """Where `new` lacks, or says otherwise, what `old` says."""
    if isinstance(old, dict) and isinstance(new, dict):
        return [
            found
            for key, value in old.items()
            for found in (within(value, new[key], f"{where}.{key}") if key in new else [f"{where}.{key}"])
        ]
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return [found for one, other in zip(old, new, strict=True) for found in within(one, other, f"{where}[]")]
    return [] if old == new else [where]


def fields(wrote: Any, where: str = "") -> set[str]:
    """Every field, at every depth."""
    if isinstance(wrote, list):
        return {found for one in wrote for found in fields(one, f"{where}[]")}
    if not isinstance(wrote, dict):
        return {where}
    return {where} | {found for key, value in wrote.items() for found in fields(value, f"{where}.{key}")}


def added_to(wrote: Any) -> Any:
    """The same with fields that nobody knows, in every object that is a struct: maps of free keys stay as they are."""
    if isinstance(wrote, dict):
        inner = {key: value if key in CLOSED else added_to(value) for key, value in wrote.items()}
        return inner if is_map(wrote) else inner | NEW
    return [added_to(one) for one in wrote] if isinstance(wrote, list) else wrote


def is_map(value: dict[str, Any]) -> bool:
    """The generator's keys of maps are one letter or digit; no field's name is."""
    return any(len(key) == 1 for key in value)
