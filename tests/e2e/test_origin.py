"""The origin of the demo and the tests: real files, ranges, 404."""

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from tools.origin import Origin, serving

BODY = bytes(range(256)) * 16

pytestmark = pytest.mark.anyio


@pytest.fixture
async def origin(tmp_path: Path) -> AsyncIterator[Origin]:
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "a file.bin").write_bytes(BODY)
    (tmp_path / "secret").write_text("not served")
    async with serving(folder) as origin:
        yield origin


async def test_a_range_is_answered_with_206_and_just_those_bytes(origin: Origin) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.get(origin.url("a file.bin"), headers={"Range": "bytes=1000-1999"}) as answer,
    ):
        assert answer.status == 206
        assert answer.headers["Content-Range"] == f"bytes 1000-1999/{len(BODY)}"
        assert await answer.read() == BODY[1000:2000]
    assert origin.requests == {"a file.bin": 1}


async def test_the_whole_file_is_served(origin: Origin) -> None:
    async with aiohttp.ClientSession() as session, session.get(origin.url("a file.bin")) as answer:
        assert answer.status == 200
        assert await answer.read() == BODY


@pytest.mark.parametrize("name", ["nothing", "", "..%2Fsecret", "x" * 5000, "nul%00"])
async def test_what_is_no_file_below_the_folder_is_not_found(origin: Origin, name: str) -> None:
    address = URL(origin.url("") + name, encoded=True)
    async with aiohttp.ClientSession() as session, session.get(address) as answer:
        assert answer.status == 404
    assert origin.not_found == 1
    assert not origin.requests
