"""Which paths a node takes for those of finished files."""

from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.finished import FileRefused, inner_path
from schemas.request import STAGING_NAME

pieces = st.sampled_from(["..", ".", "", "a", "b c", STAGING_NAME, STAGING_NAME.upper(), "\0", "…", "\ud800"])
paths = st.lists(pieces | st.text(max_size=5), max_size=6).map("/".join)


@given(paths)
def test_an_accepted_path_stays_below_the_folder_and_out_of_staging(path: str) -> None:
    try:
        relative = inner_path(path)
    except FileRefused:
        return
    whole = PurePosixPath("/downloads") / relative
    assert whole.is_relative_to("/downloads")
    assert whole.name
    assert not {"..", "\0"} & set(whole.parts)
    assert relative.parts[0].lower() != STAGING_NAME
    relative.as_posix().encode()


@given(st.lists(st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1), min_size=1))
def test_a_plain_path_is_accepted_as_it_is(names: list[str]) -> None:
    if {".", ".."} & set(names) or names[0].casefold() == STAGING_NAME:
        return
    assert inner_path("/".join(names)).parts == tuple(names)


@pytest.mark.parametrize("path", ["\ud800", "a/\udcff", "\0"])
def test_what_no_file_system_could_hold_is_refused(path: str) -> None:
    with pytest.raises(FileRefused):
        inner_path(path)
