"""Names of every kind, a real store, a real aria2c: nothing lands outside the download folder, or on others' files."""

import os
import unicodedata
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

import anyio
import pytest
from anyio import CapacityLimiter
from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from broker.binaries import find_aria2c
from node.addresses import reach_of
from node.aria2 import Aria2
from node.daemon import Daemon, Lane
from node.failures import Verdict
from node.files import Placed, Store
from node.finishing import NextPart
from node.hands import Hands
from node.probe import new_session
from node.session import Session
from node.transfers import Status
from node.workshop import Workshop
from schemas import codec
from schemas.checking import decode_request
from schemas.errors import RequestInvalid
from schemas.request import STAGING_NAME, IfExists, Request
from tests.examples import a_row
from tests.harness.bad_origin import BadOrigin, Manner, misbehaving

BODY, THEIRS = b"of this task", b"of another task"
OTHER = "ffffffffffffffff"
WITHIN_S = 20.0
# Real downloads are too slow for shrinking, and the world is another after each.
HARD = settings(
    phases=(Phase.explicit, Phase.generate), deadline=None, database=None, suppress_health_check=list(HealthCheck)
)

pieces = st.sampled_from(
    [
        *("..", ".", "/", "//", "\\", "~", "-", " ", "", "a", "b.txt", "theirs", "keep", "out", "stage", "inner"),
        *(
            STAGING_NAME,
            STAGING_NAME.upper(),
            OTHER,
            "placed.json",
            "data",
            "CON",
            "nul.txt",
            "C:",
            ":",
            "?",
            "*",
            "\0",
        ),
        *("\r\n", "\x7f", "\u202e", "e\u0301", "ü" * 140, "x" * 260, "%2e%2e", "%2f", "%00", "{", "}", "{{", "}}"),
        *("{owner}", "{name}", "{ext}", "{label:x}", "{tag:t}", "{date}", "{host}", "{task}", "{label:y}"),
    ]
)
texts = st.lists(st.one_of(pieces, pieces, st.text(max_size=3)), min_size=1, max_size=3).map("".join)
paths = st.lists(texts, min_size=1, max_size=3).map("/".join)
headers = st.builds(
    lambda how, name: how.format(name.replace('"', '\\"'), quote(name, errors="replace")),
    st.sampled_from(['attachment; filename="{0}"', "attachment; filename*=UTF-8''{1}", "inline; filename={0}", "{0}"]),
    texts,
).map(lambda line: line.replace("\r", "").replace("\n", "").encode(errors="replace").decode("latin-1"))
asked = st.fixed_dictionaries(
    {
        "path": paths.map(lambda path: quote(path, safe="/%.~:*'", errors="replace")),
        "header": headers,
        "labels": st.fixed_dictionaries({"x": texts, "y": texts}),
        "if_exists": st.sampled_from(IfExists),
    },
    optional={"out": paths, "dir": paths, "size": st.just(len(BODY))},
)


class Always(dict[str, Manner]):
    """One manner for whatever is asked for."""

    manner = Manner()

    def get(self, *_: Any) -> Manner:
        return self.manner


class Lab:
    """What a node has below its agent: a store, an aria2c, and an origin to download from."""

    def __init__(self, root: Path, store: Store, workshop: Workshop, rpc: Aria2, origin: BadOrigin) -> None:
        self.root, self.store, self.workshop, self.rpc, self.origin = root, store, workshop, rpc, origin
        self.always = self.origin.manners = Always()
        self.numbers = count(1)

    async def download(self, request: Request, header: str) -> Placed | Verdict:
        """All steps of a session, in their order."""
        self.always.manner = Manner(body=BODY, etag='"1"', extra=(f"Content-Disposition: {header}",))
        row = a_row(task=f"{next(self.numbers):016x}", request=request)
        session = Session(row=row, sequence=1, lane=Lane.SMALL)
        with anyio.fail_after(WITHIN_S):
            looked = await self.workshop.look(session)
            if looked.placed or looked.verdict:
                return looked.placed or looked.verdict  # type: ignore[return-value]
            assert await self.workshop.prepare(session) is None
            assert await self.rpc.add_many([self.workshop.addition(session)]) == [None]
            while (await self.rpc.tick()).transfers[row.task].status is not Status.COMPLETE:
                await anyio.sleep(0.005)
            (result,) = await self.workshop.finish([(session, 1.0)])
            await self.rpc.turn(forget=[row.task], remove=[], add=[])
            await self.workshop.wipe(row.task)
            assert not isinstance(result, NextPart), "it is one file"
            return result

    def seen(self) -> dict[str, bytes]:
        """Every file, folder and link there is, with its content."""
        found = {}
        for folder, folders, files in os.walk(self.root):
            for name in (*folders, *files):
                path = Path(folder, name)
                kind = b"link" if path.is_symlink() else path.read_bytes() if path.is_file() else b"folder"
                found[path.relative_to(self.root).as_posix()] = kind
        return found


async def no_object(name: str) -> bytes:
    raise AssertionError(f"nobody asks for {name}")


@asynccontextmanager
async def laboratory(root: Path) -> AsyncIterator[Lab]:
    """A download folder in which another task has a file and a partial, and links lead out and astray."""
    downloads = root / "downloads"
    store = Store(downloads)
    for folder in (root / "outside", downloads / "keep"):
        folder.mkdir()
    (root / "outside" / "b.txt").write_bytes(THEIRS)
    for name, target in (("out", root / "outside"), ("stage", downloads / STAGING_NAME), ("inner", downloads / "keep")):
        (downloads / name).symlink_to(target)
    for name in ("theirs", "keep/a"):
        (downloads / name).write_bytes(THEIRS)
    store.prepare(OTHER, split=False)
    store.data(OTHER).write_bytes(THEIRS)
    async with new_session() as http, misbehaving() as origin, anyio.create_task_group() as tasks:
        hands = Hands(2)
        hands.start(tasks)
        workshop = Workshop(store, http, reach_of(["127.0.0.0/8"]), hands, fetch_object=no_object)
        async with Daemon(
            Lane.SMALL, find_aria2c(""), state=root.parent / "state", downloads=downloads, slots=2
        ) as daemon:
            await daemon.start()
            yield Lab(root, store, workshop, Aria2(daemon.port, daemon.secret, CapacityLimiter(2)), origin)
            daemon.kill()
        tasks.cancel_scope.cancel()


@pytest.fixture(scope="module")
def portal() -> Iterator[BlockingPortal]:
    with start_blocking_portal("asyncio") as running:
        yield running


@pytest.fixture(scope="module")
def lab(portal: BlockingPortal, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    root = tmp_path_factory.mktemp("names") / "world"
    root.mkdir()
    with portal.wrap_async_context_manager(laboratory(root)) as opened:
        yield opened


def check(lab: Lab, portal: BlockingPortal, fields: dict[str, Any]) -> None:
    header, path = fields.pop("header"), fields.pop("path")
    body = {"uri": lab.origin.url(path), "tags": ["t=a/b"], **fields}
    try:
        request = decode_request(codec.encode(body))
    except (RequestInvalid, UnicodeEncodeError):
        return
    before = lab.seen()
    result = portal.call(lab.download, request, header)
    after = lab.seen()
    if isinstance(result, Verdict):
        assert result.code in ("placement", "exists"), result
        assert before.items() <= after.items()
        assert set(after.values()) - set(before.values()) <= {b"folder"}
        return
    real = (lab.store.downloads / result.path).resolve().relative_to(lab.root.resolve()).as_posix()
    assert real.startswith("downloads/")
    assert not real.startswith(f"downloads/{STAGING_NAME}")
    assert after.pop(real) == BODY
    if request.if_exists is IfExists.OVERWRITE:
        before.pop(real, None)
    elif result.is_shared:
        assert before.pop(real) == BODY
    assert real not in before
    assert before.items() <= after.items(), "what was there is as it was"
    assert all(after[made] == b"folder" for made in after.keys() - before.keys())
    for part in result.path.split("/"):
        assert len(part.encode()) <= 255
        assert unicodedata.is_normalized("NFC", part)
        assert not part.casefold().startswith(STAGING_NAME)
        assert part.isprintable() or not any(
            unicodedata.category(letter) == "Cc" and ord(letter) < 32 for letter in part
        )


@given(asked)
@settings(HARD, max_examples=40, derandomize=True)
def test_no_name_leads_out_of_the_download_folder_or_onto_what_is_not_the_tasks_own(
    lab: Lab, portal: BlockingPortal, fields: dict[str, Any]
) -> None:
    check(lab, portal, dict(fields))


@pytest.mark.slow
@given(asked)
@settings(HARD, max_examples=600)
def test_no_name_at_all_leads_out_or_onto_others(lab: Lab, portal: BlockingPortal, fields: dict[str, Any]) -> None:
    check(lab, portal, dict(fields))
