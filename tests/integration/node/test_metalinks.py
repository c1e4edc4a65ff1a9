"""Metalinks on a whole node with real aria2c and real origins."""

import random
from pathlib import Path

import pytest

from broker import payloads
from broker.roles import Role
from schemas.event import AttemptFailed, Completed, StoredFile
from schemas.request import STAGING_NAME
from schemas.task import FailureClass
from tests.harness.broker import Broker
from tests.harness.metalinks import Entry, inline, meta4, metalink3, sha256
from tests.harness.node import Rig, rig
from tests.harness.waiting import eventually
from tests.integration.node.origin import Origin

pytestmark = pytest.mark.anyio

ONE, TWO, THREE = (random.Random(seed).randbytes(size) for seed, size in ((1, 300_000), (2, 1_500_000), (3, 0)))
LARGE = random.Random(4).randbytes(9 << 20)


def put(origin: Origin, **bodies: bytes) -> None:
    origin.files |= bodies


def stored(folder: str, **bodies: bytes) -> tuple[StoredFile, ...]:
    return tuple(StoredFile(f"{folder}/{name}", len(body), f"sha-256={sha256(body)}") for name, body in bodies.items())


async def completed(node: Rig, *uris: str, **fields: object) -> Completed:
    outcome = await node.outcome(await node.submit(*uris, **fields))
    assert isinstance(outcome, Completed), outcome
    return outcome


async def failed(node: Rig, *uris: str, **fields: object) -> AttemptFailed:
    return await node.failure(await node.submit(*uris, max_attempts=1, **fields))


@pytest.mark.parametrize(("name", "write"), [("suite.meta4", meta4), ("suite.metalink", metalink3)])
async def test_all_files_of_a_metalink_end_in_one_folder(node: Rig, origin: Origin, name: str, write: object) -> None:
    put(origin, one=ONE, two=TWO, three=THREE)
    assert callable(write)
    entries = [Entry(one, [origin.url(f"file/{one}")], origin.files[one]) for one in ("one", "two", "three")]
    put(origin, **{name: write(*entries)})
    done = await completed(node, origin.url(f"file/{name}"), dir="sets")
    assert (done.path, done.digest, done.bytes) == ("sets/suite", "", len(ONE) + len(TWO))
    assert done.files == stored("sets/suite", one=ONE, two=TWO, three=THREE)
    for told in done.files:
        assert (node.downloads / told.path).read_bytes() == origin.files[Path(told.path).name]
    staged = node.downloads / STAGING_NAME / done.task
    await eventually(lambda: not staged.exists())


async def test_a_metalink_of_one_file_is_a_download_like_any_other(node: Rig, origin: Origin) -> None:
    put(origin, one=ONE)
    metalink = inline(meta4(Entry("deep/../one.iso", [origin.url("file/one")], ONE)))
    done = await completed(node, metalink=metalink, dir="isos")
    assert (done.path, done.bytes, done.digest, done.files) == (
        "isos/one.iso",
        len(ONE),
        f"sha-256={sha256(ONE)}",
        (),
    )


async def test_select_file_picks_files_by_their_numbers(node: Rig, origin: Origin) -> None:
    put(origin, one=ONE, two=TWO, three=THREE)
    metalink = inline(meta4(*(Entry(name, [origin.url(f"file/{name}")]) for name in ("one", "two", "three"))))
    both = await completed(node, metalink=metalink, out="both", options={"select-file": "1,3-9"})
    assert both.files == stored("both", one=ONE, three=THREE)
    single = await completed(node, metalink=metalink, options={"select-file": "2"})
    assert (single.path, single.digest) == ("two", f"sha-256={sha256(TWO)}")


async def test_a_metalink_in_the_object_store_is_read_from_there(node: Rig, origin: Origin, broker: Broker) -> None:
    put(origin, one=ONE)
    async with broker.connected(Role.OPERATOR) as connection:
        await payloads.put(connection, "suite.meta4", meta4(Entry("one", [origin.url("file/one")], ONE)))
    done = await completed(node, metalink="object:suite.meta4")
    assert done.digest == f"sha-256={sha256(ONE)}"
    missing = await failed(node, metalink="object:nothing")
    assert (missing.failure, missing.code) == (FailureClass.PERMANENT, "object-missing")


async def test_what_can_not_be_used_fails_for_good_and_says_why(node: Rig, origin: Origin) -> None:
    put(origin, **{"bad.meta4": b"<html>not found</html>", "big.meta4": b" " * (5 << 20)})
    cases = {
        origin.url("file/bad.meta4"): "neither Metalink 4 nor version 3",
        origin.url("file/big.meta4"): "more than the 4194304 bytes",
        origin.url("file/gone.meta4"): "404",
    }
    for uri, said in cases.items():
        told = await failed(node, uri)
        assert told.failure is FailureClass.PERMANENT
        assert said in told.reason
    for scheme in ("http", "ftp"):
        inside = inline(meta4(Entry("x", [f"{scheme}://169.254.169.254/latest/meta-data"])))
        refused = await failed(node, metalink=inside)
        assert (refused.failure, refused.code) == (FailureClass.PERMANENT, "address-refused")
    picked = await failed(node, metalink=inside, options={"select-file": "7"})
    assert "select-file: '7' picks none of its 1 files" in picked.reason


async def test_a_file_without_the_digest_that_the_metalink_tells_is_damaged(node: Rig, origin: Origin) -> None:
    put(origin, one=ONE, two=TWO)
    wrong = TWO[:-1] + bytes([TWO[-1] ^ 1])
    entries = [Entry("one", [origin.url("file/one")], ONE), Entry("two", [origin.url("file/two")], wrong)]
    told = await failed(node, metalink=inline(meta4(*entries)))
    assert (told.failure, told.code) == (FailureClass.DAMAGED, "checksum-mismatch")
    assert not list(node.downloads.glob("[!.]*"))


async def test_after_a_damaged_file_the_whole_ones_are_not_fetched_again(node: Rig, origin: Origin) -> None:
    put(origin, one=ONE, two=b"something else")
    entries = [Entry("one", [origin.url("file/one")], ONE), Entry("two", [origin.url("file/two")], TWO)]
    task = await node.submit(metalink=inline(meta4(*entries)), out="set", max_attempts=5)
    await node.failure(task)
    put(origin, two=TWO)
    done = await node.outcome(task)
    assert isinstance(done, Completed)
    assert done.files == stored("set", one=ONE, two=TWO)
    assert [asked.method for asked in origin.asked if asked.path == "/file/one"].count("GET") == 1


async def test_names_in_a_metalink_do_not_lead_out_of_its_folder(node: Rig, origin: Origin) -> None:
    put(origin, one=ONE, two=TWO)
    entries = [
        Entry("../../evil", [origin.url("file/one")], ONE),
        Entry("/etc/cron.d/evil", [origin.url("file/two")], TWO),
    ]
    done = await completed(node, metalink=inline(meta4(*entries)), name="two")
    assert [one.path for one in done.files] == ["two/unnamed/unnamed/evil", "two/etc/cron.d/evil"]
    assert not (node.downloads.parent / "evil").exists()


async def test_what_is_meant_for_the_metalink_s_origin_is_not_told_to_its_mirrors(node: Rig, origin: Origin) -> None:
    put(origin, one=ONE)
    put(origin, **{"s.meta4": meta4(Entry("one", [origin.url("file/one", host="127.0.0.2")], ONE))})
    bound = origin.url("file/s.meta4")
    told = await failed(node, bound, headers={"Authorization": "Bearer secret"})
    assert told.failure is FailureClass.TRANSIENT, "nobody listens there"
    put(origin, **{"s.meta4": meta4(Entry("one", [origin.url("file/one", host="localhost")], ONE))})
    await completed(node, bound, headers={"Authorization": "Bearer secret"})
    secrets = {asked.path for asked in origin.asked if "Authorization" in asked.headers}
    assert secrets == {"/file/s.meta4"}


async def test_a_restarted_node_goes_on_with_the_file_that_is_not_whole(
    broker: Broker, tmp_path: Path, origin: Origin
) -> None:
    put(origin, one=ONE, two=LARGE)
    entries = [Entry("one", [origin.url("file/one")], ONE), Entry("two", [origin.url("slow/two")], LARGE)]
    async with rig(broker, tmp_path) as node:
        task = await node.submit(metalink=inline(meta4(*entries)), out="set")
        await node.partial(task, 2 << 20)
    asked_before = [asked.path for asked in origin.asked if asked.method == "GET"]
    assert asked_before.count("/file/one") == 1
    put(origin, two=LARGE)
    async with rig(broker, tmp_path) as node:
        done = await node.outcome(task)
        assert isinstance(done, Completed)
        assert done.files == stored("set", one=ONE, two=LARGE)
    fetched = [asked for asked in origin.asked if asked.method == "GET" and asked.path == "/file/one"]
    assert len(fetched) == 1, "a part that was whole is not fetched again"
