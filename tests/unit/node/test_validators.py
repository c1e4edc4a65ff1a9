"""Whether a file at an origin is still the one that was begun."""

from typing import Any

import pytest
from msgspec.structs import replace

from node.validators import (
    Judgement,
    Kept,
    Seen,
    address_key,
    changed,
    compare,
    compare_all,
    was_mixed,
    why_not_resumed,
)
from schemas.task import AttemptRecord, FailureClass

SAME, CHANGED, UNKNOWN = Judgement.SAME, Judgement.CHANGED, Judgement.UNKNOWN
FULL = Seen('"1"', "Fri, 01 Jan 2027 00:00:00 GMT", 100)


@pytest.mark.parametrize(
    ("before", "now", "judged"),
    [
        (FULL, FULL, SAME),
        (FULL, replace(FULL, etag='"2"'), CHANGED),
        (FULL, replace(FULL, length=101), CHANGED),
        (FULL, replace(FULL, last_modified="Sat, 02 Jan 2027 00:00:00 GMT"), SAME),
        (FULL, replace(FULL, etag=""), SAME),
        (Seen('W/"1"'), Seen('W/"1"'), SAME),
        (Seen('W/"1"'), Seen('W/"2"'), CHANGED),
        (Seen('W/"1"'), Seen('"1"'), CHANGED),
        (Seen("", "a"), Seen("", "b"), CHANGED),
        (Seen(length=5), Seen(length=5), SAME),
        (Seen(length=5), Seen(length=6), CHANGED),
        (Seen('"1"'), Seen("", "a"), UNKNOWN),
        (Seen(), Seen(), UNKNOWN),
        (Seen(), FULL, UNKNOWN),
    ],
)
def test_an_etag_decides_else_the_date_else_the_length(before: Seen, now: Seen, judged: Judgement) -> None:
    assert compare(before, now) is judged
    assert compare(now, before) is judged


def test_mirrors_are_compared_each_with_itself_and_one_change_is_enough() -> None:
    before = {"a": Seen('"1"'), "b": Seen('"x"')}
    assert compare_all(before, {"a": Seen('"1"'), "b": Seen('"x"')}) is SAME
    assert compare_all(before, {"a": Seen('"1"'), "b": Seen('"y"')}) is CHANGED
    assert compare_all(before, {"b": Seen('"x"'), "c": Seen('"1"')}) is SAME
    assert compare_all(before, {"c": Seen('"1"')}) is UNKNOWN


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({}, None),
        ({"kept": None}, "nobody knows"),
        ({"boot": "other"}, "the system was restarted"),
        ({"size": 101}, "more than the file"),
        ({"now": {"a": replace(FULL, etag='"2"')}}, 'it was ETag "1"'),
        ({"now": {"a": Seen()}}, "says nothing"),
        ({"now": {}}, None),
    ],
)
def test_a_partial_is_continued_unless_there_is_a_reason_not_to(change: dict[str, Any], why: str | None) -> None:
    case: dict[str, Any] = {"kept": Kept({"a": FULL}, "boot"), "now": {"a": FULL}, "size": 50, "boot": "boot"} | change
    said = why_not_resumed(case.pop("kept"), case.pop("now"), **case)
    assert said is None if why is None else why in (said or "")


def test_what_changed_is_said_in_figures() -> None:
    assert changed({"a": Seen('"1"', "", 5)}, {"a": Seen('"2"', "", 6)}) == (
        'the file changed at its origin: it was ETag "1", 5 bytes, now it is ETag "2", 6 bytes'
    )


def test_an_address_is_kept_without_what_is_secret_in_it() -> None:
    key = address_key("https://user:secret@a.example/f?token=secret")
    assert "secret" not in key
    assert key != address_key("https://a.example/f")


def test_a_file_that_changed_in_an_earlier_attempt_is_remembered() -> None:
    record = AttemptRecord(1, "n", "changed", FailureClass.DAMAGED, "changed")
    assert was_mixed([record])
    assert not was_mixed([replace(record, code="size-mismatch")])


def test_a_partial_that_was_begun_while_its_origin_said_nothing_is_not_continued_once_it_speaks() -> None:
    unseen = Kept({}, "boot")
    assert why_not_resumed(unseen, {"a": FULL}, size=10, boot="boot") == (
        "the origin said nothing of the file when it was begun"
    )
    assert why_not_resumed(unseen, {}, size=10, boot="boot") is None, "it is compared, or given up, when it is whole"
