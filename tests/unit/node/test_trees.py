"""Names that a metalink or torrent gives its files, made safe."""

from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.trees import NAMELESS, numbered, safe_name, safe_paths
from schemas.names import NAME_BYTES_MAX
from schemas.request import STAGING_NAME


def paths(*names: str) -> list[str]:
    return [path.as_posix() for path in safe_paths(names)]


def test_good_names_stay_as_they_are() -> None:
    assert paths("a.iso", "docs/read me.txt", "docs/übung/c") == ["a.iso", "docs/read me.txt", "docs/übung/c"]


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("../../etc/passwd", f"{NAMELESS}/{NAMELESS}.1/etc/passwd"),
        ("/etc/passwd", "etc/passwd"),
        ("a/./../b", f"a/{NAMELESS}/{NAMELESS}.1/b"),
        ("..\\..\\x", f"{NAMELESS}/{NAMELESS}.1/x"),
        ("", NAMELESS),
        ("///", NAMELESS),
        ("a\r\nb\x00c\x7f", "a__b_c_"),
        (STAGING_NAME.upper(), f"_{STAGING_NAME.upper()}"),
        (f"{STAGING_NAME}/x", f"_{STAGING_NAME}/x"),
        ("bad\udcffbyte", "bad?byte"),
    ],
)
def test_a_name_that_would_lead_elsewhere_is_made_safe(name: str, safe: str) -> None:
    [path] = paths(name)
    assert [part.removesuffix(".1") for part in path.split("/")] == [
        part.removesuffix(".1") for part in safe.split("/")
    ]


def test_two_files_never_share_a_path_nor_is_one_where_another_has_its_folder() -> None:
    assert paths("a.txt", "A.TXT", "a.txt") == ["a.txt", "A.1.TXT", "a.2.txt"]
    assert paths("a", "a/b", "a/c") == ["a", "a.1/b", "a.1/c"]
    assert paths("a/b", "a", "A/b") == ["a/b", "a.1", "a/b.1"]


def test_a_long_name_is_cut_and_keeps_its_suffix() -> None:
    cut = safe_name("ü" * 300 + ".iso")
    assert cut.endswith("ü.iso")
    assert len(cut.encode()) <= NAME_BYTES_MAX


def test_a_numbered_folder_keeps_its_name_whole() -> None:
    assert numbered("ubuntu-24.04", 1, keep_suffix=False) == "ubuntu-24.04.1"
    assert numbered("a.iso", 1) == "a.1.iso"


@given(st.lists(st.text(), max_size=8))
def test_whatever_the_names_are_the_paths_stay_inside_and_apart(names: list[str]) -> None:
    found = safe_paths(names)
    folded = [str(path).casefold() for path in found]
    assert len(set(folded)) == len(names)
    for path in found:
        assert not path.is_absolute()
        assert ".." not in path.parts
        assert path.parts[0].casefold() != STAGING_NAME
        assert all(0 < len(part.encode()) <= NAME_BYTES_MAX for part in path.parts)
        assert not any(ord(ch) < 32 for ch in str(path))
        parents = {str(parent).casefold() for parent in PurePosixPath(path).parents}
        assert not parents & set(folded)
