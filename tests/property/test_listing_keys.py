"""Keys of a listing sort by age, and so do the cursors that callers are told."""

from hypothesis import given
from hypothesis import strategies as st

from coordinator.listing import cursor_of, key_at, key_of, task_of
from tests.property.strategies import task_ids

moments_us = st.integers(0, 10**17 - 1)
keys = st.tuples(moments_us, task_ids)


@given(keys, keys)
def test_keys_and_cursors_sort_by_moment_then_task(one: tuple[int, str], other: tuple[int, str]) -> None:
    mine, its = key_of(one[1], one[0]), key_of(other[1], other[0])
    assert (mine < its) == (one < other)
    assert (cursor_of(mine) < cursor_of(its)) == (one < other)


@given(keys)
def test_a_listing_goes_on_behind_the_very_task_of_a_cursor(one: tuple[int, str]) -> None:
    key = key_of(one[1], one[0])
    assert key_at(cursor_of(key)) == key
    assert task_of(key) == one[1]


@given(st.text(max_size=20))
def test_what_is_no_cursor_harms_nobody(text: str) -> None:
    assert isinstance(key_at(text), bytes)
    assert (key_at(""), cursor_of(b"")) == (b"", "")
