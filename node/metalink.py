"""Reads metalinks: Metalink 4 (RFC 5854) and version 3, which say where files lie and what they must be. Pure."""

import re
from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring
from msgspec import Struct

from schemas.errors import DowndraftError
from schemas.misread import why_misread
from schemas.request import DIGEST_HEX, SCHEMES, URI_CHARS_MAX, URIS_MAX
from schemas.selection import selected_files

METALINK_BYTES_MAX = 4 << 20
"""Of the XML; one of a thousand files with ten mirrors each has half of that."""
FILES_IN_METALINK_MAX = 2000
"""Each is a download of its own, one behind the other."""
FOUR = "urn:ietf:params:xml:ns:metalink"
THREE = "http://www.metalinker.org/"
PRIORITY_LAST = 999_999
"""RFC 5854, 4.2.16.1: also of an address without a priority."""
PREFERENCE_BEST = 100
NUMBER = re.compile(r"[0-9]{1,15}")
_UNPRINTABLE = re.compile(r"[\s\x00-\x1f]")
_STRONGEST_FIRST = ("sha-512", "sha-384", "sha-256", "sha-224", "sha-1", "md5")
_DIGEST_NAMES = {name.replace("-", ""): name for name in DIGEST_HEX}
"""Version 3 writes `sha1` and `sha256`."""


class BadMetalink(DowndraftError):
    """A metalink of which nothing can be downloaded; the message says why."""


class LinkedFile(Struct, frozen=True):
    """One file of a metalink."""

    name: str
    """As the metalink names it: nothing to be trusted."""
    uris: tuple[str, ...]
    """Its mirrors, best first."""
    size: int | None = None
    """Bytes."""
    checksum: str | None = None
    """The strongest digest it tells, as a request's `checksum`."""


def read_metalink(content: bytes) -> list[LinkedFile]:
    """All files with at least one address that can be used, in their order. Raises BadMetalink.

    Torrents, and addresses of other schemes than a request's, are passed over.
    """
    if len(content) > METALINK_BYTES_MAX:
        raise BadMetalink(f"it is larger than the {METALINK_BYTES_MAX >> 20} MiB that a metalink may have")
    try:
        root = fromstring(content, forbid_dtd=True)
    except DefusedXmlException as error:
        raise BadMetalink("it declares a document type or entities, which no metalink needs") from error
    except (ParseError, ValueError, LookupError) as error:
        raise BadMetalink(f"it is no XML: {error}") from error
    if root.tag == f"{{{FOUR}}}metalink":
        files = list(_files_of_4(root))
    elif root.tag == f"{{{THREE}}}metalink":
        files = list(_files_of_3(root))
    else:
        raise BadMetalink(f"it is neither Metalink 4 nor version 3: its first element is {str(root.tag)[:80]!r}")
    if len(files) > FILES_IN_METALINK_MAX:
        raise BadMetalink(f"it has {len(files)} files, at most {FILES_IN_METALINK_MAX} are downloaded by one task")
    if not any(one.uris for one in files):
        told = f"none of its {len(files)} files" if files else "no file in it"
        raise BadMetalink(f"{told} has an address by {', '.join(SCHEMES)}")
    return files


def selected(count: int, wish: str) -> list[int]:
    """Indices, from 0, that a `select-file` such as `1-3,5` picks of so many files. Raises BadMetalink."""
    picked = {number for low, high in selected_files(wish) for number in range(low, min(high, count) + 1)}
    if wish and not picked:
        raise BadMetalink(f"select-file: {wish!r} picks none of its {count} files")
    return sorted(one - 1 for one in picked) if wish else list(range(count))


def _files_of_4(root: Element) -> Iterator[LinkedFile]:
    for file in root.iterfind(f"{{{FOUR}}}file"):
        urls = [(_number(url.get("priority")) or PRIORITY_LAST, _text(url)) for url in file.iterfind(f"{{{FOUR}}}url")]
        hashes = file.iterfind(f"{{{FOUR}}}hash")
        yield _linked(file, urls, file.find(f"{{{FOUR}}}size"), hashes)


def _files_of_3(root: Element) -> Iterator[LinkedFile]:
    for file in root.iterfind(f"{{{THREE}}}files/{{{THREE}}}file"):
        urls = [
            (PREFERENCE_BEST - (_number(url.get("preference")) or 0), _text(url))
            for url in file.iterfind(f"{{{THREE}}}resources/{{{THREE}}}url")
            if url.get("type", "").lower() != "bittorrent"
        ]
        hashes = file.iterfind(f"{{{THREE}}}verification/{{{THREE}}}hash")
        yield _linked(file, urls, file.find(f"{{{THREE}}}size"), hashes)


def _linked(file: Element, urls: list[tuple[int, str]], size: Element | None, hashes: Iterable[Element]) -> LinkedFile:
    in_order = [url for _, url in sorted(urls, key=lambda one: one[0]) if _is_usable(url)]
    return LinkedFile(
        name=file.get("name", ""),
        uris=tuple(dict.fromkeys(in_order))[:URIS_MAX],
        size=_number(_text(size)) if size is not None else None,
        checksum=_checksum(hashes),
    )


def _checksum(hashes: Iterable[Element]) -> str | None:
    told: dict[str, str] = {}
    for one in hashes:
        kind = _DIGEST_NAMES.get(one.get("type", "").lower().replace("-", ""), "")
        digest = _text(one).lower()
        if kind and re.fullmatch(rf"[0-9a-f]{{{DIGEST_HEX[kind]}}}", digest):
            told[kind] = digest
    return next((f"{kind}={told[kind]}" for kind in _STRONGEST_FIRST if kind in told), None)


def _is_usable(uri: str) -> bool:
    if not uri or len(uri) > URI_CHARS_MAX or _UNPRINTABLE.search(uri):
        return False
    try:
        parts = urlsplit(uri)
        _ = parts.port
    except ValueError:
        return False
    return parts.scheme.lower() in SCHEMES and bool(parts.hostname) and not why_misread(uri)


def _text(element: Element) -> str:
    return (element.text or "").strip()


def _number(text: str | None) -> int | None:
    return int(text) if text and NUMBER.fullmatch(text) else None
