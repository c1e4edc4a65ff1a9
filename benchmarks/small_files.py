"""(a) 2,000 files of 16 KiB, 16 in flight over two nodes, beside one plain aria2c with 16 connections.

The peer does less: it verifies no digest, syncs nothing to the disk, and loses its place when it dies.
"""

from pathlib import Path
from shutil import rmtree

from benchmarks import usage
from benchmarks.cluster import Bench, fresh_id
from benchmarks.rows import Round, Row, compared
from broker.binaries import find_aria2c
from schemas.request import Request

FILES = 2000
WARM_UP = 64
TUNED = ("--auto-save-interval=0", "--split=1", "--file-allocation=none")
CASES = {"aria2c -j16": (), "aria2c -j16, tuned": TUNED}
FLOORS = {"aria2c -j16, tuned": 0.3}


async def measure(bench: Bench, *, rounds: int, files: int = FILES) -> list[Row]:
    """A row for each peer; the sides alternate, and the cluster's own figure is measured once a round."""
    await bench.run(_requests(bench, WARM_UP, "warm-up"))
    measured: dict[str, list[tuple[Round, Round]]] = {peer: [] for peer in CASES}
    for number in range(rounds):
        ours = await _cluster(bench, files, f"round-{number}")
        for peer, flags in CASES.items():
            measured[peer].append((ours, await _aria2c(bench, files, flags)))
    case = f"{files:,} × 16 KiB"
    return [
        compared("small_files", case, "files/s", peer, pairs, floor=FLOORS.get(peer))
        for peer, pairs in measured.items()
    ]


async def _cluster(bench: Bench, files: int, folder: str) -> Round:
    before = bench.usage()
    took_s = await bench.run(_requests(bench, files, folder))
    return Round(files / took_s, usage.since(before, bench.usage()))


async def _aria2c(bench: Bench, files: int, flags: tuple[str, ...]) -> Round:
    folder = bench.folder / "aria2c"
    folder.mkdir()
    listed = bench.folder / "list.txt"
    listed.write_text("".join(f"{bench.origin}/small/{n}\n  out={n}\n" for n in range(files)))
    command = [
        str(find_aria2c("")),
        f"--input-file={listed}",
        f"--dir={folder}",
        "-j16",
        "--quiet",
        "--no-conf",
        *flags,
    ]
    try:
        took_s, used = await usage.of_command(command)
        whole = sum(1 for one in Path(folder).iterdir())
        assert whole == files, f"{whole} of {files} files"
    finally:
        rmtree(folder)
    return Round(files / took_s, used)


def _requests(bench: Bench, count: int, folder: str) -> list[Request]:
    return [Request(uris=(f"{bench.origin}/small/{n}",), dir=folder, id=fresh_id()) for n in range(count)]
