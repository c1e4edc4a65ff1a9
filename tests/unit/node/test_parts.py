"""The files of one task that are downloaded one behind the other: on a real disk, with a crash at every step."""

from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from msgspec.structs import replace

from node import parts as parts_module
from node.extents import Extents
from node.files import Store
from node.metalinks import plan
from node.parts import Part, Parts, Progress, kept_of_parts, kept_parts
from node.staging import CONTROL_NAME
from node.transfers import Status, Transfer
from schemas.payload import Kind
from schemas.request import Request
from tests.examples import a_session
from tests.harness.metalinks import Entry, meta4, sha256

TASK = "00000000000000aa"
BODIES = {"a": b"first", "b": b"second"}
ASKED = Request(uris=("http://a.example/suite.meta4",), dir="sets", headers={"Cookie": "x"})


class Crash(BaseException):
    """The process ends here."""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "downloads")


def content(host: str = "a.example") -> bytes:
    return meta4(*(Entry(name, [f"http://{host}/{name}"], body) for name, body in BODIES.items()))


def planned() -> list[Part]:
    return plan(ASKED, content())[0]


def download(store: Store, body: bytes) -> None:
    store.prepare(TASK, split=True)
    store.data(TASK).write_bytes(body)
    (store.staging(TASK) / CONTROL_NAME).touch()


def test_each_file_is_a_request_of_its_own_with_what_the_metalink_tells() -> None:
    parts, name = plan(ASKED, content())
    assert name == "suite"
    first = parts[0].request
    assert (first.uris, first.kind, first.size) == (("http://a.example/a",), Kind.FILE, 5)
    assert first.checksum == f"sha-256={sha256(b'first')}"
    assert first.headers == ASKED.headers
    assert plan(ASKED, content("b.example"))[0][0].request.headers == {}


@pytest.mark.parametrize(
    ("owner", "name", "after"),
    [
        (parts_module, "_write", False),
        (parts_module, "_write", True),
        (parts_module, "_move", False),
        (parts_module, "_move", True),
    ],
)
def test_a_crash_while_a_part_is_kept_loses_nothing_of_it(
    store: Store, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, after: bool
) -> None:
    real: Callable[..., Any] = getattr(owner, name)

    def crashing(*args: Any) -> None:
        if after:
            real(*args)
        raise Crash

    download(store, b"first")
    with monkeypatch.context() as patched:
        patched.setattr(owner, name, crashing)
        with pytest.raises(Crash):
            Parts("suite", planned(), {}).keep(store, TASK, "sha-256=00")

    restarted = Parts("suite", planned(), kept_parts(store, TASK, planned()))
    is_written = name == "_move" or after
    assert restarted.progress.done == (5 if is_written else 0)
    if not is_written:
        assert store.data(TASK).read_bytes() == b"first", "it is still a partial, with every byte"
        restarted.keep(store, TASK, "sha-256=00")
    assert not (store.staging(TASK) / CONTROL_NAME).exists(), "the next part is not taken for it"
    assert not store.data(TASK).exists()
    download(store, b"second")
    restarted.keep(store, TASK, "sha-256=01")
    placed = restarted.place(store, TASK, PurePosixPath("sets/suite"), seconds=1, attempt=1, is_exact=False)
    assert {one.path: (store.downloads / placed.path / one.path).read_bytes() for one in placed.files} == BODIES


def test_a_whole_part_counts_only_while_the_metalink_says_the_same_of_it(store: Store) -> None:
    download(store, b"first")
    Parts("suite", planned(), {}).keep(store, TASK, "sha-256=00")
    assert len(kept_parts(store, TASK, planned())) == 1
    other = meta4(Entry("a", ["http://a.example/a"], b"FIRST"), Entry("b", ["http://a.example/b"], b"second"))
    assert kept_parts(store, TASK, plan(ASKED, other)[0]) == {}


def test_a_part_without_a_digest_counts_only_under_the_very_same_metalink() -> None:
    one, other = (plan(ASKED, meta4(Entry("a", [f"http://{host}/a"])))[0][0] for host in ("a.example", "b.example"))
    assert one.key != other.key


def test_progress_counts_all_parts_where_all_sizes_are_known() -> None:
    parts = Parts("suite", planned(), {})
    assert parts.progress == Progress(0, 11)
    unknown = [replace(part, request=replace(part.request, size=None)) for part in planned()]
    assert Parts("suite", unknown, {}).progress == Progress(0, 0)


def test_what_is_shown_of_a_transfer_is_of_all_parts_together() -> None:
    class Lane:
        transfers = {"task": Transfer(gid="task", status=Status.ACTIVE, total=6, done=2, speed=1)}  # noqa: RUF012

    session = a_session(lane="small")
    Lane.transfers = {session.task: Lane.transfers["task"]}
    extents = Extents({"small": Lane()})  # type: ignore[dict-item]
    extents.parts(session.task, 5, 11)
    shown = extents.transfer(session)
    assert shown is not None
    assert (shown.done, shown.total, extents.left(session)) == (7, 11, 4)
    Lane.transfers = {}
    assert (extents.transfer(session), extents.left(session)) == (None, 6)


def test_a_partial_is_not_kept_over_a_whole_file_that_is_called_as_it_would_be(store: Store) -> None:
    entries = [Entry("a.part", ["http://a.example/1"], b"whole"), Entry("a", ["http://a.example/2"], b"second")]
    parts = Parts("suite", plan(ASKED, meta4(*entries))[0], {})
    download(store, b"whole")
    parts.keep(store, TASK, "sha-256=00")
    download(store, b"sec")
    assert [one.path for one in kept_of_parts(store, TASK, parts)] == ["a.part", "a.1.part"]


@pytest.mark.parametrize(
    ("metalink", "is_told"),
    [("AA==", True), ("object:suite.meta4", False), (f"object:{'0' * 64}.meta4", True)],
)
def test_secrets_go_to_mirrors_only_where_nobody_else_can_have_named_them(metalink: str, is_told: bool) -> None:
    asked = Request(metalink=metalink, headers={"Cookie": "x"}, options={"http-passwd": "y"})
    request = plan(asked, content())[0][0].request
    assert (bool(request.headers), bool(request.options)) == (is_told, is_told)


def test_a_part_that_is_larger_than_was_said_of_it_needs_that_room() -> None:
    class Lane:
        transfers = {TASK: Transfer(gid=TASK, status=Status.ACTIVE, total=600, done=2, speed=1)}  # noqa: RUF012

    session = a_session(0xAA, lane="small")
    extents = Extents({"small": Lane()})  # type: ignore[dict-item]
    extents.parts(session.task, 5, 11)
    assert (extents.left(session), extents.present(session)) == (598, 600)
