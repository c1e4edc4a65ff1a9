"""A set of sequences is a set."""

from hypothesis import given
from hypothesis import strategies as st

from coordinator.sequences import PAGE, Sequences

numbers = st.integers(0, 3 * PAGE) | st.integers(0, 1 << 62)


@given(st.lists(st.tuples(st.booleans(), numbers)))
def test_sequences_come_and_go_as_in_any_set(steps: list[tuple[bool, int]]) -> None:
    found, expected = Sequences(), set[int]()
    for is_added, number in steps:
        (found.add if is_added else found.discard)(number)
        (expected.add if is_added else expected.discard)(number)
        assert (number in found) == is_added
    assert list(found) == sorted(expected)
    assert len(found) == len(expected)


def test_what_was_emptied_takes_no_memory() -> None:
    found = Sequences(range(5 * PAGE))
    for number in range(5 * PAGE):
        found.discard(number)
    assert not found._pages
