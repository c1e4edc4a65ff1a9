"""What each condition of a filter means."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from schemas import codec
from schemas.event import Completed, Failed
from schemas.filter import VALUES_MAX, Standing, TaskFilter, filter_of
from schemas.lifecycle import Desired, Outcome, State
from schemas.redact import URIS_BYTES_MAX, told_of
from schemas.request import Request
from schemas.view import TaskView, ended

NOON = datetime(2031, 5, 1, 12, tzinfo=UTC)


def a_task(**fields: Any) -> TaskView:
    base: dict[str, Any] = {
        "task": "0123456789abcdef",
        "owner": "team-a",
        "state": State.QUEUED,
        "name": "Debian netinst",
        "uris": ("https://mirror.example.org/debian.iso", "ftp://[::1]/debian.iso"),
        "tags": ("eu", "ssd"),
        "labels": {"project": "mirror", "run": "7"},
        "submitted": NOON,
    }
    return TaskView(**base | fields)


def matches(view: TaskView, **conditions: Any) -> bool:
    return filter_of(**conditions).matches(view)


def test_without_conditions_every_task_matches() -> None:
    assert TaskFilter().is_empty
    assert TaskFilter().matches(a_task())


def test_several_states_are_alternatives() -> None:
    assert matches(a_task(), states=["active", "queued"])
    assert not matches(a_task(), states=["active"])


def test_a_paused_task_is_paused_and_in_its_state() -> None:
    paused = a_task(desired=Desired.PAUSE)
    assert matches(paused, states=["paused"])
    assert matches(paused, states=["queued"])
    assert not matches(a_task(), states=["paused"])


def test_a_task_that_has_ended_is_no_longer_paused() -> None:
    assert not matches(a_task(state=State.COMPLETED, desired=Desired.PAUSE, finished=NOON), states=["paused"])


def test_all_tags_must_be_there() -> None:
    assert matches(a_task(), tags=["eu", "ssd"])
    assert not matches(a_task(), tags=["eu", "hdd"])


def test_a_label_is_asked_for_with_its_value_or_with_any() -> None:
    assert matches(a_task(), labels=["project=mirror", "run"])
    assert not matches(a_task(), labels=["project=mirro"])
    assert not matches(a_task(), labels=["project=mirror", "owner"])
    assert matches(a_task(labels={"a": "b=c"}), labels=["a=b=c"]), "only the first = separates"
    assert not matches(a_task(), labels=["run="]), "an empty value is a value"


def test_owners_and_nodes_are_alternatives() -> None:
    assert matches(a_task(node="attic"), owners=["team-b", "team-a"], nodes=["attic", "cellar"])
    assert not matches(a_task(node="attic"), owners=["team-b"], nodes=["attic"])


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ("mirror.example.org", True),
        ("MIRROR.example.org", True),
        ("mirror.example.org:443", True),
        ("mirror.example.org:80", False),
        ("*.example.org", True),
        ("*.example.org:443", True),
        ("*.example.org:80", False),
        ("*.mirror.example.org", False),
        ("*.ample.org", False),
        ("example.org", False),
        ("::1", True),
        ("[::1]:21", True),
    ],
)
def test_an_origin_is_a_host_with_or_without_port_or_a_suffix(origin: str, expected: bool) -> None:
    assert matches(a_task(), origins=[origin]) is expected


def test_an_address_that_is_none_matches_no_origin() -> None:
    assert not matches(a_task(uris=("http://[", "nonsense")), origins=["*.org"])


@pytest.mark.parametrize("text", ["89AB", "debian NET", "mirror.example", "no space", "below/f"])
def test_text_is_found_whatever_its_case_in_what_people_see(text: str) -> None:
    assert matches(a_task(reason="No space left", path="below/F"), text=text)


def test_text_is_not_looked_for_in_labels_or_tags() -> None:
    assert not matches(a_task(), text="ssd")


def test_a_live_task_is_as_old_as_its_submission() -> None:
    assert matches(a_task(), since=NOON, until=NOON + timedelta(seconds=1))
    assert not matches(a_task(), until=NOON)
    assert not matches(a_task(), since=NOON + timedelta(seconds=1))


def test_an_ended_task_is_as_old_as_its_end() -> None:
    view = a_task(state=State.FAILED, finished=NOON + timedelta(hours=1))
    assert matches(view, since=NOON + timedelta(minutes=30))
    assert not matches(view, until=NOON + timedelta(minutes=30))


def test_a_task_of_unknown_age_is_in_no_time() -> None:
    assert not matches(a_task(submitted=None), since=NOON)


def test_a_condition_that_is_not_known_is_an_error_and_not_passed_over() -> None:
    with pytest.raises(msgspec.ValidationError):
        codec.decode(b'{"colours": ["red"]}', TaskFilter)


@pytest.mark.parametrize(
    "conditions",
    [{"tags": [""]}, {"tags": ["x"] * (VALUES_MAX + 1)}, {"labels": ["x" * 400]}, {"text": "x" * 300}],
)
def test_its_values_are_bounded(conditions: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        filter_of(**conditions)


def test_it_knows_which_outcomes_it_asks_for() -> None:
    assert TaskFilter().outcomes == tuple(Outcome)
    mixed = TaskFilter(states=(Standing.FAILED, Standing.QUEUED))
    assert (mixed.outcomes, mixed.live_states, mixed.concerns_live) == ((Outcome.FAILED,), (Standing.QUEUED,), True)
    assert not TaskFilter(states=(Standing.FAILED,)).concerns_live


def test_an_ended_task_with_secrets_is_found_by_its_addresses_and_tags() -> None:
    request = Request(uris=("https://u:p@h.example/f?token=x",), tags=("eu",), headers={"Cookie": "c"})
    event = Failed(task="0" * 16, owner="o", time=NOON, reason="r", **told_of(request))
    assert event.request is None
    view = ended(event)
    assert view.uris == ("https://h.example/f?token=***",)
    assert matches(view, origins=["h.example"], tags=["eu"], text="h.example/f")


def test_an_ended_task_without_secrets_tells_its_addresses_once() -> None:
    request = Request(uris=("https://h.example/f",), tags=("eu",))
    event = Completed(
        task="0" * 16, owner="o", time=NOON, node="n", path="f", bytes=1, digest="", seconds=1.0, **told_of(request)
    )
    assert (event.request, event.uris, event.tags) == (request, (), ())
    assert (ended(event).uris, ended(event).tags) == (request.uris, request.tags)


def test_of_very_many_withheld_addresses_only_the_first_are_told() -> None:
    uris = tuple(f"https://h.example/{number}/{'x' * 6000}?token=1" for number in range(60))
    told = told_of(Request(uris=uris))["uris"]
    assert 0 < len(told) < len(uris)
    assert sum(map(len, told)) <= URIS_BYTES_MAX
