"""The input file, as aria2c(1) describes it, with Downdraft's own fields."""

from datetime import datetime

import pytest

from schemas.repeats import repeatable_id
from schemas.request import Request
from tools.inputfile import LINE_BYTES_MAX, BadLine, Entry, LineInvalid, Reader, to_request


def read(text: str | bytes) -> list[Entry | BadLine]:
    reader = Reader()
    return reader.feed(text if isinstance(text, bytes) else text.encode()) + reader.end()


def one(text: str, **defaults: object) -> Request:
    """The request of a file with one entry."""
    [entry] = read(text)
    assert isinstance(entry, Entry)
    return to_request(entry, defaults)


def test_mirrors_are_separated_by_tabs_and_options_are_indented() -> None:
    request = one("https://a.example/f\thttps://b.example/f\n  out=g\n\tdir=images\n split=4\n")
    assert request.uris == ("https://a.example/f", "https://b.example/f")
    assert (request.out, request.dir, request.options) == ("g", "images", {"split": "4"})


def test_a_file_written_by_aria2_is_read_as_aria2_reads_it() -> None:
    text = "# made by hand\n\nhttp://a.example/1\n\n  out=one\n# in between\n  checksum=sha-1=" + "0" * 40
    request = one(text)
    assert (request.out, request.checksum) == ("one", "sha-1=" + "0" * 40)


def test_own_fields_may_stand_there_too() -> None:
    request = one(
        "https://a.example/f\n"
        " tag=eu\n tag=disk=ssd\n label=project=mirror\n label=a=b=c\n priority=-3\n size=20M\n id=mine\n"
        " name=A name = with signs\n not-before=2031-05-01T22:00:00Z\n deadline=2031-05-02T06:00:00+02:00\n"
        " max-attempts=3\n header=X-One: 1\n header=X-Two:2\n"
    )
    assert request.tags == ("eu", "disk=ssd")
    assert request.labels == {"project": "mirror", "a": "b=c"}
    assert (request.priority, request.size, request.id, request.max_attempts) == (-3, 20 << 20, "mine", 3)
    assert request.name == "A name = with signs"
    assert request.not_before is not None
    assert request.deadline is not None
    assert request.headers == {"X-One": "1", "X-Two": "2"}


def test_a_date_of_an_input_file_is_local_where_it_has_no_zone() -> None:
    request = one("https://a.example/f\n deadline=2031-05-02 06:00\n")
    assert request.deadline == datetime(2031, 5, 2, 6).astimezone()
    with pytest.raises(LineInvalid, match="line 2: deadline must be a date such as 2031-05-01T22:00:00Z"):
        one("https://a.example/f\n deadline=2h\n")


def test_an_entrys_own_options_win_over_the_defaults_and_lists_add_up() -> None:
    defaults = {"tags": ["a"], "labels": {"x": "1", "y": "1"}, "headers": {"User": "u"}, "dir": "d", "priority": 1}
    request = one(
        "https://a.example/f\n tag=b\n tag=a\n label=y=2\n header=user: v\n dir=e\n split=2\n",
        options={"split": "4", "timeout": "9"},
        **defaults,
    )
    assert (request.tags, request.labels, request.headers) == (("a", "b"), {"x": "1", "y": "2"}, {"user": "v"})
    assert (request.dir, request.priority, request.options) == ("e", 1, {"split": "2", "timeout": "9"})
    assert defaults["labels"] == {"x": "1", "y": "1"}


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        ("gid=0123456789abcdef", "Downdraft gives the id"),
        ("allow-overwrite=true", "not an option of an input file; allowed are out,"),
        ("priority=high", "priority must be a whole number"),
        ("priority=99", "priority: must be a whole number from -10 to 10"),
        ("split=99", "options.split: must be a whole number from 1 to 16"),
        ("dir=/etc", "must be relative"),
        ("tag=a b", "a tag is"),
        ("label=nothing", "write label=name=value"),
        ("header=nothing", "write header=name:value"),
        ("checksum=md5=x", "md5 has 32 hex digits"),
        ("if-exists=replace", "if_exists: must be one of rename, overwrite, skip-if-same, fail"),
        ("dir={ownr}", "dir: '{ownr}' is no placeholder"),
    ],
)
def test_an_option_that_is_refused_is_named_by_its_own_line(option: str, reason: str) -> None:
    with pytest.raises(LineInvalid) as caught:
        one(f"\nhttps://a.example/f\n out=g\n {option}\n timeout=5\n")
    assert caught.value.bad.line == 4
    assert reason in caught.value.bad.reason


def test_an_address_that_is_refused_is_named_by_the_line_of_the_addresses() -> None:
    with pytest.raises(LineInvalid, match=r"line 2: uris\[1\]: scheme 'gopher' is not allowed"):
        one("# one\nhttps://a.example/f\tgopher://b/f\n out=g\n")


def test_a_password_in_a_bad_option_is_not_repeated() -> None:
    with pytest.raises(LineInvalid) as caught:
        one("https://a.example/f\n http-passwd=se\0cret\n")
    assert "cret" not in str(caught.value)


def test_a_bad_line_takes_its_entry_with_it_but_no_other() -> None:
    found = read("https://a/1\n out\nhttps://a/2\n  out=x\n")
    assert found[0] == BadLine(2, "an option is written as name=value")
    assert isinstance(found[1], Entry)


def test_an_option_above_all_addresses_is_said() -> None:
    [bad, entry] = read("  out=x\nhttps://a/1\n")
    assert isinstance(bad, BadLine)
    assert (bad.line, "without an address" in bad.reason) == (1, True)
    assert isinstance(entry, Entry)


def test_a_line_that_is_not_utf8_or_too_long_is_refused_with_the_options_below_it() -> None:
    long = b"https://a/" + b"x" * LINE_BYTES_MAX
    found = read(b"https://a/1\n\xff\xfe\n out=a\n" + long + b"\n out=b\nhttps://a/2\n# \xff\n")
    assert [one.line for one in found] == [1, 2, 4, 6]
    assert found[1:3] == [BadLine(2, "not UTF-8"), BadLine(4, f"longer than {LINE_BYTES_MAX} bytes")]


def test_a_long_line_is_not_kept_in_memory() -> None:
    reader = Reader()
    for _ in range(100):
        assert reader.feed(b"x" * 100_000) == []
        assert len(reader._rest) <= LINE_BYTES_MAX
    assert reader.end() == [BadLine(1, f"longer than {LINE_BYTES_MAX} bytes")]


def test_a_byte_order_mark_is_no_part_of_the_first_address() -> None:
    assert one("\ufeffhttps://a.example/f\r\n  out=g\r\n").uris == ("https://a.example/f",)


def test_what_to_do_with_a_file_that_is_there_is_an_option_and_tells_entries_apart() -> None:
    plain, said, default = (
        one(f"https://a.example/f\n {line}\n") for line in ("", "if-exists=fail", "if-exists=rename")
    )
    assert said.if_exists == "fail"
    assert repeatable_id("n", plain) == repeatable_id("n", default) != repeatable_id("n", said)
