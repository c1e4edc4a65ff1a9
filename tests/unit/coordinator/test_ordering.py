"""What an order makes of what was wished of a node."""

from typing import Any

import pytest

from coordinator.draining import is_asked_back
from coordinator.ordering import configured, cordoned, drained, told, uncordoned
from coordinator.views import standing_of, state_of
from schemas.control import NodeStanding
from schemas.heartbeat import Held
from schemas.lifecycle import Desired, State
from schemas.nodes import TAGS_MAX, NodeWishes
from schemas.orders import NodeChange
from tests.examples import TASK, a_heartbeat, a_stored, an_assigned_row

SET = NodeWishes(slots=3, tags=("ssd",))


def change(wishes: NodeWishes, own_tags: tuple[str, ...] | None = ("hdd",), **asked: Any) -> NodeWishes | str:
    return configured(wishes, NodeChange(**asked), own_tags)


def test_closing_and_opening_leave_slots_and_tags_alone() -> None:
    for closed in (cordoned(SET, "why"), drained(SET, now=True, reason="why")):
        assert closed.is_closed
        assert (closed.reason, closed.slots, closed.tags) == ("why", 3, ("ssd",))
        assert uncordoned(closed) == SET


def test_a_reason_stays_where_none_is_given_with_the_next_order() -> None:
    assert drained(cordoned(SET, "new disks"), now=False, reason="").reason == "new disks"


def test_cordoning_a_node_that_drains_lets_it_keep_the_rest() -> None:
    left = cordoned(drained(SET, now=True, reason=""), "")
    assert (left.cordoned, left.draining, left.now) == (True, False, False)


def test_draining_without_now_lets_what_runs_be_finished_after_all() -> None:
    assert not drained(drained(SET, now=True, reason=""), now=False, reason="").now


def test_what_is_left_out_of_a_change_stays() -> None:
    assert change(SET, slots=5) == NodeWishes(slots=5, tags=("ssd",))
    assert change(SET, own_slots=True) == NodeWishes(tags=("ssd",))
    assert change(SET, own_tags=None, own_slots=True) == NodeWishes(tags=("ssd",))


def test_tags_are_added_to_those_that_hold() -> None:
    assert change(NodeWishes(), add_tags=("ssd",)) == NodeWishes(tags=("hdd", "ssd"))
    assert change(SET, add_tags=("ssd", "eu"), remove_tags=("ssd",)) != SET
    assert change(SET, remove_tags=("ssd",)) == NodeWishes(slots=3, tags=())


def test_one_that_has_its_own_tags_again_goes_by_its_own_settings() -> None:
    assert change(SET, remove_tags=("ssd",), add_tags=("hdd",)) == NodeWishes(slots=3)


def test_tags_of_a_node_that_was_never_heard_can_not_be_changed_by_parts() -> None:
    assert "its own tags are not known" in str(change(NodeWishes(), None, add_tags=("ssd",)))
    assert change(SET, None, add_tags=("eu",)) == NodeWishes(slots=3, tags=("ssd", "eu"))


def test_more_tags_than_a_heartbeat_should_carry_are_refused() -> None:
    many = tuple(f"t{number}" for number in range(TAGS_MAX + 1))
    assert str(TAGS_MAX) in str(change(NodeWishes(), add_tags=many))


def test_wishes_are_told_in_words() -> None:
    assert told(NodeWishes()) == "takes tasks"
    assert told(drained(SET, now=True, reason="")) == "draining at once, 3 slots, tags ssd"
    assert told(NodeWishes(cordoned=True, tags=())) == "cordoned, no tags"


@pytest.mark.parametrize(
    ("phase", "now", "asked"),
    [
        ("waiting", False, True),
        ("probing", False, True),
        ("paused", False, True),
        ("interrupted", False, True),
        ("active", False, False),
        ("active", True, True),
        ("seeding", False, False),
        ("seeding", True, True),
        ("verifying", True, False),
        ("reporting", True, False),
    ],
)
def test_what_has_not_begun_is_asked_back_and_with_now_what_runs(phase: str, now: bool, asked: bool) -> None:
    wishes = NodeWishes(draining=True, now=now)
    assert is_asked_back(wishes, Held(TASK, 1, phase), an_assigned_row()) is asked


def test_what_is_given_to_others_runs() -> None:
    assert state_of(a_stored(1, an_assigned_row()), Held(TASK, 1, "seeding")) is State.ACTIVE


def test_nothing_is_asked_back_twice_nor_what_is_being_cancelled_nor_another_attempt() -> None:
    wishes, held = NodeWishes(draining=True), Held(TASK, 1, "waiting")
    for desired in (Desired.RELEASE, Desired.CANCEL):
        assert not is_asked_back(wishes, held, an_assigned_row(desired=desired))
    assert not is_asked_back(wishes, held, an_assigned_row(attempt=2))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, NodeStanding.ONLINE),
        ({"is_aside": True}, NodeStanding.ASIDE),
        ({"is_aside": True, "beat": {"trouble": "the disk is full"}}, NodeStanding.TROUBLE),
        ({"beat": {"trouble": "the disk is full"}, "wishes": NodeWishes(cordoned=True)}, NodeStanding.CORDONED),
        ({"wishes": NodeWishes(draining=True), "assigned": 2}, NodeStanding.DRAINING),
        ({"wishes": NodeWishes(draining=True), "beat": {"held": (Held(TASK, 1, "active"),)}}, NodeStanding.DRAINING),
        ({"wishes": NodeWishes(draining=True)}, NodeStanding.DRAINED),
        ({"wishes": NodeWishes(draining=True), "online": False}, NodeStanding.OFFLINE),
        ({"online": False, "beat": {"leaving": True}}, NodeStanding.GONE),
    ],
)
def test_a_node_stands_as_matters_most(fields: dict[str, Any], expected: NodeStanding) -> None:
    about: dict[str, Any] = {"wishes": NodeWishes(), "online": True, "assigned": 0, "is_aside": False} | fields
    beat = a_heartbeat(**about.pop("beat", {}))
    assert standing_of(beat, **about) is expected
