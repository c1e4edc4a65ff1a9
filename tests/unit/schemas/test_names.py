"""Names that others choose become safe; what a request says is kept where it can be stored."""

import pytest

from schemas.names import NAME_BYTES_MAX, portable, shortened, storable


@pytest.mark.parametrize(
    ("chosen", "name"),
    [
        ("f.iso", "f.iso"),
        ("a/b\\c", "a_b_c"),
        ("a\0b\nc\x7f", "a_b_c_"),
        ('q: "w" <x>|?*', "q_ _w_ _x____"),
        (" . x . ", "_ x"),
        (".bashrc", "_bashrc"),
        ("-rf", "_rf"),
        ("~root", "_root"),
        ("..", ""),
        ("???", ""),
        ("", ""),
        ("CON", "_CON"),
        ("nul.tar.gz", "_nul.tar.gz"),
        ("com1 .txt", "_com1 .txt"),
        ("console.txt", "console.txt"),
        ("e\u0301.txt", "\u00e9.txt"),
        ("photo\u202egpj.exe", "photo_gpj.exe"),
        ("\ud800x", "_x"),
        (".Downdraft", "_Downdraft"),
        ("x" * 300 + ".iso", "x" * 251 + ".iso"),
    ],
)
def test_a_chosen_name_is_made_safe_for_every_platform(chosen: str, name: str) -> None:
    assert portable(chosen) == name


@pytest.mark.parametrize(
    ("part", "here", "on_windows"),
    [
        ("a:b", "a:b", "a_b"),
        (".hidden", ".hidden", ".hidden"),
        ("-x", "-x", "-x"),
        ("aux.c", "aux.c", "_aux.c"),
        ("x. ", "x. ", "x"),
        ("..", "_", "_"),
        ("... ", "... ", "_"),
        (".DownDraft-1", "_DownDraft-1", "_DownDraft-1"),
        ("a\\b", "a_b", "a_b"),
    ],
)
def test_what_a_request_says_is_kept_where_it_can_be_stored(part: str, here: str, on_windows: str) -> None:
    assert storable(part, on_windows=False) == here
    assert storable(part, on_windows=True) == on_windows


def test_a_long_name_is_cut_between_characters_and_keeps_its_extension() -> None:
    assert shortened("ü" * 200 + ".iso", tail=".12") == "ü" * 124 + ".12.iso"
    assert len(shortened("x." + "y" * 300).encode()) == NAME_BYTES_MAX
