"""What a producer is told: each message names the field and says what to do."""

import json
from typing import Any

import pytest

from schemas.checking import decode_request
from schemas.errors import RequestInvalid
from schemas.payload import INLINE_BYTES_MAX
from schemas.request import DIGEST_HEX, SCHEMES, URIS_MAX

USED = f"{', '.join(SCHEMES)} or magnet"
MAGNET = f"magnet:?xt=urn:btih:{'a' * 40}"
EXAMPLE = '{"uris": ["https://example.org/file"]}'
ADDRESS = "write it as https://host/path"
RELATIVE = "must be relative to the download folder, not"
INSIDE = "must not leave the download folder with '..':"
KEPT = "'.downdraft' is kept for unfinished downloads"
SPLIT = "must be a whole number from 1 to 16, not"
BYTES = "must be a number of bytes such as 500K or 2M, below 2048M, not"
UNLISTED = "not an option a request may set;"
MOMENT = "must be a moment with a time zone, such as 2031-05-01T22:00:00Z"
TYPES = ", ".join(DIGEST_HEX)
HEADER = "a header's name is made of letters, digits and !#$%&'*+.^_|~- and its value is one line"
TAG = "a tag is 1 to 64 letters, digits and any of _.:/=- and begins with a letter or digit"
LABEL = "a label's name is 1 to 64 letters, digits and any of _./- and begins with a letter or digit"


def refusal(body: bytes) -> str:
    with pytest.raises(RequestInvalid) as refused:
        decode_request(body)
    assert str(refused.value).startswith(refused.value.where)
    return str(refused.value)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"uris": []}, f"uris: at least one address is needed, for example {EXAMPLE}"),
        ({"uris": "https://a.example/f"}, "uris: expected array, got str"),
        (
            {"uris": ["https://a.example/f"], "if_exists": "replace"},
            "if_exists: must be one of rename, overwrite, skip-if-same, fail",
        ),
        ({"uris": [5]}, "uris[0]: expected str, got int"),
        (
            {"uris": ["https://a.example/f"], "resources": {"disc": "1G"}},
            "resources.disc: there is no such field; there are: disk, bandwidth",
        ),
        (
            {"uris": [f"https://a.example/{n}" for n in range(URIS_MAX + 1)]},
            f"uris: at most {URIS_MAX} mirrors, not {URIS_MAX + 1}",
        ),
        (
            {"uris": ["file:///etc/passwd"]},
            f"uris[0]: scheme 'file' is not allowed; use {USED}",
        ),
        (
            {"uris": ["magnet:?xt=1"]},
            "uris[0]: this magnet link has no xt=urn:btih:<info hash>, which names the torrent",
        ),
        ({"uris": [MAGNET, "https://a.example/f"]}, "uris: a magnet link stands alone"),
        ({"uris": [MAGNET], "kind": "file"}, "kind: a magnet link is always a torrent"),
        ({"uris": ["ftp://a.example/f.torrent"]}, "uris: a torrent is fetched by http or https only"),
        ({"torrent": "AA==", "metalink": "AA=="}, "metalink: a request has a torrent or a metalink, not both"),
        ({"torrent": "AA==", "kind": "file"}, "kind: must be 'torrent', or be left out, where there is a torrent"),
        ({"torrent": "A"}, "torrent: must be base64, or object:<name>"),
        ({"torrent": ""}, "torrent: is empty"),
        (
            {"torrent": "A" * (INLINE_BYTES_MAX * 4 // 3 + 8)},
            f"torrent: more than {INLINE_BYTES_MAX} bytes; put it into the object store, as `downdraft submit` does",
        ),
        (
            {"torrent": "object:../x"},
            "torrent: 'object:../x' names no object: letters, digits, '.', '_' and '-', at most 128",
        ),
        (
            {"metalink": "AA==", "uris": ["https://a.example/f"]},
            "uris: a metalink names its addresses itself; leave them out",
        ),
        (
            {"uris": ["https://a.example/f.torrent"], "checksum": "md5=" + "0" * 32},
            "checksum: a torrent has digests of its own for what it leads to",
        ),
        (
            {"uris": ["https://a.example/f"], "options": {"seed-time": 1}},
            "options.seed-time: means nothing for a file",
        ),
        (
            {"uris": ["https://a.example/f"], "options": {"select-file": "1"}},
            "options.select-file: means nothing for a file",
        ),
        (
            {"uris": ["https://a.example/f.meta4"], "options": {"seed-ratio": 1}},
            "options.seed-ratio: means nothing for a metalink",
        ),
        (
            {"uris": ["ftp://a.example/f%0D%0ADELE%20g"]},
            "uris[0]: has an encoded line end, which ftp can't ask for",
        ),
        ({"uris": ["http://a.example:?@127.0.0.1/f"]}, "uris[0]: has a colon behind its host, but no port"),
        ({"uris": ["a.example/f"]}, f"uris[0]: has no scheme; {ADDRESS}"),
        ({"uris": ["https:///f"]}, f"uris[0]: has no host; {ADDRESS}"),
        ({"uris": ["https://u:p/w@a.example/"]}, f"uris[0]: not an address; {ADDRESS}"),
        ({"uris": ["https://[::1/f"]}, f"uris[0]: not an address; {ADDRESS}"),
        ({"uris": ["https://a.example/" + "x" * 8192]}, "uris[0]: longer than 8192 characters"),
        (
            {"uris": ["https://a.example/a b"]},
            "uris[0]: has white space or control characters; percent-encode them",
        ),
        (
            {"uris": ["https://a.example/f", "x:"]},
            f"uris[1]: scheme 'x' is not allowed; use {USED}",
        ),
    ],
)
def test_an_address_that_cannot_be_used_is_refused(fields: dict[str, Any], message: str) -> None:
    assert refusal(json.dumps(fields).encode()) == message


@pytest.mark.parametrize("where", ["out", "dir"])
@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("../f", f"{INSIDE} '../f'"),
        ("a/../../f", f"{INSIDE} 'a/../../f'"),
        ("a\\..\\f", f"{INSIDE} 'a\\\\..\\\\f'"),
        ("..", f"{INSIDE} '..'"),
        ("/etc/passwd", f"{RELATIVE} '/etc/passwd'"),
        ("~/f", f"{RELATIVE} '~/f'"),
        ("\\\\host\\share", f"{RELATIVE} '\\\\\\\\host\\\\share'"),
        ("C:\\f", f"{RELATIVE} 'C:\\\\f'"),
        ("c:f", f"{RELATIVE} 'c:f'"),
        (".downdraft", KEPT),
        (".downdraft/x", KEPT),
        ("./.downdraft", KEPT),
        ("", "must name a file or folder"),
        (".", "must name a file or folder"),
        ("a\nb", "has control characters or is too long for a file system"),
        ("x" * 256, "has control characters or is too long for a file system"),
    ],
)
def test_a_path_that_leaves_its_folder_is_refused(where: str, path: str, message: str) -> None:
    assert refusal_of(where, path) == f"{where}: {message}"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("dir", "x", f"{UNLISTED} use the field `dir`"),
        ("out", "x", f"{UNLISTED} use the field `out`"),
        ("header", "A: b", f"{UNLISTED} use the field `headers`"),
        ("checksum", "x", f"{UNLISTED} use the field `checksum`"),
        ("gid", "1", f"{UNLISTED} the id is given by Downdraft; use the field `id` for your own"),
        ("all-proxy", "http://p/", f"{UNLISTED} a proxy is set by the node alone: the setting `node.upstream_proxy`"),
        ("on-download-complete", "/bin/sh", f"{UNLISTED} it would run a program on the node"),
        ("nobody-knows", "x", f"{UNLISTED} the list of those that it may is in docs/requests.md"),
        ("max-try", "x", f"{UNLISTED} did you mean max-tries?"),
        ("split", 17, f"{SPLIT} 17"),
        ("split", 0, f"{SPLIT} 0"),
        ("split", True, f"{SPLIT} True"),
        ("split", 1.5, f"{SPLIT} 1.5"),
        ("split", "four", f"{SPLIT} 'four'"),
        ("max-download-limit", "fast", f"{BYTES} 'fast'"),
        ("max-download-limit", "1G", f"{BYTES} '1G'"),
        ("max-download-limit", -1, f"{BYTES} -1"),
        ("seed-time", 1441, "must be a number from 0 to 1440, not 1441"),
        ("seed-ratio", "-1", "must be a number from 0 to 100, not '-1'"),
        ("seed-ratio", "1e3", "must be a number from 0 to 100, not '1e3'"),
        ("select-file", "0", "must be numbers of files, from 1, such as 1,3-5, not '0'"),
        ("select-file", 1.5, "must be numbers of files, from 1, such as 1,3-5, not 1.5"),
        ("user-agent", "a\r\nHost: b", "must be a line of text, not 'a\\r\\nHost: b'"),
        ("http-passwd", "hunter2\n", "must be a line of text"),
    ],
)
def test_an_option_that_cannot_be_set_is_refused(name: str, value: object, message: str) -> None:
    assert refusal_of("options", {name: value}) == f"options.{name}: {message}"


@pytest.mark.parametrize(
    ("where", "value", "message"),
    [
        ("priority", 11, "priority: must be a whole number from -10 to 10"),
        ("priority", -11, "priority: must be a whole number from -10 to 10"),
        ("priority", 1.5, "priority: must be a whole number from -10 to 10"),
        ("priority", "high", "priority: must be a whole number from -10 to 10"),
        ("not_before", "2031-05-01T22:00:00", f"not_before: {MOMENT}"),
        ("not_before", "tomorrow", f"not_before: {MOMENT}"),
        ("deadline", 5, f"deadline: {MOMENT}"),
        ("checksum", "abc", f"checksum: must be <type>=<hex> with a type of {TYPES}"),
        ("checksum", "crc32=00000000", f"checksum: must be <type>=<hex> with a type of {TYPES}"),
        ("checksum", "md5=abc", "checksum: md5 has 32 hex digits, not 'abc'"),
        ("checksum", "md5=" + "g" * 32, f"checksum: md5 has 32 hex digits, not '{'g' * 32}'"),
        ("size", "large", "size: not a size: 'large' (try 1048576, 500K, 20M or 1G)"),
        ("size", -1, "size: a size can't be negative: -1"),
        ("size", 1.5, "size: expected int | str | null, got float"),
        ("size", 10**20, f"size: a size can't be above {2**63 - 1} bytes"),
        ("size", "9000000T", f"size: a size can't be above {2**63 - 1} bytes"),
        ("headers", {"Cookie": "a\nb"}, f"headers[...]: {HEADER}"),
        ("headers", {"Cookie": "a\r"}, f"headers[...]: {HEADER}"),
        ("headers", {"A b": "c"}, f"headers: {HEADER}"),
        ("headers", {"A": 5}, "headers[...]: expected str, got int"),
        ("tags", ["a b"], f"tags[0]: {TAG}"),
        ("tags", "eu", "tags: expected array, got str"),
        ("labels", {"!": "x"}, f"labels: {LABEL}"),
        ("labels", {"a": "x" * 257}, "labels[...]: expected str of length <= 256"),
        ("id", "", "id: expected str of length >= 1"),
        ("id", 5, "id: expected str | null, got int"),
        ("name", "x" * 257, "name: expected str of length <= 256"),
        ("max_attempts", 0, "max_attempts: expected int >= 1"),
        ("max_attempts", 101, "max_attempts: expected int <= 100"),
        ("options", [], "options: expected object, got array"),
        ("options", {"split": None}, "options[...]: expected bool | int | float | str, got null"),
        ("out", "a/", "out: must name a file or folder"),
    ],
)
def test_a_value_that_a_field_cannot_have_is_refused(where: str, value: object, message: str) -> None:
    assert refusal_of(where, value) == message


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", f"not JSON (Input data was truncated); publish an object such as {EXAMPLE}"),
        (
            b"https://a.example/f",
            f"not JSON (JSON is malformed: invalid character (byte 0)); publish an object such as {EXAMPLE}",
        ),
        (b'{"a":' * 100_000, f"nested too deeply; publish an object such as {EXAMPLE}"),
        (b"[]", "expected object, got array"),
        (b'"https://a.example/f"', "expected object, got str"),
        (b"{}", f"uris: at least one address is needed, for example {EXAMPLE}"),
    ],
)
def test_a_body_that_is_no_request_is_refused(body: bytes, message: str) -> None:
    assert refusal(body) == message


def test_a_message_quotes_a_long_value_only_in_part() -> None:
    assert len(refusal_of("checksum", "md5=" + "x" * 100_000)) < 1000


def refusal_of(field: str, value: object) -> str:
    return refusal(json.dumps({"uris": ["https://a.example/f"]} | {field: value}).encode())


def test_labels_may_not_be_used_as_a_store() -> None:
    body = json.dumps({"uris": ["http://x/"], "labels": {f"n{n}": "x" * 200 for n in range(100)}}).encode()
    with pytest.raises(RequestInvalid, match=r"^labels: more than 16384 bytes in all"):
        decode_request(body)


@pytest.mark.parametrize("deadline", ["2031-05-01T22:00:00Z", "2031-05-01T23:00:00+02:00"])
def test_what_may_not_begin_before_its_deadline_is_refused(deadline: str) -> None:
    body = {"uris": ["https://a.example/f"], "not_before": "2031-05-01T22:00:00Z", "deadline": deadline}
    said = "deadline: must come after not_before: nothing can be finished before it may begin"
    assert refusal(json.dumps(body).encode()) == said
