"""Parts of files: what is asked for, and what is told of the whole."""

from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.ranges import Unsatisfiable, Whole, disposition, is_known, part_asked

DIGEST = "sha-256=" + "ab" * 32


def a_file(**fields: Any) -> Whole:
    given: dict[str, Any] = {
        "task": "aa",
        "path": "d/f.iso",
        "bytes": 100,
        "digest": DIGEST,
        "finished": datetime(2031, 5, 1, tzinfo=UTC),
    }
    return Whole(**(given | fields))


@pytest.mark.parametrize(
    ("asked", "part"),
    [
        (None, None),
        ("bytes=0-0", (0, 1)),
        ("bytes=10-19", (10, 20)),
        ("bytes = 10 - 19", (10, 20)),
        ("BYTES=90-", (90, 100)),
        ("bytes=90-1000", (90, 100)),
        ("bytes=-1", (99, 100)),
        ("bytes=-1000", (0, 100)),
        ("bytes=0-1,5-6", None),
        ("bytes=5-4", None),
        ("bytes=-", None),
        ("lines=1-2", None),
        ("bytes=x", None),
        ("bytes=" + "9" * 30 + "-", None),
    ],
)
def test_a_part_is_what_the_header_says(asked: str | None, part: tuple[int, int] | None) -> None:
    assert part_asked(asked, None, a_file()) == part


@pytest.mark.parametrize("asked", ["bytes=100-", "bytes=100-200", "bytes=-0"])
def test_a_part_behind_the_end_can_not_be_given(asked: str) -> None:
    with pytest.raises(Unsatisfiable):
        part_asked(asked, None, a_file())


def test_a_part_of_another_file_is_not_given() -> None:
    whole = a_file()
    assert part_asked("bytes=1-2", whole.etag, whole) == (1, 3)
    assert part_asked("bytes=1-2", whole.last_modified, whole) == (1, 3)
    assert part_asked("bytes=1-2", '"other"', whole) is None
    assert part_asked("bytes=1-2", f"W/{whole.etag}", whole) is None


def test_each_file_has_a_tag_of_its_own() -> None:
    tags = {a_file().etag, a_file(digest="").etag, a_file(digest="", path="g").etag, a_file(digest="", bytes=1).etag}
    assert len(tags) == 4


def test_what_somebody_has_already_is_known_by_its_tag() -> None:
    whole = a_file()
    assert is_known(f'"x", W/{whole.etag}', whole)
    assert is_known("*", whole)
    assert not is_known('"x"', whole)
    assert not is_known(None, whole)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("f.iso", 'attachment; filename="f.iso"'),
        ("ä b.iso", "attachment; filename=\"_ b.iso\"; filename*=UTF-8''%C3%A4%20b.iso"),
        ('a"b', "attachment; filename=\"a_b\"; filename*=UTF-8''a%22b"),
        ("a\r\nX: y", "attachment; filename=\"a__X: y\"; filename*=UTF-8''a%0D%0AX%3A%20y"),
    ],
)
def test_a_name_is_told_so_that_it_can_say_nothing_else(name: str, told: str) -> None:
    assert disposition(name) == told


def test_what_comes_from_strangers_is_no_page_of_ours() -> None:
    headers = a_file(path="evil.html").headers()
    assert headers["Content-Disposition"].startswith("attachment")
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in headers["Content-Security-Policy"]
