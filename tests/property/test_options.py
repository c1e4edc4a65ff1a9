"""Options: only what is listed, only what aria2 can read, and secrets are not quoted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import RequestInvalid
from schemas.options import ALLOWED, OF_SEVERAL, SECRET, Value, check_defaults, check_options
from schemas.refusedoptions import REASONS

names = st.sampled_from(sorted(ALLOWED))
anything: st.SearchStrategy[Value] = st.text(max_size=12) | st.integers() | st.floats() | st.booleans()
numbers = st.sampled_from(
    ["connect-timeout", "max-connection-per-server", "max-tries", "retry-wait", "split", "timeout"]
)
bytes_per_s = st.sampled_from(["lowest-speed-limit", "max-download-limit", "min-split-size"])


@given(names, anything)
def test_an_option_is_handed_on_as_text_or_refused_by_name(name: str, value: Value) -> None:
    refused = None
    try:
        text = str(value).lower() if isinstance(value, bool) else str(value)
        assert check_options({name: value}) == {name: text}
    except RequestInvalid as error:
        refused = error
    if refused is not None:
        assert refused.where == f"options.{name}"
        assert str(refused).startswith(f"options.{name}: must be ")


@given(st.sampled_from(sorted(ALLOWED)), anything)
def test_no_value_can_begin_another_line(name: str, value: Value) -> None:
    with pytest.raises(RequestInvalid):
        check_options({name: f"{value}\n"})


@given(numbers, anything)
def test_a_number_that_passes_is_written_in_plain_digits(name: str, value: Value) -> None:
    try:
        checked = check_options({name: value})[name]
    except RequestInvalid:
        return
    assert checked.isascii()
    assert checked.isdecimal()


@given(bytes_per_s, st.from_regex(r"[0-9]{1,6}[A-Za-z]{0,3}", fullmatch=True))
def test_a_size_that_passes_is_one_that_aria2_can_read(name: str, value: str) -> None:
    try:
        checked = check_options({name: value})[name]
    except RequestInvalid:
        return
    assert checked.rstrip("KMkm").isdecimal()


@given(st.text(max_size=20).filter(lambda name: name not in ALLOWED), anything)
def test_what_is_not_listed_is_refused_and_the_list_or_the_field_is_named(name: str, value: Value) -> None:
    with pytest.raises(RequestInvalid, match=r"; [a-z]") as refused:
        check_options({name: value})
    assert "not an option a request may set" in str(refused.value)


@given(st.sampled_from(sorted(SECRET)), st.text(max_size=20))
def test_a_secret_is_never_quoted(name: str, value: str) -> None:
    with pytest.raises(RequestInvalid) as refused:
        check_options({name: f"{value}\0"})
    assert str(refused.value) == f"options.{name}: must be a line of text"


def test_secret_options_are_listed_and_fields_of_the_request_are_not() -> None:
    assert set(ALLOWED) >= SECRET
    assert not REASONS.keys() & ALLOWED.keys()


@pytest.mark.parametrize("name", sorted(REASONS))
def test_a_well_known_option_is_refused_with_its_reason(name: str) -> None:
    with pytest.raises(RequestInvalid) as refused:
        check_options({name: "1"})
    assert str(refused.value) == f"options.{name}: not an option a request may set; {REASONS[name]}"


@pytest.mark.parametrize("name", [*sorted(SECRET), OF_SEVERAL, "ssh-host-key-md"])
def test_what_is_secret_or_of_one_download_alone_is_no_default(name: str) -> None:
    with pytest.raises(RequestInvalid, match=f"options.{name}: no default: .*; set it in the request"):
        check_defaults({name: "1"})


def test_a_default_is_checked_as_what_a_request_says() -> None:
    assert check_defaults({"split": 4, "http-no-cache": True}) == {"split": "4", "http-no-cache": "true"}
    with pytest.raises(RequestInvalid, match=r"options.split: must be a whole number from 1 to 16, not 99"):
        check_defaults({"split": 99})
    with pytest.raises(RequestInvalid, match=r"options.dir: not an option that may be set; use the field `dir`"):
        check_defaults({"dir": "/"})


@given(st.integers().filter(lambda n: not 1 <= n <= 16), st.booleans())
def test_a_number_out_of_range_is_refused_as_number_and_as_text(value: int, quoted: bool) -> None:
    with pytest.raises(RequestInvalid, match="must be a whole number from 1 to 16, not "):
        check_options({"split": str(value) if quoted else value})
