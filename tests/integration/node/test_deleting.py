"""Deleting finished files over a real broker: the very file, or nothing."""

import random
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from broker.connection import Connection
from broker.errors import Unanswered
from broker.filestream import NodeAway, NodeFile, delete
from broker.roles import Role
from node import finished as finished_module
from node import serving as serving_module
from node.finished import Deletion, FileRefused
from schemas import codec
from schemas import subjects as s
from schemas.transfer import DELETE, Deleted, Trouble
from tests.harness.broker import Broker
from tests.harness.fileservice import NODE, TASK, Watched, digest_of, serving

BODY = b"whole"


@pytest.fixture
def finished(tmp_path: Path) -> Watched:
    (tmp_path / "downloads").mkdir()
    return Watched(tmp_path / "downloads")


@pytest.fixture
async def asker(broker: Broker, finished: Watched) -> AsyncIterator[Connection]:
    """An operator beside a node that serves."""
    async with serving(broker, finished), broker.connected(Role.OPERATOR) as connection:
        yield connection


async def test_the_very_file_is_deleted_and_its_folder_stays(asker: Connection, finished: Watched) -> None:
    file = finished.put("a/f", BODY)
    assert await delete(asker, file, digest_of(BODY)) == Deleted(deleted=True, said="deleted")
    assert not (finished.downloads / "a" / "f").exists()
    assert (finished.downloads / "a").is_dir()


async def test_the_folder_of_a_task_goes_with_the_last_of_its_files(asker: Connection, finished: Watched) -> None:
    files = [finished.put(path, BODY)._replace(folder="of/task") for path in ("of/task/a", "of/task/deep/b")]
    assert (await delete(asker, files[1], digest_of(BODY))).deleted
    assert {path.name for path in (finished.downloads / "of/task").iterdir()} == {"a"}
    assert (await delete(asker, files[0], digest_of(BODY))).deleted
    assert (finished.downloads / "of").is_dir()
    assert not (finished.downloads / "of/task").exists()


@pytest.mark.parametrize("folder", ["..", "../outside", ".downdraft", "/"])
async def test_no_folder_goes_that_is_not_the_file_s_own(asker: Connection, finished: Watched, folder: str) -> None:
    (finished.downloads.parent / "outside").mkdir()
    file = finished.put("a/f", BODY)._replace(folder=folder)
    outcome = await delete(asker, file, digest_of(BODY))
    assert (outcome.deleted, outcome.trouble is not None) == (False, True)
    assert (finished.downloads / "a/f").exists()


async def test_deleting_twice_says_that_it_is_gone(asker: Connection, finished: Watched) -> None:
    file = finished.put("f", BODY)
    await delete(asker, file, digest_of(BODY))
    again = await delete(asker, file, digest_of(BODY))
    assert (again.deleted, again.trouble) == (False, Trouble.GONE)


@pytest.mark.parametrize("body", [b"other", b"longer than it was"])
async def test_another_file_of_that_name_is_left_alone(asker: Connection, finished: Watched, body: bytes) -> None:
    finished.put("f", body)
    outcome = await delete(asker, NodeFile(NODE, TASK, "f", len(BODY)), digest_of(BODY))
    assert (outcome.deleted, outcome.trouble) == (False, Trouble.CHANGED)
    assert (finished.downloads / "f").read_bytes() == body


@pytest.mark.parametrize("path", ["../secret", ".downdraft/x", "link", "out/secret"])
async def test_what_is_not_served_is_not_deleted_either(asker: Connection, finished: Watched, path: str) -> None:
    secret = finished.downloads.parent / "secret"
    secret.write_bytes(BODY)
    finished.put(".downdraft/x", BODY)
    (finished.downloads / "link").symlink_to("../secret")
    (finished.downloads / "out").symlink_to("..")
    outcome = await delete(asker, NodeFile(NODE, TASK, path, len(BODY)), digest_of(BODY))
    assert (outcome.deleted, outcome.trouble) == (False, Trouble.REFUSED)
    assert secret.exists()
    assert (finished.downloads / ".downdraft" / "x").exists()
    assert (finished.downloads / "link").is_symlink()


@pytest.mark.parametrize("digest", ["", "sha-256=", "md5=00", "sha-256=" + "A" * 64])
async def test_without_a_digest_nothing_is_deleted(asker: Connection, finished: Watched, digest: str) -> None:
    outcome = await delete(asker, finished.put("f", BODY), digest)
    assert (outcome.deleted, outcome.trouble) == (False, Trouble.INVALID)
    assert (finished.downloads / "f").exists()


async def test_a_long_comparison_is_waited_for(
    asker: Connection, finished: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared, go_on = threading.Event(), threading.Event()
    whole = Deletion.finish

    def held(deletion: Deletion) -> None:
        compared.set()
        go_on.wait(20)
        whole(deletion)

    monkeypatch.setattr(Deletion, "finish", held)
    monkeypatch.setattr(serving_module, "ANSWER_WITHIN_S", 0.05)
    file = finished.put("f", BODY)
    query = codec.encode({"task": TASK, "path": "f", "bytes": len(BODY), "digest": digest_of(BODY)})
    first = codec.decode((await asker.request(s.node_verb(NODE, DELETE), query)).data, Deleted)
    assert first.pending
    assert compared.wait(10)
    go_on.set()
    await delete(asker, file, digest_of(BODY))  # waits for the same end, or comes after it
    assert not (finished.downloads / "f").exists()


async def test_a_lost_answer_makes_no_failure_of_a_deletion(
    asker: Connection, finished: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = finished.put("f", BODY)
    asked = asker.request
    lost = 0

    async def losing(subject: str, body: bytes = b"", **how: object) -> object:
        nonlocal lost
        answer = await asked(subject, body, **how)  # type: ignore[arg-type]
        if not lost:
            lost += 1
            raise Unanswered("lost on its way back")
        return answer

    monkeypatch.setattr(asker, "request", losing)
    assert (await delete(asker, file, digest_of(BODY))).deleted
    assert lost == 1


async def test_a_node_that_is_away_is_named(broker: Broker) -> None:
    async with broker.connected(Role.OPERATOR) as connection:
        with anyio.fail_after(8), pytest.raises(NodeAway, match="node-9 is offline"):
            await delete(connection, NodeFile("node-9", TASK, "f", 1), digest_of(b"1"))


def test_a_file_that_was_replaced_while_it_was_compared_is_left_alone(finished: Watched) -> None:
    finished.put("f", BODY)
    deletion = finished.deletion("f", size=len(BODY), digest=digest_of(BODY))
    assert deletion.step()
    fresh = finished.downloads / "fresh"
    fresh.write_bytes(BODY)
    fresh.replace(finished.downloads / "f")
    with pytest.raises(FileRefused) as caught:
        deletion.finish()
    deletion.close()
    assert caught.value.trouble is Trouble.CHANGED
    assert (finished.downloads / "f").exists()


def test_a_large_file_is_compared_in_steps(finished: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finished_module, "BLOCK_BYTES", 10)
    monkeypatch.setattr(finished_module, "STEP_BYTES", 20)
    body = random.Random(1).randbytes(95)
    finished.put("f", body)
    deletion = finished.deletion("f", size=95, digest=digest_of(body))
    steps = 1
    while not deletion.step():
        steps += 1
    deletion.finish()
    deletion.close()
    assert steps == 6  # 20, 20, 20, 20, 15 and the end
    assert not (finished.downloads / "f").exists()
