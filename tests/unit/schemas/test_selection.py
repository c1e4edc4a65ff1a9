"""Which files of several a request asks for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.selection import selected_files


def test_single_files_and_ranges_are_read() -> None:
    assert selected_files("1,3-5,9") == ((1, 1), (3, 5), (9, 9))
    assert selected_files("") == ()


@pytest.mark.parametrize("text", ["0", "1,", ",1", "5-3", "1-", "a", "1 2", "-1", "999999", "1\n", "1," * 600 + "1"])
def test_what_selects_nothing_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a selection"):
        selected_files(text)


@given(st.text(alphabet="0123456789,- ", max_size=12))
def test_whatever_is_read_names_files_from_one_on(text: str) -> None:
    try:
        ranges = selected_files(text)
    except ValueError:
        return
    assert all(1 <= first <= last for first, last in ranges)
