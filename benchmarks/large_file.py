"""(b) One file of 1 GiB beside a plain aria2c with the same connections.

The cluster also hashes the file and has it on the disk before it says `completed`; the peer does neither.
"""

import os
from pathlib import Path
from shutil import rmtree

from benchmarks import usage
from benchmarks.cluster import Bench, fresh_id
from benchmarks.rows import Round, Row, compared
from broker.binaries import find_aria2c
from node.daemon import LANE_OPTIONS, Lane
from schemas.request import Request

MIB = 1 << 20
BLOCK = os.urandom(MIB)


async def measure(bench: Bench, *, rounds: int, mebibytes: int = 1024) -> list[Row]:
    """A row; the sides alternate."""
    write_file(bench.folder / "files" / "large", mebibytes)
    pairs = []
    for number in range(rounds + 1):
        pair = await _cluster(bench, mebibytes, f"large-{number}"), await _aria2c(bench, mebibytes)
        if number:  # the first warms both sides' caches
            pairs.append(pair)
    connections = LANE_OPTIONS[Lane.LARGE]["split"]
    peer = f"aria2c -s{connections} -x{connections}"
    return [compared("large_file", f"{mebibytes:,} MiB", "MiB/s", peer, pairs, floor=0.9)]


async def _cluster(bench: Bench, mebibytes: int, folder: str) -> Round:
    before = bench.usage()
    took_s = await bench.run([Request(uris=(f"{bench.origin}/files/large",), dir=folder, id=fresh_id())])
    used = usage.since(before, bench.usage())
    for node in bench.cluster.node_names():
        rmtree(bench.cluster.plan.downloads / node / folder, ignore_errors=True)
    return Round(mebibytes / took_s, used)


async def _aria2c(bench: Bench, mebibytes: int) -> Round:
    folder = bench.folder / "aria2c"
    flags = [f"--{name}={value}" for name, value in LANE_OPTIONS[Lane.LARGE].items()]
    command = [str(find_aria2c("")), f"--dir={folder}", "--quiet", "--no-conf", *flags, f"{bench.origin}/files/large"]
    try:
        took_s, used = await usage.of_command(command)
        assert (folder / "large").stat().st_size == mebibytes * MIB
    finally:
        rmtree(folder, ignore_errors=True)
    return Round(mebibytes / took_s, used)


def write_file(file: Path, mebibytes: int) -> None:
    """Of bytes that no file system makes less of."""
    with file.open("wb") as opened:
        for _ in range(mebibytes):
            opened.write(BLOCK)
