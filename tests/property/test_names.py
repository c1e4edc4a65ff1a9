"""Whatever a request, an origin or a label says: the path of a file stays below its folder and can be stored."""

import unicodedata
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from node.naming import disposed_name, final_path
from schemas import codec
from schemas.checking import decode_request
from schemas.errors import RequestInvalid
from schemas.names import KEPT_PREFIX, NAME_BYTES_MAX, portable, storable
from schemas.templates import About, TemplateInvalid, expand
from tests.examples import a_request, a_row

pieces = st.sampled_from(
    [
        *("..", "/", "\\", "~", "-", " ", ".", "{owner}", "{label:x}", "{name}", "{ext}", "{{", "}}", "{", "}", "%2e"),
        *(KEPT_PREFIX, KEPT_PREFIX.upper(), "CON", "\0", "\n", "\ud800", "\u202e", "e\u0301", "ü" * 200, "a", ".b"),
    ]
)
texts = st.lists(st.one_of(pieces, st.text(max_size=4)), max_size=6).map("".join)
encodable = texts.map(lambda text: text.encode(errors="replace").decode())


def check(name: str) -> None:
    assert name not in ("", ".", "..")
    assert not set(name) & set("/\\\0\r\n\t\x7f")
    assert len(name.encode()) <= NAME_BYTES_MAX
    assert unicodedata.is_normalized("NFC", name)
    assert not name.casefold().startswith(KEPT_PREFIX)


@given(texts)
def test_a_chosen_name_is_safe_or_nothing_and_stays_so(chosen: str) -> None:
    name = portable(chosen)
    if name:
        check(name)
        assert name[0] not in ".-~ "
        assert name[-1] not in ". "
        assert not set(name) & set('<>:"|?*')
        assert portable(name) == name


@given(texts, st.booleans())
def test_a_part_as_written_can_be_stored(part: str, on_windows: bool) -> None:
    check(storable(part, on_windows=on_windows))


@given(texts, texts, texts, st.booleans())
def test_no_template_and_no_value_make_an_unsafe_part(template: str, label: str, name: str, on_windows: bool) -> None:
    about = About(a_request(labels={"x": label}), "00000000000000aa", "team-a", datetime(2031, 5, 1, tzinfo=UTC), name)
    try:
        parts = expand(template, about, on_windows=on_windows)
    except TemplateInvalid:
        return
    for part in parts:
        check(part)


@given(texts)
def test_an_origin_gives_a_safe_name_or_none(header: str) -> None:
    for line in (header, f'attachment; filename="{header}"', f"attachment; filename*=UTF-8''{header}"):
        if name := disposed_name(line):
            check(name)


@given(
    st.fixed_dictionaries(
        {"labels": st.fixed_dictionaries({"x": encodable})}, optional={"out": encodable, "dir": encodable}
    )
)
def test_a_request_that_is_accepted_has_a_path_below_the_folder(fields: dict[str, Any]) -> None:
    try:
        request = decode_request(codec.encode({"uri": "https://a.example/f.iso", **fields}))
    except RequestInvalid:
        return
    path = final_path(a_row(request=request))
    assert not path.is_absolute()
    for part in path.parts:
        check(part)
