"""Headers are read as nats-py reads them, only sooner."""

from hypothesis import example, given
from hypothesis import strategies as st
from nats.aio.client import Client

from broker.client import LazyHeaders, OwnClient

lines = st.text(st.sampled_from("Az-: \t\x0b\x1c\x85é\n\r"), max_size=8).map(lambda text: text.encode("utf-8"))
odd_lines = lines | st.binary(max_size=8)


@given(st.lists(odd_lines, max_size=4).map(b"\r\n".join))
@example(b"Nats-Expected-Last-Subject-Sequence: 0\r\nNats-Expected-Last-Subject-Sequence-Subject: a.*.b\r\n\r\n")
@example("Downdraft-Say: größer\r\n".encode())
def test_headers_are_read_as_the_client_library_reads_them(raw: bytes) -> None:
    assert OwnClient._parse_header_lines(raw) == Client._parse_header_lines(raw)


@given(st.lists(odd_lines, max_size=4).map(b"\r\n".join))
def test_headers_that_are_read_late_are_the_same(raw: bytes) -> None:
    assert dict(LazyHeaders(b"NATS/1.0\r\n" + raw)) == Client._parse_header_lines(raw)
