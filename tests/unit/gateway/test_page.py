"""The web page's files, as they are answered."""

from pathlib import Path

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from gateway.page import NOT_BUILT, answer, coding_for, page, read_files
from gateway.problems import HANDLERS

ALL = {"": b"plain", "br": b"b", "gzip": b"g"}


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """What a build leaves."""
    (tmp_path / "assets").mkdir()
    (tmp_path / ".made-from").write_text("abc")
    (tmp_path / "index.html").write_text("<!doctype html>")
    for end, body in (("", b"script"), (".br", b"brotli"), (".gz", b"gzip")):
        (tmp_path / "assets" / f"index-C0FFEE.js{end}").write_bytes(body)
    return tmp_path


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("gzip, deflate, br", "br"),
        ("gzip", "gzip"),
        ("br;q=0, gzip;q=0.5", "gzip"),
        ("br;q=0.0, gzip;q=0", ""),
        ("*", "br"),
        ("*;q=0", ""),
        ("gzip;q=0, *;q=1", "br"),
        ("identity", ""),
        ("", ""),
    ],
)
def test_a_file_comes_as_its_client_can_read_it(accepted: str, coding: str) -> None:
    assert coding_for(accepted, ALL) == coding


def test_a_file_that_was_not_compressed_comes_as_it_is() -> None:
    assert coding_for("br, gzip", {"": b"plain"}) == ""


def test_hashed_files_are_kept_for_ever_and_the_page_itself_is_looked_at_again(built: Path) -> None:
    files = read_files(built)
    assert set(files) == {"index.html", "assets/index-C0FFEE.js"}
    assert answer(files["assets/index-C0FFEE.js"], "br", "").headers["Cache-Control"].endswith("immutable")
    assert answer(files["index.html"], "br", "").headers["Cache-Control"] == "no-cache"


def test_what_a_browser_has_is_not_sent_again(built: Path) -> None:
    script = read_files(built)["assets/index-C0FFEE.js"]
    first = answer(script, "br", "")
    assert first.content == b"brotli"
    assert first.headers["Content-Encoding"] == "br"
    again = answer(script, "br", f'"other", W/{first.headers["ETag"]}')
    assert (again.status_code, again.content) == (304, b"")
    assert answer(script, "gzip", first.headers["ETag"]).content == b"gzip"


def test_the_page_may_run_and_ask_nothing_but_its_own_gateway(built: Path) -> None:
    policy = answer(read_files(built)["index.html"], "", "").headers["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "*" not in policy
    for directive in policy.split("; "):
        assert directive.split()[1:] in (["'self'"], ["'none'"]), directive


def test_a_gateway_without_the_page_says_so_in_a_sentence() -> None:
    with TestClient(Litestar([page({})], openapi_config=None)) as client:
        found = client.get("/")
    assert found.status_code == 404
    assert found.text == NOT_BUILT
    assert found.headers["content-type"].startswith("text/plain")


def test_only_the_page_s_own_files_are_served(built: Path) -> None:
    with TestClient(Litestar([page(read_files(built))], openapi_config=None, exception_handlers=HANDLERS)) as client:
        assert client.get("/").text == "<!doctype html>"
        assert client.head("/").status_code == 200
        plain = client.get("/assets/index-C0FFEE.js", headers={"Accept-Encoding": "identity"})
        assert plain.text == "script"
        assert client.get("/.made-from").status_code == 404
        assert client.get("/assets/../.made-from").status_code == 404
        assert client.get("/assets/other.js").status_code == 404
