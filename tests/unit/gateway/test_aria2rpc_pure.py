"""aria2's JSON-RPC without any cluster: envelope, parameters, options, lists."""

import base64
import json
import xmlrpc.client
from datetime import UTC, datetime
from typing import Any

import anyio
import pytest
from msgspec.structs import replace

from gateway.aria2rpc import status
from gateway.aria2rpc.envelope import Answer, Call, callback_of, decode, encode, query_body, read_call, status_of
from gateway.aria2rpc.errors import RpcError, TooMany
from gateway.aria2rpc.notices import Told
from gateway.aria2rpc.params import Params
from gateway.aria2rpc.status import bitfield, window
from gateway.aria2rpc.together import concern, each
from gateway.aria2rpc.xml import read_xml_call, xml_answer
from schemas.event import AnyEvent, Cancelled, Completed, Failed, Paused, Resumed, Started
from schemas.lifecycle import State
from schemas.request import Request
from schemas.view import TaskView

FILE = Request(uris=("https://a.example/f",))


@pytest.mark.parametrize("body", [b"", b"{", b"1", b"1.5", b"\xff", b"[" * 100_000])
def test_what_is_no_json_object_is_a_parse_error(body: bytes) -> None:
    with pytest.raises(RpcError, match="Parse error") as raised:
        decode(body)
    assert Answer(None, error=raised.value).status == 500


@pytest.mark.parametrize("body", [b"null", b'"x"', b"true"])
def test_json_that_is_no_call_is_an_invalid_request(body: bytes) -> None:
    with pytest.raises(RpcError, match="Invalid Request") as raised:
        decode(body)
    assert Answer(None, error=raised.value).status == 400


def test_only_a_batch_that_was_refused_whole_is_too_many_requests() -> None:
    refused, done = Answer(1, error=TooMany(10, 0.5)), Answer(2, "OK")
    assert [status_of(one) for one in ([refused, refused], [refused, done], [], refused, done)] == [
        *(429, 200, 200, 429, 200)
    ]


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


def told_of(*events: AnyEvent) -> list[str]:
    told = Told()
    return [kind.removeprefix("aria2.on") for event in events for kind in told.kinds(event)]


ABOUT: dict[str, Any] = {"task": "1" * 16, "owner": "ada", "time": datetime(2031, 5, 1, tzinfo=UTC), "attempt": 1}
STARTED = Started(**ABOUT, node="a", lane="small")
DONE = Completed(**ABOUT, node="a", path="f", bytes=1, digest="", seconds=1.0)


@pytest.mark.parametrize(
    ("events", "told"),
    [
        ([STARTED, DONE], ["DownloadStart", "DownloadComplete"]),
        ([DONE, STARTED], ["DownloadStart", "DownloadComplete"]),
        ([STARTED, replace(STARTED, attempt=2), DONE], ["DownloadStart", "DownloadComplete"]),
        ([STARTED, Paused(**ABOUT), Paused(**ABOUT)], ["DownloadStart", "DownloadPause"]),
        ([STARTED, Paused(**ABOUT), Resumed(**ABOUT), STARTED], ["DownloadStart", "DownloadPause", "DownloadStart"]),
        ([Cancelled(**ABOUT, reason="")], ["DownloadStop"]),
        ([STARTED, Failed(**ABOUT, reason="404")], ["DownloadStart", "DownloadError"]),
        (
            [STARTED, replace(DONE, request=Request(torrent="object:t"))],
            ["DownloadStart", "BtDownloadComplete", "DownloadComplete"],
        ),
    ],
)
def test_each_thing_that_happens_to_a_download_is_told_once_and_in_order(
    events: list[AnyEvent], told: list[str]
) -> None:
    assert told_of(*events) == told


def test_a_torrent_that_gives_to_others_is_complete_once() -> None:
    told = Told()
    told.kinds(STARTED)
    assert [told.seeds("1" * 16), told.seeds("1" * 16)] == [True, False]
    assert told.kinds(replace(DONE, request=Request(torrent="object:t"))) == ["aria2.onDownloadComplete"]
    assert not told.seeds("1" * 16)


@pytest.mark.parametrize(
    ("method", "params", "about"),
    [
        ("aria2.pause", ["token:x", "00000000000000AB"], "00000000000000ab"),
        ("aria2.remove", ["00000000000000ab"], "00000000000000ab"),
        ("aria2.remove", [], None),
        ("aria2.addUri", ["token:x", ["u"], {"gid": "00000000000000AB"}], "00000000000000ab"),
        ("aria2.addUri", ["token:x", ["u"], {}, 0], None),
        ("aria2.addTorrent", ["t", [], {}, 0], None),
        ("aria2.tellStatus", ["token:x", "00000000000000ab"], None),
    ],
)
def test_neighbours_wait_together_only_where_they_are_about_different_downloads(
    method: str, params: list[Any], about: object
) -> None:
    assert concern(method, params) == about


async def test_calls_are_begun_in_order_and_answered_in_order() -> None:
    begun: list[int] = []
    running, most = 0, 0

    async def work(item: int) -> int:
        nonlocal running, most
        begun.append(item)
        running += 1
        most = max(most, running)
        await anyio.sleep(0.001 * (item % 3))
        running -= 1
        return -item

    # Of four the first and the third are about the same thing, and the fourth about everything: at most two together.
    results = await each(range(200), lambda item: None if item % 4 == 3 else item % 2, work)
    assert (results, begun, most) == ([-item for item in range(200)], list(range(200)), 2)


def test_xml_is_read_and_written() -> None:
    call = read_xml_call(
        b"<methodCall><methodName>m</methodName><params><param><value>plain</value></param>"
        b"<param><value><array><data><value><i4>5</i4></value></data></array></value></param>"
        b"<param><value><struct><member><name>a</name><value><string>b</string></value></member></struct></value></param>"
        b"</params></methodCall>"
    )
    assert call == Call(None, "m", ["plain", [5], {"a": "b"}])
    assert b"<name>faultCode</name><value><int>1</int></value>" in xml_answer(Answer(None, error=RpcError("a<b")))


def test_extensions_of_xml_rpc_are_read() -> None:
    typed = b"<i8>5000000000</i8>|<ex:i8 xmlns:ex='u'>7</ex:i8>|<nil/>|<boolean>1</boolean>|<double>1.5</double>"
    params = b"".join(b"<param><value>" + one + b"</value></param>" for one in typed.split(b"|"))
    call = read_xml_call(b"<methodCall><methodName> m </methodName><params>" + params + b"</params></methodCall>")
    assert call == Call(None, "m", [5_000_000_000, 7, None, True, 1.5])


def test_what_no_document_may_hold_does_not_spoil_an_answer() -> None:
    told = xml_answer(Answer(None, {"na\0me": "a\x0bb\rc\ud800d<&>"}))
    (found,), _ = xmlrpc.client.loads(told.decode())
    assert found == {"na\ufffdme": "a\ufffdb\rc\ufffdd<&>"}


@pytest.mark.parametrize(
    "body", [b"<", b"<a/>", b'<!DOCTYPE x [<!ENTITY e "y">]><methodCall><methodName>m</methodName></methodCall>']
)
def test_xml_that_is_no_call_is_refused(body: bytes) -> None:
    with pytest.raises(RpcError):
        read_xml_call(body)


@pytest.mark.parametrize(
    ("done", "total", "told"),
    [
        (0, 1, "00"),
        (1, 1, "80"),
        (3 << 20, 4 << 20, "e0"),
        ((3 << 20) - 1, 9 << 20, "c000"),
        (9 << 20, 9 << 20, "ff80"),
    ],
)
def test_pieces_are_told_as_hex_digits(done: int, total: int, told: str) -> None:
    assert bitfield(done, total, 1 << 20) == told


def test_a_very_large_file_has_larger_pieces_rather_than_too_many() -> None:
    view = TaskView(task="0" * 16, owner="ann", state=State.COMPLETED, bytes=10 << 40)
    told = status.status_of(view, None, "complete")
    assert (told["numPieces"], told["pieceLength"]) == ("2560", str(4 << 30))
    assert told["bitfield"] == "f" * (2560 // 4)
