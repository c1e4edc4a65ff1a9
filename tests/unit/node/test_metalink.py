"""Metalinks of both versions, good and bad."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.metalink import METALINK_BYTES_MAX, BadMetalink, LinkedFile, read_metalink, selected

SHA = "a" * 64
FOUR = f"""<?xml version="1.0" encoding="UTF-8"?>
<metalink xmlns="urn:ietf:params:xml:ns:metalink">
  <file name="debian/a.iso">
    <size>14471447</size>
    <hash type="md5">{"b" * 32}</hash>
    <hash type="sha-256">{SHA.upper()}</hash>
    <hash type="sha-512">too short</hash>
    <pieces length="262144" type="sha-1"><hash>{"c" * 40}</hash></pieces>
    <metaurl mediatype="torrent" priority="1">http://a.example/a.torrent</metaurl>
    <url>http://last.example/a.iso</url>
    <url location="de" priority="2">ftp://second.example/a.iso</url>
    <url location="fr" priority="1"> https://first.example/a.iso </url>
    <url priority="1">rsync://a.example/a.iso</url>
    <url priority="1">file:///etc/passwd</url>
    <url priority="1">http://[bad/a.iso</url>
    <url priority="1">http://a.example/with space</url>
    <url priority="1">ftp://a.example/x%0d%0aDELE%20y</url>
    <url priority="1">http://a.example:?@127.0.0.1/x</url>
  </file>
  <file name="b"><url>http://a.example/b</url></file>
</metalink>"""
THREE = f"""<metalink version="3.0" xmlns="http://www.metalinker.org/">
 <files><file name="a.iso">
  <size>7</size>
  <verification><hash type="sha1">{"d" * 40}</hash></verification>
  <resources>
   <url type="ftp" location="us">ftp://none.example/a.iso</url>
   <url type="http" preference="10">http://ten.example/a.iso</url>
   <url type="bittorrent" preference="100">http://a.example/a.iso.torrent</url>
   <url type="http" preference="100">http://best.example/a.iso</url>
  </resources>
 </file></files>
</metalink>"""


def test_metalink_4_is_read_with_its_mirrors_by_priority_and_its_strongest_digest() -> None:
    first, second = read_metalink(FOUR.encode())
    uris = ("https://first.example/a.iso", "ftp://second.example/a.iso", "http://last.example/a.iso")
    assert first == LinkedFile("debian/a.iso", uris, 14471447, f"sha-256={SHA}")
    assert second == LinkedFile("b", ("http://a.example/b",))


def test_version_3_is_read_with_its_mirrors_by_preference_and_without_torrents() -> None:
    uris = ("http://best.example/a.iso", "http://ten.example/a.iso", "ftp://none.example/a.iso")
    assert read_metalink(THREE.encode()) == [LinkedFile("a.iso", uris, 7, f"sha-1={'d' * 40}")]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no XML"),
        (b"<metalink", "no XML"),
        (b"<html/>", "neither Metalink 4 nor version 3"),
        (b'<!DOCTYPE x [<!ENTITY a "b">]><metalink/>', "document type"),
        (b'<?xml version="1.0" encoding="nonsense"?><metalink/>', "no XML"),
        (b'<metalink xmlns="urn:ietf:params:xml:ns:metalink"/>', "no file in it"),
        (FOUR.replace("http", "rsync").replace("ftp", "gopher").encode(), "none of its 2 files has an address"),
        (b" " * (METALINK_BYTES_MAX + 1), "larger than the 4 MiB"),
    ],
)
def test_a_metalink_of_which_nothing_can_be_downloaded_is_refused_in_words(content: bytes, said: str) -> None:
    with pytest.raises(BadMetalink, match=said):
        read_metalink(content)


def test_very_many_files_are_refused() -> None:
    files = "<file name='a'><url>http://a.example/</url></file>" * 2001
    with pytest.raises(BadMetalink, match="2001 files"):
        read_metalink(f"<metalink xmlns='urn:ietf:params:xml:ns:metalink'>{files}</metalink>".encode())


@given(st.binary(max_size=200))
def test_whatever_comes_is_read_or_refused(content: bytes) -> None:
    try:
        read_metalink(content)
    except BadMetalink:
        return


@pytest.mark.parametrize(("wish", "picked"), [("", [0, 1, 2]), ("1", [0]), ("3,1", [0, 2]), ("2-9", [1, 2])])
def test_select_file_picks_by_number(wish: str, picked: list[int]) -> None:
    assert selected(3, wish) == picked


@pytest.mark.parametrize("wish", ["4", "5-9,7"])
def test_a_select_file_that_picks_nothing_is_said(wish: str) -> None:
    with pytest.raises(BadMetalink, match="select-file"):
        selected(3, wish)
