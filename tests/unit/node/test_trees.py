"""Names that a metalink or torrent gives its files, made safe."""

import time
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
        (STAGING_NAME.upper(), "_DOWNDRAFT"),
        (f"{STAGING_NAME}/x", "_downdraft/x"),
        (f"{STAGING_NAME}-00000000000000aa", "_downdraft-00000000000000aa"),
        ("bad\udcffbyte", "bad_byte"),
        ("-rf/.bashrc", "_rf/_bashrc"),
        ("a\u202egpj.exe", "a_gpj.exe"),
        ("e\u0301", "é"),
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


def test_thousands_of_files_of_one_name_or_in_deep_folders_are_named_at_once() -> None:
    began = time.process_time()
    assert len(set(safe_paths(["same.bin"] * 2000))) == 2000
    assert {len(path.parts) for path in safe_paths(["a/" * 511 + "b"] * 200)} == {1}
    assert time.process_time() - began < 2.0, "trying every number anew took 13 s"


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
        assert not path.parts[0].casefold().startswith(STAGING_NAME)
        assert all(0 < len(part.encode()) <= NAME_BYTES_MAX for part in path.parts)
        assert not any(ord(ch) < 32 for ch in str(path))
        parents = {str(parent).casefold() for parent in PurePosixPath(path).parents}
        assert not parents & set(folded)
