"""What an origin calls a file: Content-Disposition as origins write it."""

import pytest

from node.naming import DISPOSITION_CHARS_MAX, disposed_name, final_path
from schemas.request import Request
from tests.examples import a_row


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ('attachment; filename="a b.txt"', "a b.txt"),
        ("attachment; filename=a.txt", "a.txt"),
        ("inline; filename=a.txt; filename*=UTF-8''%e2%82%ac%20rates", "€ rates"),
        ("attachment; filename*=ISO-8859-1''%e4.txt", "ä.txt"),
        ('attachment; filename="\\"q\\".txt"', "_q_.txt"),
        ('attachment; filename="a;b.txt"', "a;b.txt"),
        ('attachment; filename="ü.txt"', "ü.txt"),
        ('attachment; filename="\udcfc.txt"', "ü.txt"),
        ('attachment; filename="../../etc/passwd"', "passwd"),
        ('attachment; filename="C:\\\\x\\\\y.exe"', "y.exe"),
        ("attachment; filename*=UTF-8''..%2f..%2fx", "x"),
        ("attachment; filename*=UTF-8''a%0d%0aSet-Cookie%00", "a__Set-Cookie_"),
        ('attachment; filename=".."', ""),
        ("attachment; filename*=bogus''%e4", ""),
        ("attachment; filename=", ""),
        ("nonsense", ""),
        ("", ""),
        ('attachment; filename="' + "x" * DISPOSITION_CHARS_MAX + '"', ""),
    ],
)
def test_the_name_is_read_as_origins_write_it_and_made_safe(header: str, name: str) -> None:
    assert disposed_name(header) == name


@pytest.mark.parametrize(
    ("request_", "path"),
    [
        (Request(torrent="AA=="), "torrent"),
        (Request(metalink="AA==", dir="sets"), "sets/metalink"),
        (Request(torrent="AA==", name="../Debian"), "__Debian"),
    ],
)
def test_what_a_request_carries_itself_has_a_name_before_it_was_read(request_: Request, path: str) -> None:
    assert str(final_path(a_row(request=request_))) == path
