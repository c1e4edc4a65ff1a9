"""Sizes: what is typed is what is meant, and what is shown is near it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.sizes import SIZE_MAX, format_size, parse_size

UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
suffixes = st.sampled_from(["", "B", "b", "iB", "ib"])
counts = st.integers(0, 1 << 20)


@given(counts, st.sampled_from(sorted(UNITS)), suffixes, st.booleans())
def test_a_size_with_a_unit_is_that_many_times_it(count: int, unit: str, suffix: str, small: bool) -> None:
    text = f"{count}{unit.lower() if small else unit}{suffix}"
    assert parse_size(text) == count * UNITS[unit]


@given(st.integers(0, SIZE_MAX))
def test_a_number_of_bytes_is_itself(count: int) -> None:
    assert parse_size(count) == parse_size(str(count)) == parse_size(f" {count}\n") == count


@given(st.text(max_size=12) | st.integers())
def test_what_is_no_size_is_a_value_error_and_what_is_fits_64_bits(text: str | int) -> None:
    said = "a size"
    try:
        assert 0 <= parse_size(text) <= SIZE_MAX
    except ValueError as error:
        said = str(error)
    assert "size" in said


@pytest.mark.parametrize(
    "text", ["", "-1", "1.5M", "1 M", "M", "1P", "0x10", "1e6", "1_000", "٣", "5\u212a", "9" * 5000]
)
def test_these_are_not_sizes(text: str) -> None:
    with pytest.raises(ValueError, match="size"):
        parse_size(text)


@given(st.integers(0, 1 << 50))
def test_what_is_shown_is_within_half_a_percent(count: int) -> None:
    number, unit = format_size(count).split(" ")
    shown = float(number) * UNITS[unit.removesuffix("iB").removesuffix("B")]
    assert abs(shown - count) <= 0.005 * count
