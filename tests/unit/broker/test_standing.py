"""What a follower of keys makes of what it hears and reads."""

from broker.standing import Following, Found

OLD, NEW = Found(b"old", 3), Found(b"new", 7)
GONE = Found(b"", 9)


def following(*values: Found) -> Following:
    """A follower that has read these, one after the other."""
    made = Following()
    for value in values:
        made.heard("policy", value)
    return made


def test_a_first_reading_is_all_news() -> None:
    assert Following().has_read({"policy": OLD, "nodes.a": NEW}) == {"policy": OLD, "nodes.a": NEW}


def test_what_is_known_is_no_news() -> None:
    made = following(OLD)
    assert made.heard("policy", OLD) == {}
    assert made.has_read({"policy": OLD}) == {}


def test_a_newer_value_is_heard_or_read() -> None:
    assert following(OLD).heard("policy", NEW) == {"policy": NEW}
    assert following(OLD).has_read({"policy": NEW}) == {"policy": NEW}


def test_an_older_value_that_is_heard_late_changes_nothing() -> None:
    assert following(NEW).heard("policy", OLD) == {}


def test_a_reading_that_lags_changes_nothing() -> None:
    made = following(NEW)
    assert made.has_read({"policy": OLD}) == {}
    assert made.has_read({"policy": NEW}) == {}
    assert made.has_read({"policy": OLD}) == {}, "a second look must follow the first"


def test_a_value_that_stays_older_is_the_value_of_a_bucket_that_was_made_anew() -> None:
    made = following(NEW)
    made.has_read({"policy": OLD})
    assert made.has_read({"policy": OLD}) == {"policy": OLD}
    assert made.heard("policy", Found(b"newer", 4)) == {"policy": Found(b"newer", 4)}


def test_a_value_that_is_missing_twice_is_gone() -> None:
    made = following(OLD)
    assert made.has_read({}) == {}
    assert made.has_read({}) == {"policy": None}
    assert made.has_read({}) == {}


def test_a_value_that_was_taken_away_is_gone_at_once() -> None:
    assert following(OLD).heard("policy", GONE) == {"policy": None}
    assert following(OLD).has_read({"policy": GONE}) == {"policy": None}


def test_nobody_is_told_that_what_never_was_is_gone() -> None:
    assert Following().heard("policy", GONE) == {}
    assert Following().has_read({"policy": GONE}) == {}
    assert following(OLD, GONE).has_read({}) == {}
