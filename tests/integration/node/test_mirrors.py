"""Several addresses of one file, on a whole node with real aria2c and several real origins."""

import random
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from schemas.event import Completed, Failed
from schemas.task import FailureClass
from tests.harness.metalinks import Entry, inline, meta4, sha256
from tests.harness.node import Rig
from tests.integration.node.origin import Origin, serve

pytestmark = pytest.mark.anyio

BODY = random.Random(1).randbytes(12 << 20)
QUICK, SLOW = "file/f", "slow/f"


@pytest.fixture
async def origins() -> AsyncIterator[list[Origin]]:
    async with AsyncExitStack() as stack:
        serving = [await stack.enter_async_context(serve()) for _ in range(4)]
        for one in serving:
            one.files["f"] = BODY
        yield serving


def closed() -> str:
    """An address at which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/f"


async def completed(node: Rig, *uris: str, **fields: object) -> Completed:
    outcome = await node.outcome(await node.submit(*uris, **fields))
    assert isinstance(outcome, Completed), outcome
    assert outcome.bytes == len(BODY)
    assert outcome.digest == f"sha-256={sha256(BODY)}"
    return outcome


async def test_bytes_come_from_all_that_are_of_use_and_the_others_are_told(node: Rig, origins: list[Origin]) -> None:
    first, second, shorter, gone = origins
    shorter.files["f"] = BODY[:-1]
    gone.files.clear()
    nobody, tls = closed(), gone.url(QUICK).replace("http:", "https:")
    uris = [gone.url(QUICK), first.url(SLOW), nobody, second.url(SLOW), shorter.url(QUICK), tls]
    done = await completed(node, *uris, options={"split": 8, "min-split-size": "1M"})
    assert min(first.bytes_sent, second.bytes_sent) > 1 << 20, "both were used together"
    assert shorter.bytes_sent <= 1, "none of it may get into the file"
    problems = {one.uri: (one.bytes, one.problem) for one in done.mirrors}
    assert problems == {
        gone.url(QUICK): (0, "it answered 404"),
        first.url(SLOW): (None, ""),
        nobody: (0, "it did not answer"),
        second.url(SLOW): (None, ""),
        shorter.url(QUICK): (0, f"its file has {len(BODY) - 1} bytes, not {len(BODY)}"),
        tls: (0, "it did not answer"),
    }


async def test_where_one_mirror_is_left_all_bytes_are_told_to_be_its(node: Rig, origins: list[Origin]) -> None:
    done = await completed(node, origins[0].url("status/503"), origins[1].url(QUICK))
    assert [(one.bytes, one.problem) for one in done.mirrors] == [(0, "it answered 503"), (len(BODY), "")]


async def test_a_slow_mirror_does_not_hold_up_the_others(node: Rig, origins: list[Origin]) -> None:
    await completed(node, origins[0].url(SLOW), origins[1].url(QUICK), options={"split": 4, "min-split-size": "1M"})
    assert origins[1].bytes_sent > len(BODY) // 2


async def test_a_mirror_that_stops_answering_under_way_is_done_without(node: Rig, origins: list[Origin]) -> None:
    good, bad = origins[0], origins[1]
    bad.busy_after = 1  # the look before the download alone is answered
    done = await completed(node, bad.url(QUICK), good.url(QUICK), size=len(BODY), out="f")
    assert len(bad.asked) > 1
    assert [one.problem for one in done.mirrors] == ["", ""], "nobody told"


async def test_where_all_are_dead_the_outcome_tells_of_each(node: Rig, origins: list[Origin]) -> None:
    nobody = closed()
    task = await node.submit(origins[0].url("status/404"), nobody, max_attempts=1)
    outcome = await node.outcome(task)
    assert isinstance(outcome, Failed)
    assert {one.uri: one.problem for one in outcome.mirrors} == {
        origins[0].url("status/404"): "it answered 404",
        nobody: "it did not answer",
    }


async def test_a_metalink_s_mirrors_are_used_together_too(node: Rig, origins: list[Origin]) -> None:
    first, second, shorter, gone = origins
    shorter.files["f"] = BODY[:-1]
    uris = [first.url(SLOW), gone.url("status/404"), second.url(SLOW), shorter.url(QUICK), "http://169.254.1.1/f"]
    done = await completed(
        node, metalink=inline(meta4(Entry("f", uris, BODY))), options={"split": 8, "min-split-size": "1M"}
    )
    assert min(first.bytes_sent, second.bytes_sent) > 1 << 20
    assert shorter.bytes_sent <= 1
    assert [bool(one.problem) for one in done.mirrors] == [False, True, False, True, True]


async def test_a_mirror_with_another_content_is_found_out_by_the_digest(node: Rig, origins: list[Origin]) -> None:
    origins[1].files["f"] = BODY[:-1] + b"x"
    uris = [origins[0].url(SLOW), origins[1].url(QUICK)]
    task = await node.submit(*uris, checksum=f"sha-256={sha256(BODY)}", max_attempts=1, options={"split": 4})
    failure = await node.failure(task)
    assert (failure.failure, failure.code) == (FailureClass.DAMAGED, "checksum-mismatch")
