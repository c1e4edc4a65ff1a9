"""aria2's JSON-RPC without any cluster: envelope, parameters, options, lists."""

import base64
import json

import pytest

from gateway.aria2rpc.envelope import Answer, Call, callback_of, decode, encode, query_body, read_call
from gateway.aria2rpc.errors import RpcError
from gateway.aria2rpc.options import asked_of, folder_of, normal
from gateway.aria2rpc.params import Params
from gateway.aria2rpc.status import window
from gateway.aria2rpc.xml import read_xml_call, xml_answer
from schemas.request import IfExists, Request

FILE = Request(uris=("https://a.example/f",))


@pytest.mark.parametrize("body", [b"", b"{", b"1", b'"x"', b"\xff", b"[" * 100_000])
def test_what_is_no_json_object_is_a_parse_error(body: bytes) -> None:
    with pytest.raises(RpcError, match="Parse error") as raised:
        decode(body)
    assert Answer(None, error=raised.value).status == 500


@pytest.mark.parametrize(
    ("raw", "code", "status"),
    [
        ({"id": 1}, -32600, 400),
        ({"method": "aria2.getVersion"}, -32600, 400),
        ({"id": "x", "method": 5}, -32600, 400),
        ({"id": 1, "method": "m", "params": {}}, -32602, 500),
    ],
)
def test_what_is_no_call_is_answered_as_aria2_answers_it(raw: dict[str, object], code: int, status: int) -> None:
    answer = read_call(raw)
    assert isinstance(answer, Answer)
    assert answer.error is not None
    assert (answer.error.code, answer.status, answer.id) == (code, status, raw.get("id"))


@pytest.mark.parametrize("call_id", [None, 1, "q", [1], {"a": 1}])
def test_an_id_comes_back_with_its_type(call_id: object) -> None:
    call = read_call({"id": call_id, "method": "m"})
    assert call == Call(call_id, "m", [])
    assert json.loads(encode(Answer(call_id, "OK")))["id"] == call_id


def test_a_get_says_what_a_post_would() -> None:
    params = base64.b64encode(b'["token:x"]').decode()
    assert json.loads(query_body({"method": "m", "id": "7", "params": params})) == {
        "method": "m",
        "id": "7",
        "params": ["token:x"],
    }
    batch = base64.b64encode(b'[{"id":1,"method":"m"}]').decode()
    assert json.loads(query_body({"params": batch})) == [{"id": 1, "method": "m"}]


def test_a_callback_that_is_no_name_is_refused() -> None:
    assert callback_of({"jsoncallback": "a.b"}) == "a.b"
    with pytest.raises(RpcError):
        callback_of({"jsoncallback": "alert(1);x"})


def test_parameters_are_asked_for_in_aria2s_words() -> None:
    params = Params(["x", -1, 1.5, True])
    for read, said in (
        (lambda: params.text(4), "The parameter at 4 is required but missing."),
        (lambda: params.integer(0), "The parameter at 0 has wrong type."),
        (lambda: params.integer(3), "The parameter at 3 has wrong type."),
        (lambda: params.place_if_any(1), "Position must be greater than or equal to 0."),
        (
            lambda: params.integer(1, low=0),
            "The integer parameter at 1 has invalid value: the value must be greater than or equal to 0.",
        ),
    ):
        with pytest.raises(RpcError) as raised:
            read()
        assert raised.value.message == said
    assert params.integer(2) == 1


@pytest.mark.parametrize(
    ("offset", "count", "listed"),
    [
        (0, 2, [0, 1]),
        (1, 9, [1, 2, 3]),
        (9, 1, []),
        (-1, 2, [3, 2]),
        (-2, 2, [2, 1]),
        (-4, 9, [0]),
        (-5, 2, []),
        (0, 0, []),
    ],
)
def test_a_negative_offset_counts_from_the_end_and_goes_backwards(offset: int, count: int, listed: list[int]) -> None:
    assert window([0, 1, 2, 3], offset, count) == listed


@pytest.mark.parametrize(
    ("given", "folder"),
    [("/downloads", None), ("/downloads/a/b", "a/b"), ("/mnt/x", "mnt/x"), ("C:\\Users\\me", "Users/me"), ("a", "a")],
)
def test_a_folder_becomes_one_below_the_download_folder(given: str, folder: str | None) -> None:
    assert folder_of(given) == folder


def test_options_become_fields_of_the_request() -> None:
    asked = asked_of(
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
    request = asked.request
    assert asked.is_paused
    assert request.options == {"split": "4"}, "what is no text is passed over, as in aria2"
    assert (request.headers, request.out, request.dir) == ({"A": "b", "C": "d"}, "o", "s")
    assert request.if_exists is IfExists.OVERWRITE


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("split", "x"),
        ("all-proxy", "http://p:1"),
        ("gid", "1" * 16),
        ("dir", "/a/../b"),
        ("pause", "maybe"),
        ("header", "x"),
    ],
)
def test_an_option_that_a_cluster_cannot_honour_is_refused_as_aria2_refuses_it(name: str, value: str) -> None:
    with pytest.raises(RpcError) as raised:
        asked_of(FILE, {name: value})
    assert raised.value.message == f"We encountered a problem while processing the option '--{name}'."


def test_sizes_are_answered_in_bytes() -> None:
    assert normal("max-download-limit", "900K") == "921600"


def test_xml_is_read_and_written() -> None:
    call = read_xml_call(
        b"<methodCall><methodName>m</methodName><params><param><value>plain</value></param>"
        b"<param><value><array><data><value><i4>5</i4></value></data></array></value></param>"
        b"<param><value><struct><member><name>a</name><value><string>b</string></value></member></struct></value></param>"
        b"</params></methodCall>"
    )
    assert call == Call(None, "m", ["plain", [5], {"a": "b"}])
    assert b"<name>faultCode</name><value><int>1</int></value>" in xml_answer(Answer(None, error=RpcError("a<b")))


@pytest.mark.parametrize(
    "body", [b"<", b"<a/>", b'<!DOCTYPE x [<!ENTITY e "y">]><methodCall><methodName>m</methodName></methodCall>']
)
def test_xml_that_is_no_call_is_refused(body: bytes) -> None:
    with pytest.raises(RpcError):
        read_xml_call(body)
