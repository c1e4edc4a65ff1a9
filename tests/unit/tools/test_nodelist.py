"""The list of nodes says how each stands, and does not forget what was decided."""

from typing import Any

import pytest

from schemas.control import NodeStanding, NodeView, UnheardNode
from schemas.nodes import NodeWishes
from tests.examples import a_heartbeat
from tools.nodelist import NODES, _heard, _unheard, standing_of
from tools.tables import fit

NAMES = [column.name for column in NODES]


def row(**fields: Any) -> dict[str, str]:
    beat = a_heartbeat("attic", **fields.pop("beat", {}))
    about: dict[str, Any] = {
        "online": True,
        "heard_ago_s": 1.0,
        "assigned": 0,
        "standing": NodeStanding.ONLINE,
    } | fields
    cells = _heard(NodeView(node="attic", heartbeat=beat, **about))
    return dict(zip(NAMES, (cell.text for cell in cells), strict=True))


@pytest.mark.parametrize(
    ("fields", "status", "notes"),
    [
        ({}, "online", ""),
        (
            {"standing": NodeStanding.CORDONED, "wishes": NodeWishes(cordoned=True, reason="new disks")},
            "cordoned",
            "new disks",
        ),
        (
            {"standing": NodeStanding.DRAINING, "assigned": 3, "wishes": NodeWishes(draining=True)},
            "draining, 3 left",
            "",
        ),
        ({"standing": NodeStanding.ASIDE, "set_aside": "it fails", "set_aside_s": 28.2}, "set aside 28s", "it fails"),
        ({"set_aside": "it fails"}, "online", "given one task at a time: it fails"),
        ({"standing": NodeStanding.TROUBLE, "beat": {"trouble": "the disk is full"}}, "trouble", "the disk is full"),
        (
            {
                "standing": NodeStanding.OFFLINE,
                "online": False,
                "heard_ago_s": 300.0,
                "wishes": NodeWishes(cordoned=True, reason="new disks"),
            },
            "offline 5m",
            "new disks; cordoned",
        ),
    ],
)
def test_a_node_is_shown_as_it_stands(fields: dict[str, Any], status: str, notes: str) -> None:
    shown = row(**fields)
    assert (shown["status"], shown["notes"]) == (status, notes)


def test_slots_and_tags_are_those_that_hold() -> None:
    shown = row(wishes=NodeWishes(slots=9, tags=("ssd", "zone=b")), beat={"slots": 4, "tags": ("old",), "running": 2})
    assert (shown["running"], shown["tags"]) == ("2/9", "ssd,zone=b")


def test_a_node_that_was_not_heard_is_shown_for_what_was_decided() -> None:
    cells = _unheard(UnheardNode(node="cellar", wishes=NodeWishes(cordoned=True, reason="not yet", slots=2)))
    shown = dict(zip(NAMES, (cell.text for cell in cells), strict=True))
    assert (shown["node"], shown["status"], shown["notes"]) == ("cellar", "unheard", "cordoned; not yet")


@pytest.mark.parametrize(
    ("online", "beat", "expected"),
    [
        (True, {}, NodeStanding.ONLINE),
        (True, {"trouble": "full"}, NodeStanding.TROUBLE),
        (False, {}, NodeStanding.OFFLINE),
        (False, {"leaving": True}, NodeStanding.GONE),
    ],
)
def test_what_a_coordinator_of_an_older_version_does_not_say_is_found_out(
    online: bool, beat: dict[str, Any], expected: NodeStanding
) -> None:
    view = NodeView(node="a", online=online, heard_ago_s=0, assigned=0, heartbeat=a_heartbeat("a", **beat))
    assert standing_of(view) is expected


def test_tags_are_shown_before_notes_and_scraps_are_no_note() -> None:
    room = fit([10, 12, 7, 8, 9, 5, 8, 6, 7, 20, 30, 60], NODES, 80)
    assert room[NAMES.index("tags")] > 0
    assert room[NAMES.index("version")] == 0
    assert fit([10, 12, 7, 8, 9, 5, 8, 6, 7, 20, 30, 60], NODES, 45)[NAMES.index("notes")] == 0
    assert row(beat={"partial_bytes": 4096})["notes"] == ""
    assert row(beat={"partial_bytes": 2 << 20})["notes"] == "2 MiB in partial files without a task"
