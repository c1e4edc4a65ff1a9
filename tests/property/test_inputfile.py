"""The input file: whatever pieces it comes in, every entry comes out once, and every fault with its line."""

import string

from hypothesis import given
from hypothesis import strategies as st

from schemas.repeats import repeatable_id
from tools.inputfile import BadLine, Entry, Reader, to_request

words = st.text(string.ascii_letters + string.digits + "äß漢-_.", min_size=1, max_size=12)
uris = st.builds("https://a.example/{}".format, words)
options = st.tuples(words, words)
blocks = st.tuples(st.lists(uris, min_size=1, max_size=3), st.lists(options, max_size=3))
fillers = st.sampled_from(["", "# a comment", "   # an indented comment", "   \t "])
ends = st.sampled_from(["\n", "\r\n"])


def written(blocks_: list[tuple[list[str], list[tuple[str, str]]]], filler: str, end: str) -> str:
    lines: list[str] = []
    for addresses, pairs in blocks_:
        lines += [filler, "\t".join(addresses)]
        for name, value in pairs:
            lines += [f"  {name} = {value}", filler]
    return end.join(lines)


def read(body: bytes, sizes: list[int]) -> list[Entry | BadLine]:
    """What comes out of `body` in pieces of these sizes, the rest in one."""
    reader = Reader()
    found: list[Entry | BadLine] = []
    for size in sizes:
        found += reader.feed(body[:size])
        body = body[size:]
    return found + reader.feed(body) + reader.end()


@given(st.lists(blocks, max_size=5), fillers, ends, st.lists(st.integers(0, 40), max_size=20), st.booleans())
def test_every_entry_comes_out_as_written_whatever_the_pieces(
    wanted: list[tuple[list[str], list[tuple[str, str]]]], filler: str, end: str, sizes: list[int], closed: bool
) -> None:
    body = (written(wanted, filler, end) + (end if closed else "")).encode()
    found = read(body, sizes)
    assert [
        (list(entry.uris), [(option.name, option.value) for option in entry.options])
        for entry in found
        if isinstance(entry, Entry)
    ] == wanted
    lines = body.decode().split("\n")
    for entry in found:
        assert isinstance(entry, Entry)
        assert lines[entry.line - 1].split("\t")[0].strip() == entry.uris[0]
        assert all(option.value in lines[option.line - 1] for option in entry.options)


@given(st.binary(max_size=300), st.lists(st.integers(0, 40), max_size=10))
def test_any_bytes_are_read_alike_in_one_piece_and_in_many(body: bytes, sizes: list[int]) -> None:
    found = read(body, sizes)
    assert found == read(body, [])
    lines = [one.line for one in found]
    assert all(1 <= line <= body.count(b"\n") + 1 for line in lines)


@given(words, words, words)
def test_an_id_tells_requests_apart_by_what_they_say_and_hides_passwords(prefix: str, one: str, other: str) -> None:
    def request(path: str, user: str = "", **fields: str) -> str:
        pairs = fields.items()
        text = f"https://{user}a.example/{path}\n" + "".join(f" {name}={value}\n" for name, value in pairs)
        [entry] = read(text.encode(), [])
        assert isinstance(entry, Entry)
        return repeatable_id(prefix, to_request(entry, {}))

    assert request("f", name=one) == request("f", name=one)
    assert (request("f", name=one) == request("f", name=other)) == (one == other)
    assert request("f") == request("f", "bob:secret@") == request("f", **{"http-passwd": "secret", "header": "A: b"})
    assert request("f").startswith(f"{prefix}-")
