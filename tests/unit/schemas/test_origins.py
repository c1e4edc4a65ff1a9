"""Which entry of the policy counts for an origin."""

import pytest

from schemas.nodes import NodeShare
from schemas.origins import entry_for, origins_of

ENTRIES = (
    "cdn.example.org:8080",
    "cdn.example.org",
    "*.example.org",
    "*.cdn.example.org",
    "*.org",
    "[::1]",
    "10.0.0.1",
)


@pytest.mark.parametrize(
    ("origin", "entry"),
    [
        ("cdn.example.org:8080", "cdn.example.org:8080"),
        ("cdn.example.org:443", "cdn.example.org"),
        ("a.cdn.example.org:443", "*.cdn.example.org"),
        ("www.example.org:443", "*.example.org"),
        ("example.org:443", "*.org"),
        ("example.com:443", None),
        ("[::1]:80", "[::1]"),
        ("10.0.0.1:80", "10.0.0.1"),
        ("localhost:80", None),
    ],
)
def test_the_most_exact_entry_counts(origin: str, entry: str | None) -> None:
    assert entry_for(origin, ENTRIES) == entry
    assert entry_for(origin, (*ENTRIES, "*")) == (entry or "*")


def test_a_suffix_may_name_a_port() -> None:
    entries = ("*.example.org:81", "*.example.org")
    assert entry_for("a.example.org:81", entries) == "*.example.org:81"
    assert entry_for("a.example.org:80", entries) == "*.example.org"


def test_a_task_has_the_origins_of_all_its_addresses() -> None:
    uris = ("https://A.example.org/1", "http://a.example.org:443/1", "http://b.example.org/2", "http://[broken/")
    assert origins_of(uris) == {"a.example.org:443", "b.example.org:80"}


def test_a_share_tells_what_may_come_from_an_origin() -> None:
    share = NodeShare(origins={"a.org:80": 500}, others={"*.org": 7}, bytes_per_s=900, alone_bytes_per_s=9)
    assert [share.of(origin) for origin in ("a.org:80", "b.org:80", "c.com:80")] == [500, 7, None]
    alone = share.alone()
    assert (alone.of("a.org:80"), alone.bytes_per_s) == (7, 9)
