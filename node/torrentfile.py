"""What a torrent says: its files, its trackers, its hash. Pure.

It comes from anybody. What is read here is checked: no name leads out of a folder, every size fits the pieces.
"""

import base64
import hashlib
import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import bencode2
from msgspec import Struct

from schemas.errors import DowndraftError

TORRENT_BYTES_MAX = 16 << 20
"""A torrent of a hundred thousand files, or of many terabytes, is smaller."""
FILES_MAX = 10_000
"""In one torrent: each is opened, hashed and placed."""
TOTAL_BYTES_MAX = 1 << 50
PIECE_BYTES_MAX = 1 << 28
TRACKERS_MAX = 32
"""Of each torrent: the names of more are not looked up."""
WEB_SEEDS_MAX = 16
DIGEST_BYTES = 20

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_HASH = re.compile(r"urn:btih:(?:([0-9a-fA-F]{40})|([A-Za-z2-7]{32}))")
_NEVER_THERE = frozenset("pl")
"""Attributes (BEP 47) of entries that are no files: padding, and links."""


class TorrentInvalid(DowndraftError):
    """It can't be used, and never will be. The message says why."""


class TorrentFile(Struct, frozen=True):
    path: str
    """Below the torrent's own folder, with `/`; of a torrent of one file its name."""
    bytes: int
    is_real: bool = True
    """False for padding and links, which are not stored."""


class Torrent(Struct, frozen=True, kw_only=True):
    info_hash: str
    """40 lower-case hex digits."""
    name: str
    files: tuple[TorrentFile, ...]
    """In the torrent's order: aria2 counts them from 1."""
    is_folder: bool
    trackers: tuple[tuple[str, ...], ...]
    """Tiers: those of the first are asked first."""
    web_seeds: tuple[str, ...]
    is_private: bool
    """Its peers come from its trackers alone."""
    info: bytes
    """The part that the hash is of, encoded."""

    def wanted(self, selected: Sequence[tuple[int, int]]) -> list[int]:
        """Numbers of the files, from 1, that are to be stored; of all where nothing is selected.

        `selected`: ranges of numbers, both ends included. Raises TorrentInvalid for a number beyond the last.
        """
        if selected and (most := max(last for _, last in selected)) > len(self.files):
            raise TorrentInvalid(f"select-file names file {most}, but the torrent has {len(self.files)}")
        return [
            number
            for number, one in enumerate(self.files, 1)
            if one.is_real and (not selected or any(first <= number <= last for first, last in selected))
        ]

    def encoded(self, trackers: Sequence[Sequence[str]], web_seeds: Sequence[str]) -> bytes:
        """The same torrent with these trackers and web seeds, and without whatever else it named."""
        head: dict[bytes, Any] = {}
        if trackers:
            head[b"announce-list"] = [[one.encode() for one in tier] for tier in trackers]
        if web_seeds:
            head[b"url-list"] = [one.encode() for one in web_seeds]
        return bencode2.bencode(head | {b"info": bencode2.bdecode(self.info)})


class Magnet(Struct, frozen=True):
    info_hash: str
    trackers: tuple[str, ...]

    def link(self, trackers: Sequence[str]) -> str:
        """The link with these trackers, and without whatever else it named."""
        asked = "".join(f"&tr={quote(one, safe='')}" for one in trackers)
        return f"magnet:?xt=urn:btih:{self.info_hash}{asked}"


def read_magnet(uri: str) -> Magnet:
    """Raises TorrentInvalid for one without an info hash."""
    asked = parse_qs(urlsplit(uri).query)
    found = next(filter(None, map(_HASH.fullmatch, asked.get("xt", []))), None)
    if found is None:
        raise TorrentInvalid("the magnet link names no info hash")
    digits = found[1].lower() if found[1] else base64.b32decode(found[2].upper()).hex()
    trackers = [one for name, values in asked.items() if re.fullmatch(r"tr(\.\d+)?", name) for one in values]
    return Magnet(digits, tuple(dict.fromkeys(trackers))[:TRACKERS_MAX])


def read_torrent(content: bytes) -> Torrent:
    """Raises TorrentInvalid, whose message begins with what is wrong."""
    if len(content) > TORRENT_BYTES_MAX:
        raise TorrentInvalid(f"it has more than {TORRENT_BYTES_MAX} bytes")
    try:
        whole = bencode2.bdecode(content)
    except bencode2.BencodeDecodeError as error:
        raise TorrentInvalid(f"it is no torrent: {error}") from error
    info = whole.get(b"info") if isinstance(whole, dict) else None
    if not isinstance(info, dict):
        raise TorrentInvalid("it is no torrent: it has no info dictionary")
    encoded = bencode2.bencode(info)
    is_folder = b"files" in info
    name = _name(info, "name")
    files = tuple(_files(info[b"files"])) if is_folder else (TorrentFile(name, _size(info, "length")),)
    _check_pieces(info, sum(one.bytes for one in files))
    return Torrent(
        info_hash=hashlib.sha1(encoded, usedforsecurity=False).hexdigest(),
        name=name,
        files=files,
        is_folder=is_folder,
        trackers=_trackers(whole),
        web_seeds=tuple(_texts(whole.get(b"url-list")))[:WEB_SEEDS_MAX],
        is_private=info.get(b"private") == 1,
        info=encoded,
    )


def _files(listed: Any) -> list[TorrentFile]:
    if not isinstance(listed, list) or not listed:
        raise TorrentInvalid("its list of files is empty or none")
    if len(listed) > FILES_MAX:
        raise TorrentInvalid(f"it has {len(listed)} files, and {FILES_MAX} at most are taken")
    files = []
    for number, entry in enumerate(listed, 1):
        if not isinstance(entry, dict):
            raise TorrentInvalid(f"its file {number} can't be read")
        parts = entry.get(b"path.utf-8") or entry.get(b"path")
        if not isinstance(parts, list) or not parts:
            raise TorrentInvalid(f"its file {number} has no name")
        names = [_checked_name(part, f"file {number}") for part in parts]
        attributes = entry.get(b"attr", b"")
        is_real = not (isinstance(attributes, bytes) and _NEVER_THERE & set(attributes.decode(errors="replace")))
        files.append(TorrentFile("/".join(names), _size(entry, "length", f"file {number}"), is_real))
    return files


def _name(info: dict[bytes, Any], key: str) -> str:
    return _checked_name(info.get(f"{key}.utf-8".encode()) or info.get(key.encode()), "its name")


def _checked_name(raw: Any, where: str) -> str:
    """A name that leads nowhere else: aria2 would refuse the same ones."""
    if not isinstance(raw, bytes) or not raw:
        raise TorrentInvalid(f"{where} has no name" if where != "its name" else "it has no name")
    name = raw.decode(errors="replace")
    if name in (".", "..") or "/" in name:
        raise TorrentInvalid(f"{where} would lead out of its folder: {name!r}")
    if _CONTROL.search(name):
        raise TorrentInvalid(f"{where} has control characters: {name!r}")
    return name


def _size(entry: dict[bytes, Any], key: str, where: str = "it") -> int:
    size = entry.get(key.encode())
    if not isinstance(size, int) or not 0 <= size <= TOTAL_BYTES_MAX:
        raise TorrentInvalid(f"{where} has no size that can be")
    return size


def _check_pieces(info: dict[bytes, Any], total: int) -> None:
    pieces, length = info.get(b"pieces"), info.get(b"piece length")
    if not isinstance(pieces, bytes):
        raise TorrentInvalid("it has no piece hashes of BitTorrent 1; aria2 can't use those of version 2 alone")
    if not isinstance(length, int) or not 0 < length <= PIECE_BYTES_MAX:
        raise TorrentInvalid("it has no piece length that can be")
    if total > TOTAL_BYTES_MAX or len(pieces) != DIGEST_BYTES * -(-total // length):
        raise TorrentInvalid(f"its piece hashes ({len(pieces)} bytes) don't fit its {total} bytes of files")


def _trackers(whole: dict[bytes, Any]) -> tuple[tuple[str, ...], ...]:
    """The tiers of announce-list, else the one of announce (BEP 12)."""
    listed = whole.get(b"announce-list")
    tiers = [tuple(_texts(tier)) for tier in listed] if isinstance(listed, list) else []
    tiers = [tier for tier in tiers if tier] or [tuple(_texts(whole.get(b"announce")))]
    kept: list[tuple[str, ...]] = []
    left = TRACKERS_MAX
    for tier in tiers:
        if cut := tier[:left]:
            kept.append(cut)
            left -= len(cut)
    return tuple(kept)


def _texts(raw: Any) -> list[str]:
    """Addresses: one, or a list of them; what is none is passed over."""
    found = raw if isinstance(raw, list) else [raw]
    return [text for one in found if isinstance(one, bytes) and (text := one.decode(errors="replace").strip())]
