"""Which limits on bandwidth a policy sets at a moment."""

from datetime import UTC, datetime

from coordinator.limits import limits_at
from schemas.nodes import NodeShare
from schemas.policy import policy_of


def test_windows_are_judged_on_the_clock_of_the_policy_s_zone() -> None:
    policy = policy_of({"bandwidth": ["08:00-09:00 1M"], "time_zone": "Asia/Kolkata"})
    told = [limits_at(policy, datetime(2026, 11, 23, hour, minute, tzinfo=UTC)).total for hour, minute in MOMENTS]
    assert told == [None, 1 << 20, 1 << 20, None]


MOMENTS = ((2, 29), (2, 30), (3, 29), (3, 30))


def test_an_entry_without_a_limit_of_its_own_is_an_exception_from_a_wider_one() -> None:
    policy = policy_of(
        {
            "origins": {
                "*": {"bytes_per_s": 100},
                "free.org": {"running": 3},
                "*.free.org": {"running": 3},
                "free.org:81": {"bytes_per_s": 7},
            }
        }
    )
    limits = limits_at(policy, datetime.now(UTC))
    expected = {"free.org:80": None, "free.org:81": 7, "a.free.org:80": None, "other.org:80": 100}
    assert {origin: limits.of(origin) for origin in expected} == expected
    share = NodeShare(others={"*": 5, "free.org": 0})
    assert (share.of("a.org:80"), share.of("free.org:80")) == (5, None)


def test_an_exception_holds_for_the_port_that_a_wider_entry_names_too() -> None:
    policy = policy_of(
        {"origins": {"a.free.org": {"running": 2}, "*.b.free.org": {}, "*.free.org:443": {"bytes_per_s": 9}}}
    )
    limits = limits_at(policy, datetime.now(UTC))
    expected = {"a.free.org:443": None, "c.b.free.org:443": None, "c.free.org:443": 9, "c.free.org:80": None}
    assert {origin: limits.of(origin) for origin in expected} == expected


def test_entries_that_limit_nothing_are_not_told_to_nodes() -> None:
    policy = policy_of({"origins": {"a.org": {"running": 3}, "b.org": {"bytes_per_s": 7}}})
    assert limits_at(policy, datetime.now(UTC)).origins == {"b.org": 7}
    assert not limits_at(policy_of({"origins": {"a.org": {"running": 3}}}), datetime.now(UTC))
