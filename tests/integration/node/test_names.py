"""A whole node and a real origin: what files are called, where they lie, and what becomes of one that lies there."""

import random
from collections.abc import AsyncIterator
from email.utils import parsedate_to_datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from schemas.event import AnyEvent, Completed, Failed
from schemas.request import STAGING_NAME
from tests.harness.bad_origin import BadOrigin, Manner
from tests.harness.broker import Broker
from tests.harness.files import files_below
from tests.harness.node import Rig, rig

pytestmark = pytest.mark.anyio

BODY = b"whole" * 100
DIGEST = f"sha-256={sha256(BODY).hexdigest()}"
DATE = "Fri, 01 Jan 2027 00:00:05 GMT"


def named(header: str, body: bytes = BODY) -> Manner:
    return Manner(body=body, etag='"1"', extra=(f"Content-Disposition: {header}",), last_modified=DATE)


def done(outcome: AnyEvent) -> Completed:
    assert isinstance(outcome, Completed), outcome
    return outcome


def visible(folder: Path) -> set[str]:
    found = {path.relative_to(folder).as_posix() for path in files_below(folder)}
    return {path for path in found if not path.startswith(f"{STAGING_NAME}/")}


async def test_a_file_is_named_by_the_request_else_by_its_origin_else_by_its_address(node: Rig, bad: BadOrigin) -> None:
    bad.manners["get"] = named("attachment; filename*=UTF-8''%e2%82%ac%2frates.txt")
    bad.manners["plain.txt"] = Manner(body=BODY)
    wanted: list[tuple[str, str, dict[str, Any]]] = [
        ("mine", "get?id=1", {"out": "mine"}),
        ("rates.txt", "get?id=2", {"size": len(BODY)}),
        ("rates.1.txt", "get?id=3", {}),
        ("plain.txt", "plain.txt", {}),
        ("txt/rates/of {x}.txt", "get?id=4", {"dir": "{ext}/{name}", "out": "of {{x}}.{ext}"}),
    ]
    for name, address, fields in wanted:
        assert done(await node.outcome(await node.submit(bad.url(address), **fields))).path == name
    assert visible(node.downloads) == {name for name, _, _ in wanted}


async def test_a_request_with_size_and_name_spares_the_origin_the_look(node: Rig, bad: BadOrigin) -> None:
    bad.manners["f"] = named('attachment; filename="other"')
    assert (
        done(await node.outcome(await node.submit(bad.url("f"), size=len(BODY), out="f", checksum=DIGEST))).path == "f"
    )
    assert [asked.method for asked in bad.asked] == ["GET"]


async def test_the_same_file_is_not_downloaded_again_where_its_checksum_is_known(node: Rig, bad: BadOrigin) -> None:
    bad.manners["f"] = Manner(body=BODY)
    fields = {"out": "f", "size": len(BODY), "checksum": DIGEST, "if_exists": "skip-if-same"}
    first = done(await node.outcome(await node.submit(bad.url("f"), **fields)))
    asked = len(bad.asked)
    second = done(await node.outcome(await node.submit(bad.url("f"), **fields)))
    assert (second.path, second.digest, second.bytes) == (first.path, first.digest, first.bytes)
    assert len(bad.asked) == asked, "the origin heard nothing of it"
    unknown = await node.submit(bad.url("f"), if_exists="skip-if-same")
    assert done(await node.outcome(unknown)).path == "f", "without a checksum it is downloaded, and not stored"
    assert len(bad.asked) > asked
    bad.manners["f"] = Manner(body=b"new")
    changed = await node.submit(bad.url("f"), if_exists="skip-if-same")
    assert done(await node.outcome(changed)).path == "f.1"
    assert visible(node.downloads) == {"f", "f.1"}


async def test_a_name_that_is_taken_fails_before_the_origin_is_asked_for_the_file(node: Rig, bad: BadOrigin) -> None:
    bad.manners["f"] = Manner(body=BODY)
    node.downloads.mkdir(exist_ok=True)
    (node.downloads / "f").write_bytes(b"mine")
    failed = await node.outcome(await node.submit(bad.url("f"), if_exists="fail"))
    assert isinstance(failed, Failed)
    assert (failed.code, failed.reason) == ("exists", "f exists already")
    assert bad.gets("f") == []
    over = await node.submit(bad.url("f"), if_exists="overwrite")
    assert done(await node.outcome(over)).path == "f"
    assert (node.downloads / "f").read_bytes() == BODY


async def test_a_template_does_not_lead_out_through_a_link(node: Rig, bad: BadOrigin, tmp_path: Path) -> None:
    bad.manners["f"] = Manner(body=BODY)
    outside = tmp_path / "outside"
    outside.mkdir()
    node.downloads.mkdir(exist_ok=True)
    (node.downloads / "team").symlink_to(outside)
    task = await node.submit(bad.url("f"), dir="{label:group}/x", labels={"group": "team"})
    failed = await node.outcome(task)
    assert isinstance(failed, Failed)
    assert failed.code == "placement"
    assert "would lie outside the download folder" in failed.reason
    assert list(outside.iterdir()) == []


@pytest.fixture
async def dated(broker: Broker, tmp_path: Path) -> AsyncIterator[Rig]:
    async with rig(broker, tmp_path, keep_time=True, file_mode="0640", folder_mode="0750") as running:
        yield running


async def test_files_have_the_time_of_their_origin_and_the_modes_of_the_settings(dated: Rig, bad: BadOrigin) -> None:
    large = random.Random(1).randbytes(9 << 20)
    bad.manners["small"] = named("attachment; filename=s")
    bad.manners["large"] = Manner(body=large, last_modified=DATE, etag='"1"')
    bad.manners["timeless"] = Manner(body=BODY)
    moment = parsedate_to_datetime(DATE).timestamp()
    for name in ("small", "large", "timeless"):
        placed = done(await dated.outcome(await dated.submit(bad.url(name), dir="new")))
        found = (dated.downloads / placed.path).stat()
        assert (found.st_mtime == moment) is (name != "timeless")
        assert found.st_mode & 0o777 == 0o640
    assert (dated.downloads / "new").stat().st_mode & 0o777 == 0o750
