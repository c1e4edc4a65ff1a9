"""What may be shown: never a password, a token or a cookie, however they are written."""

from urllib.parse import quote

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import replace

from schemas.options import SECRET
from schemas.redact import MASK, origin_of, public_request, redact_uri
from schemas.request import Request

KEY = "Qq7SecretZz"
"""Found nowhere else in what is drawn."""

secret_names = st.sampled_from(
    [
        *("token", "access_token", "api_key", "apikey", "password", "pwd", "client_secret", "session_id", "jwt"),
        *("Signature", "X-Amz-Signature", "X-Amz-Credential", "X-Goog-Signature", "sig", "se", "auth"),
    ]
)
plain_names = st.sampled_from(["page", "file", "v", "id", "format"])
words = st.from_regex(r"[a-z0-9]{1,8}", fullmatch=True)
pairs = st.lists(st.tuples(plain_names, words), max_size=3)
separators = st.sampled_from(["&", ";"])


def encoded(name: str, every: int) -> str:
    """`name` with each `every`th letter percent-encoded, as a server reads it all the same."""
    return "".join(f"%{ord(ch):02X}" if every and at % every == 0 else ch for at, ch in enumerate(name))


@given(secret_names, pairs, pairs, separators, st.integers(0, 3), st.sampled_from(["?", "?a#"]))
def test_no_secret_value_survives(
    name: str, before: list[tuple[str, str]], after: list[tuple[str, str]], between: str, every: int, mark: str
) -> None:
    parts = [f"{n}={v}" for n, v in before] + [f"{encoded(name, every)}={KEY}"] + [f"{n}={v}" for n, v in after]
    uri = f"https://h.example/f{mark}{between.join(parts)}"
    assert KEY not in redact_uri(uri)
    assert MASK in redact_uri(uri)
    assert public_request(Request(uris=(uri,))) is None


@given(words, st.text(min_size=1, max_size=8).map(lambda text: quote(text, safe="")), st.sampled_from(["", "@", ":"]))
def test_no_user_and_password_survive(user: str, password: str, tail: str) -> None:
    uri = f"ftp://{user}:{password}{KEY}{tail}@h.example/f"
    assert redact_uri(uri) == "ftp://h.example/f"
    assert public_request(Request(uris=(uri,))) is None


@given(pairs, words)
def test_an_address_without_secrets_is_shown_as_it_is(query: list[tuple[str, str]], path: str) -> None:
    asked = "&".join(f"{name}={value}" for name, value in query)
    uri = f"https://h.example/{path}" + (f"?{asked}" if asked else "")
    assert redact_uri(uri) == uri


@given(pairs, words)
def test_redacting_twice_changes_nothing_more(query: list[tuple[str, str]], value: str) -> None:
    uri = "https://u:p@h.example/f?" + "&".join([*(f"{n}={v}" for n, v in query), f"token={value}"])
    assert redact_uri(redact_uri(uri)) == redact_uri(uri)


@pytest.mark.parametrize("option", sorted(SECRET))
def test_a_request_with_a_secret_option_is_not_public(option: str) -> None:
    assert public_request(Request(uris=("ftp://h.example/f",), options={option: "x"})) is None


@given(st.dictionaries(words, words, min_size=1, max_size=2))
def test_a_request_with_headers_is_not_public(headers: dict[str, str]) -> None:
    assert public_request(Request(uris=("https://h.example/f",), headers=headers)) is None


@given(st.lists(words, min_size=1, max_size=3), words)
def test_one_secret_mirror_hides_the_whole_request(mirrors: list[str], secret: str) -> None:
    uris = (*(f"https://{mirror}.example/f" for mirror in mirrors), f"https://h.example/f?token={secret}")
    assert public_request(Request(uris=uris)) is None


@given(words, st.integers(-10, 10))
def test_a_request_without_secrets_is_public(path: str, priority: int) -> None:
    request = Request(uris=(f"https://h.example/{path}",), priority=priority, options={"split": "4"})
    assert public_request(request) is request


@given(words, st.none() | st.integers(1, 65535))
def test_an_origin_is_host_and_port_and_no_user(host: str, port: int | None) -> None:
    assume(not host.isdecimal())
    uri = f"https://u:p@{host.upper()}{'' if port is None else f':{port}'}/f"
    assert origin_of(uri) == f"{host}:{port or 443}"


@pytest.mark.parametrize(
    ("link", "shown"),
    [
        (
            "magnet:?xt=urn:btih:aa&tr=https%3A%2F%2Ft.example%2Fannounce%3Fpasskey%3Dgeheim",
            f"magnet:?xt=urn:btih:aa&tr=https%3A%2F%2Ft.example%2Fannounce%3Fpasskey%3D{quote(MASK, safe='')}",
        ),
        (
            "magnet:?xt=urn:btih:aa&ws=https%3A%2F%2Fme%3Ageheim%40w.example%2Ff",
            "magnet:?xt=urn:btih:aa&ws=https%3A%2F%2Fw.example%2Ff",
        ),
        (
            "magnet:?xt=urn:btih:aa&tr.1=udp%3A%2F%2Ft.example%3A80",
            "magnet:?xt=urn:btih:aa&tr.1=udp%3A%2F%2Ft.example%3A80",
        ),
    ],
)
def test_secrets_of_a_magnet_links_trackers_and_web_seeds_are_masked(link: str, shown: str) -> None:
    assert redact_uri(link) == shown


@pytest.mark.parametrize("field", ["torrent", "metalink"])
def test_a_torrent_or_metalink_inside_a_request_may_name_secret_addresses(field: str) -> None:
    assert public_request(replace(Request(), **{field: "AAAA"})) is None
    assert public_request(replace(Request(), **{field: "object:f.torrent"})) is not None
