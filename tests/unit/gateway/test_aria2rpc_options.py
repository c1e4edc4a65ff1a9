"""aria2's options as fields of a request, and back."""

import pytest
from msgspec.structs import replace

from gateway.aria2rpc.errors import RpcError
from gateway.aria2rpc.gids import LABEL, gid_from
from gateway.aria2rpc.options import asked_of, news, normal, options_of
from gateway.aria2rpc.paths import folder_of
from schemas.checking import normalise
from schemas.options import Value
from schemas.request import IfExists, Request

FILE = Request(uris=("https://a.example/f",))


@pytest.mark.parametrize(
    ("given", "folder"),
    [("/downloads", None), ("/downloads/a/b", "a/b"), ("/mnt/x", "mnt/x"), ("C:\\Users\\me", "Users/me"), ("a", "a")],
)
def test_a_folder_becomes_one_below_the_download_folder(given: str, folder: str | None) -> None:
    assert folder_of(given) == folder


def test_options_become_fields_of_the_request() -> None:
    request = asked_of(
        FILE,
        {
            "split": "4",
            "header": ["A: b", "C:d"],
            "out": "o",
            "dir": "/downloads/s",
            "allow-overwrite": "true",
            "pause": "true",
            "unheard-of": "x",
            "all-proxy": "",
            "max-tries": 3,
        },
    )
    assert request.paused
    assert request.options == {"split": "4"}, "what is no text is passed over, as in aria2"
    assert (request.headers, request.out, request.dir) == ({"A": "b", "C": "d"}, "o", "s")
    assert request.if_exists is IfExists.OVERWRITE


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("split", "x"),
        ("all-proxy", "http://p:1"),
        ("split", "0"),
        ("max-connection-per-server", "64"),
        ("retry-wait", "601"),
        ("timeout", "0"),
        ("continue", "maybe"),
        ("file-allocation", "sometimes"),
        ("dry-run", "true"),
        ("bt-stop-timeout", "x"),
        ("select-file", "x"),
        ("out", "../x"),
        ("dir", "/a/../b"),
        ("pause", "maybe"),
    ],
)
def test_an_option_that_a_cluster_cannot_honour_is_refused_as_aria2_refuses_it(name: str, value: str) -> None:
    with pytest.raises(RpcError) as raised:
        asked_of(FILE, {name: value})
    assert raised.value.message == f"We encountered a problem while processing the option '--{name}'."


@pytest.mark.parametrize(
    ("name", "given", "taken"),
    [
        ("split", "64", "16"),
        ("max-tries", "0", "10"),
        ("max-tries", "99", "10"),
        ("retry-wait", "600", "60"),
        ("min-split-size", "20M", "20M"),
    ],
)
def test_a_number_that_aria2_takes_is_brought_into_what_a_request_may_say(name: str, given: str, taken: str) -> None:
    assert asked_of(FILE, {name: given}).options == {name: taken}


def test_numbers_about_torrents_are_brought_into_range_for_torrents_and_left_out_elsewhere() -> None:
    given = {"bt-max-peers": "0", "seed-time": "100000", "seed-ratio": "1.0005", "select-file": "1,3", "split": "5"}
    assert asked_of(Request(uris=("magnet:?xt=urn:btih:" + "a" * 40,)), given).options == {
        "bt-max-peers": "200",
        "seed-time": "1440",
        "seed-ratio": "1",
        "select-file": "1,3",
        "split": "5",
    }
    assert asked_of(FILE, given).options == {"split": "5"}


def test_everything_that_getoption_tells_may_be_said_again_of_any_download() -> None:
    """A web page's retry: it reads a task's options, and adds its addresses anew with all of them."""
    told = options_of(Request(uris=FILE.uris, out="a {b}", dir="x/y", options={"split": "4"}))
    for request in (FILE, Request(torrent="object:t"), Request(metalink="object:m")):
        again = normalise(replace(asked_of(request, told), uris=FILE.uris if request is FILE else ()))
        assert (again.dir, again.options["split"], again.paused) == ("x/y", "4", False)


@pytest.mark.parametrize(
    ("out", "folder", "name"),
    [
        ("f.bin", None, "f.bin"),
        ("/downloads/a/f.bin", None, "a/f.bin"),
        ("/downloads/a/f.bin", "/downloads/a", "f.bin"),
        ("/f.bin", "/downloads/a", "f.bin"),
        ("C:\\x\\f.bin", None, "x/f.bin"),
        ("{owner} {}.bin", None, "{{owner}} {{}}.bin"),
    ],
)
def test_a_name_is_taken_at_its_word_below_the_download_folder(out: str, folder: str | None, name: str) -> None:
    request = asked_of(FILE, {"out": out} | ({"dir": folder} if folder else {}))
    assert (request.out, normalise(request).out) == (name, name)


def test_braces_of_a_folder_are_braces() -> None:
    request = asked_of(FILE, {"dir": "/downloads/{date}", "out": "{x}"})
    assert (request.dir, request.title) == ("{{date}}", "{x}")
    assert options_of(request)["dir"] == "/downloads/{date}"


@pytest.mark.parametrize(
    ("given", "headers"),
    [
        ("A: b\nC: d\r\n", {"A": "b", "C": "d"}),
        (["A: b\nC: d", "", "E:"], {"A": "b", "C": "d", "E": ""}),
        (["no colon", "b c: d", 5], {}),
        (["Cookie: a=1", "cookie: b=2", "X: 1", "x: 2"], {"Cookie": "a=1; b=2", "X": "1, 2"}),
        (None, {}),
    ],
)
def test_headers_come_as_a_list_or_as_lines(given: object, headers: dict[str, str]) -> None:
    assert asked_of(FILE, {"header": given}).headers == headers


def test_the_type_of_a_digest_may_have_capitals() -> None:
    assert normalise(asked_of(FILE, {"checksum": "SHA-256=" + "A" * 64})).checksum == "sha-256=" + "A" * 64


def test_a_gid_that_a_client_chose_is_kept_as_a_label() -> None:
    assert asked_of(FILE, {"gid": "00000000000000AB"}).labels == {LABEL: "00000000000000ab"}
    assert gid_from("1" * 16, {LABEL: "00000000000000ab"}) == "00000000000000ab"
    for labels in ({}, {LABEL: "x"}, {LABEL: "0" * 16}):
        assert gid_from("1" * 16, labels) == "1" * 16
    for wrong in ("abc", "0" * 16):
        with pytest.raises(RpcError, match="No URI to download"):
            asked_of(FILE, {"gid": wrong})


def test_of_a_form_that_is_posted_back_only_what_is_new_counts() -> None:
    told = options_of(Request(uris=FILE.uris, options={"max-download-limit": "900K"}))
    assert news(told | {"max-download-limit": "900K", "dir": "/downloads/", "all-proxy": ""}, told) == {}
    assert news(told | {"split": "7", "out": "x"}, told) == {"split": "7", "out": "x"}


def test_sizes_are_answered_in_bytes() -> None:
    assert normal("max-download-limit", "900K") == "921600"


def test_what_may_be_secret_is_not_told() -> None:
    """A key that may only read shows what is downloaded, not what opens it."""
    secrets: dict[str, Value] = {"http-passwd": "hidden", "ftp-passwd": "hidden", "split": "4"}
    told = options_of(Request(uris=FILE.uris, headers={"Authorization": "hidden", "X-Mine": "hidden"}, options=secrets))
    assert told["split"] == "4"
    assert "header" not in told
    assert "hidden" not in "".join(told.values())
