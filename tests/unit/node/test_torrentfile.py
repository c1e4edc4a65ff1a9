"""What is read of torrents and magnet links, and what is refused."""

import base64
from typing import Any

import bencode2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.torrentfile import Torrent, TorrentInvalid, read_magnet, read_torrent
from tests.harness.tracker import make

TRACKER = "http://tracker.example/announce"


def changed(**fields: Any) -> bytes:
    """A torrent of two files with other fields in its info dictionary; None takes one away."""
    whole = bencode2.bdecode(make("two", {"a": b"1", "b/c": b"22"}, TRACKER).torrent)
    for name, value in fields.items():
        whole[b"info"].pop(name.replace("_", " ").encode(), None)
        if value is not None:
            whole[b"info"][name.replace("_", " ").encode()] = value
    return bencode2.bencode(whole)


def entry(*parts: bytes, size: Any = 3, **more: Any) -> dict[bytes, Any]:
    return {b"length": size, b"path": list(parts)} | {name.encode(): value for name, value in more.items()}


def test_a_torrent_tells_its_files_trackers_and_hash() -> None:
    made = make("two", {"a": b"1", "b/c": b"22"}, TRACKER)
    found = read_torrent(made.torrent)
    assert (found.name, found.is_folder, found.info_hash) == ("two", True, made.info_hash)
    assert [(one.path, one.bytes) for one in found.files] == [("a", 1), ("b/c", 2)]
    assert found.trackers == ((TRACKER,),)


def test_its_hash_stays_the_same_with_other_trackers() -> None:
    made = make("one", b"123", TRACKER)
    again = read_torrent(read_torrent(made.torrent).encoded([["http://other.example/a"]], ["http://seed.example/"]))
    assert again.info_hash == made.info_hash
    assert (again.trackers, again.web_seeds) == ((("http://other.example/a",),), ("http://seed.example/",))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is no torrent"),
        (b"<html>", "it is no torrent"),
        (b"l" * 100_000, "it is no torrent"),
        (b"de", "no info dictionary"),
        (b"d4:info3:abce", "no info dictionary"),
        (changed(name=b".."), "its name would lead out of its folder"),
        (changed(name=b"/etc"), "its name would lead out of its folder"),
        (changed(name=b"a\nb"), "its name has control characters"),
        (changed(name=None), "it has no name"),
        (changed(files=[entry(b"..", b"evil")]), "file 1 would lead out of its folder"),
        (changed(files=[entry(b"a/../../evil")]), "file 1 would lead out of its folder"),
        (changed(files=[entry(b"")]), "file 1 has no name"),
        (changed(files=[entry()]), "file 1 has no name"),
        (changed(files=[entry(b"a", size=-1)]), "file 1 has no size"),
        (changed(files=[entry(b"a", size=b"3")]), "file 1 has no size"),
        (changed(files=[b"a"]), "file 1 can't be read"),
        (changed(files=[]), "list of files is empty"),
        (changed(files=[entry(b"a", size=1 << 40)]), "piece hashes"),
        (changed(files=[entry(b"a", size=0)] * 10_001), "10000 at most"),
        (changed(pieces=None, meta_version=2), "version 2"),
        (changed(piece_length=0), "no piece length"),
    ],
)
def test_a_torrent_that_can_never_be_used_is_refused_with_the_reason(content: bytes, reason: str) -> None:
    with pytest.raises(TorrentInvalid, match=reason):
        read_torrent(content)


def test_padding_and_links_count_as_files_and_are_not_stored() -> None:
    found = read_torrent(changed(files=[entry(b"a", size=1), entry(b".pad", size=1, attr=b"p"), entry(b"b", size=1)]))
    assert found.wanted(()) == [1, 3]
    assert found.wanted([(2, 3)]) == [3]


def test_a_selection_beyond_the_last_file_is_refused() -> None:
    with pytest.raises(TorrentInvalid, match="names file 3, but the torrent has 2"):
        read_torrent(changed()).wanted([(1, 1), (2, 3)])


def test_a_magnet_link_is_cut_down_to_its_hash_and_trackers() -> None:
    digits = "0123456789abcdef0123456789abcdef01234567"
    short = base64.b32encode(bytes.fromhex(digits)).decode().lower()
    found = read_magnet(
        f"magnet:?xt=urn:btih:{short}&dn=x&tr=http%3A%2F%2Ft.example%2Fa%3Fb&x.pe=10.0.0.1:1&ws=http://w"
    )
    assert found.trackers == ("http://t.example/a?b",)
    assert found.link(found.trackers) == f"magnet:?xt=urn:btih:{digits}&tr=http%3A%2F%2Ft.example%2Fa%3Fb"


bencoded = st.recursive(
    st.integers() | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.binary(max_size=8), inner, max_size=4),
    max_leaves=12,
)
names = st.sampled_from(["name", "name.utf-8", "files", "length", "pieces", "piece_length", "private"])


@settings(max_examples=60)
@given(
    st.binary(max_size=200)
    | bencoded.map(bencode2.bencode)
    | st.dictionaries(names, bencoded).map(
        lambda fields: changed(**{name: value for name, value in fields.items() if "." not in name})
    )
)
def test_whatever_comes_is_read_or_refused_and_never_names_a_path_outside(content: bytes) -> None:
    try:
        found = read_torrent(content)
    except TorrentInvalid:
        return
    assert isinstance(found, Torrent)
    for one in found.files:
        assert not {"", ".", ".."} & set(one.path.split("/"))
