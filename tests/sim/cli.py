"""`python -m tests.sim`: many schedules in a few processes, and one schedule to read."""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import NamedTuple

from tests.sim import schedule
from tests.sim.config import CONFIGS
from tests.sim.plants import PLANTS
from tests.sim.schedule import Result

CHUNK = 5
"""Schedules a worker lives through before it reports."""
SHOWN_MAX = 5
EXIT_BROKEN = 1


class Work(NamedTuple):
    config: str
    first: int
    seeds: int
    plant: str
    keep: bool
    ends_at: float
    """Unix time after which no schedule is begun; 0: none is left out."""


def lived_through(work: Work) -> list[Result]:
    """Run some schedules."""
    results = []
    for seed in range(work.first, work.first + work.seeds):
        if work.ends_at and time.time() > work.ends_at:
            break
        results.append(schedule.run(seed, work.config, keep=work.keep))
        schedule.tidy()
    return results


def begin(plant: str) -> None:
    """In each worker, once."""
    if plant:
        PLANTS[plant]()
    schedule.prepare()


def everything(works: Sequence[Work], jobs: int) -> Iterator[Result]:
    """Results as they come; with a plant the first broken promise ends it."""
    plant = works[0].plant if works else ""
    with ProcessPoolExecutor(jobs, get_context("fork"), begin, (plant,)) as pool:
        for results in pool.map(lived_through, works):
            yield from results
            if plant and any(result.invariant for result in results):
                pool.shutdown(wait=False, cancel_futures=True)
                return


def _chunks(configs: Sequence[str], asked: argparse.Namespace, ends_at: float) -> list[Work]:
    """The seeds of all configs in turn, in pieces."""
    end = asked.first + asked.seeds
    chunk = 1 if asked.plant else CHUNK  # where one is enough, nobody is waited for
    return [
        Work(config, start, min(chunk, end - start), asked.plant, asked.trace, ends_at)
        for start in range(asked.first, end, chunk)
        for config in configs
    ]


def main() -> None:
    """Exit code 1 where a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description="Seeded schedules of a whole cluster.")
    parser.add_argument("--seeds", type=int, default=100, help="so many of each config (100)")
    parser.add_argument("--first", type=int, default=0, help="the first seed (0)")
    parser.add_argument("--config", action="append", choices=CONFIGS, help="a kind of world, again for more (all)")
    parser.add_argument("--trace", action="store_true", help="print what happens in each schedule")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="worker processes (one for each core)")
    parser.add_argument("--within-s", type=float, default=0.0, help="begin nothing new after so many seconds")
    parser.add_argument("--plant", choices=PLANTS, default="", help="plant a mistake and stop where it is found")
    asked = parser.parse_args()
    if os.environ.get("PYTHONHASHSEED") != "0":
        # Sets of text go by it, and it can't be changed any more in a running process.
        command = [sys.executable, "-m", "tests.sim", *sys.argv[1:]]
        sys.exit(subprocess.run(command, env=os.environ | {"PYTHONHASHSEED": "0"}, check=False).returncode)
    configs = asked.config or list(CONFIGS)
    began_at, count, broken, digest = time.perf_counter(), 0, 0, 0
    ends_at = time.time() + asked.within_s if asked.within_s else 0.0
    for result in everything(_chunks(configs, asked, ends_at), asked.jobs):
        count += 1
        digest = (digest * 31 + result.digest) % (1 << 32)
        print("\n".join(result.lines), end="\n" if result.lines else "")
        if result.invariant:
            broken += 1
            if broken <= SHOWN_MAX:
                planted = f" --plant {asked.plant}" if asked.plant else ""
                print(f"BROKEN {result.said}\n  {result.replay}{planted}")
    took_s = time.perf_counter() - began_at
    print(f"{count} schedules in {took_s:.1f} s ({count / took_s:.1f}/s), {broken} broken, digest {digest:08x}")
    sys.exit(EXIT_BROKEN if broken else 0)
