"""A node that takes no digests (`node.sha256` off): what is asked for is compared all the same."""

import random
from collections.abc import AsyncIterator
from hashlib import new, sha256
from pathlib import Path

import pytest

from broker.cluster import Client
from broker.filedeletion import delete_files
from broker.roles import Role
from node.hashing import digest_of
from schemas.event import Completed
from schemas.lifecycle import State
from schemas.task import FailureClass
from schemas.view import TaskView
from tests.harness.bad_origin import BadOrigin, Manner
from tests.harness.broker import Broker
from tests.harness.fileservice import TASK, Watched, serving
from tests.harness.node import Rig, rig
from tools.fetching import fetch_file
from tools.partfile import PART

pytestmark = pytest.mark.anyio

SMALL, LARGE = random.Random(1).randbytes(1000), random.Random(2).randbytes(9 << 20)


@pytest.fixture
async def undigested(broker: Broker, tmp_path: Path) -> AsyncIterator[Rig]:
    async with rig(broker, tmp_path, sha256=False) as running:
        yield running


def hex_of(kind: str, body: bytes) -> str:
    return new(kind, body, usedforsecurity=False).hexdigest()


async def completed(node: Rig, bad: BadOrigin, body: bytes, checksum: str | None = None, out: str = "f") -> Completed:
    bad.manners["f"] = Manner(body=body, etag='"1"')
    done = await node.outcome(await node.submit(bad.url("f"), checksum=checksum, out=out, if_exists="skip-if-same"))
    assert isinstance(done, Completed), done
    assert (node.downloads / done.path).read_bytes() == body
    return done


def test_nothing_is_read_where_nothing_is_to_be_computed() -> None:
    assert digest_of(Path("there is no such file"), None, sha256=False) == ("", True)


async def test_a_checksum_that_is_asked_for_is_compared_and_nothing_else_computed(
    undigested: Rig, bad: BadOrigin
) -> None:
    for body in (SMALL, LARGE):
        name = str(len(body))
        assert (await completed(undigested, bad, body, out=f"{name}-none")).digest == ""
        assert (await completed(undigested, bad, body, f"md5={hex_of('md5', body)}", f"{name}-md5")).digest == ""
        given = f"sha-256={sha256(body).hexdigest()}"
        assert (await completed(undigested, bad, body, given, f"{name}-sha")).digest == given


async def test_a_file_with_another_checksum_is_never_placed(undigested: Rig, bad: BadOrigin) -> None:
    bad.manners["f"] = Manner(body=SMALL, etag='"1"')
    task = await undigested.submit(bad.url("f"), checksum=f"sha-1={hex_of('sha1', LARGE)}", out="wrong")
    failed = await undigested.failure(task)
    assert (failed.failure, failed.code) == (FailureClass.DAMAGED, "checksum-mismatch")
    assert not (undigested.downloads / "wrong").exists()


async def test_the_same_file_is_still_known_as_the_same(undigested: Rig, bad: BadOrigin) -> None:
    first = await completed(undigested, bad, SMALL)
    assert (await completed(undigested, bad, SMALL)).path == first.path
    assert (await completed(undigested, bad, SMALL[::-1])).path != first.path


async def test_a_file_without_a_digest_is_not_deleted_and_why_is_said(broker: Broker, tmp_path: Path) -> None:
    finished = Watched(tmp_path)
    file = finished.put("f", SMALL)
    view = TaskView(task=TASK, owner="default", state=State.COMPLETED, node=file.node, path="f", bytes=len(SMALL))
    async with serving(broker, finished), broker.connected(Role.OPERATOR) as operator:
        outcome = await delete_files(operator, view)
    assert not outcome.deleted
    assert "tells no digest" in outcome.said
    assert (tmp_path / "f").exists()


async def test_a_file_without_a_digest_is_fetched_from_its_beginning_and_said_to_be_uncompared(
    broker: Broker, tmp_path: Path
) -> None:
    finished = Watched(tmp_path / "node")
    file, target = finished.put("f", SMALL), tmp_path / "f"
    target.with_name(f"f{PART}").write_bytes(b"the beginning of another file")
    async with serving(broker, finished), broker.connected(Role.OPERATOR) as operator:
        fetched = await fetch_file(Client(operator, Role.OPERATOR, ""), file, "", target, False, lambda *_: None)
    assert (fetched.ok, fetched.digest, fetched.resumed_from) == (True, "", 0)
    assert "not compared" in fetched.said
    assert target.read_bytes() == SMALL
