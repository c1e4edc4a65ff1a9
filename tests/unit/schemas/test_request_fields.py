"""The request's fields explain themselves: what the docs and the schema show is here and is true."""

import json
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import pytest
from msgspec import Meta

from schemas.checking import decode_request
from schemas.request import Request, file_name
from tests.examples import a_request

URIS = ["https://a.example/f.iso"]
HINTS = get_type_hints(Request, include_extras=True)


def meta_of(field: str) -> Meta:
    hint = HINTS[field]
    assert get_origin(hint) is Annotated, f"{field} has no Meta"
    meta = get_args(hint)[-1]
    assert isinstance(meta, Meta)
    return meta


EXAMPLES = [(field, example) for field in HINTS for example in meta_of(field).examples or ()]


@pytest.mark.parametrize("field", HINTS)
def test_every_field_has_a_description_that_is_a_sentence(field: str) -> None:
    description = meta_of(field).description or ""
    assert description.endswith(".")
    assert description[0].isupper() or description.startswith("aria2")


@pytest.mark.parametrize("field", HINTS)
def test_every_field_has_an_example(field: str) -> None:
    assert meta_of(field).examples


@pytest.mark.parametrize(("field", "example"), EXAMPLES)
def test_every_example_is_accepted(field: str, example: Any) -> None:
    body: dict[str, Any] = ({} if field == "metalink" else {"uris": URIS}) | {field: example}
    assert decode_request(json.dumps(body).encode())


def test_all_examples_together_are_a_request() -> None:
    of_payloads = {"kind", "torrent", "metalink"}
    assert decode_request(json.dumps({k: v for k, v in EXAMPLES if k not in of_payloads}).encode())


def test_uri_is_short_for_uris_of_one() -> None:
    assert decode_request(b'{"uri":"https://a.example/f"}').uris == ("https://a.example/f",)


def test_a_repeated_mirror_counts_once_and_uri_goes_first() -> None:
    body = {"uri": "https://b.example/f", "uris": ["https://a.example/f", "https://b.example/f"]}
    assert decode_request(json.dumps(body).encode()).uris == ("https://b.example/f", "https://a.example/f")


def test_a_size_is_stored_as_bytes_and_options_as_text() -> None:
    body = {"uris": URIS, "size": "20M", "options": {"split": 4}}
    request = decode_request(json.dumps(body).encode())
    assert (request.size, request.options) == (20 << 20, {"split": "4"})


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("https://a.example/d/f.iso?x=1#y", "f.iso"),
        ("https://a.example/a%20b", "a b"),
        ("https://a.example/d/", "d"),
        ("https://a.example", "index"),
        ("https://a.example/%2e%2e", "index"),
        ("https://a.example/a%2Fb", "a_b"),
        ("https://a.example/.downdraft", "_downdraft"),
        ("https://a.example/%00%2F?x", "index"),
        ("https://a.example/~user/-rf", "_rf"),
        ("https://a.example/File:a.jpg", "File_a.jpg"),
        ("https://a.example/" + "x" * 300 + ".iso", "x" * 251 + ".iso"),
    ],
)
def test_a_file_is_called_what_its_address_suggests_but_never_leaves_its_folder(uri: str, name: str) -> None:
    assert file_name(uri) == name


def test_a_title_is_the_name_else_the_file() -> None:
    assert a_request(name="Debian", out="x").title == "Debian"
    assert a_request(out="x").title == "x"
    assert a_request().title == "f.iso"
