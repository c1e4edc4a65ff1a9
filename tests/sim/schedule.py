"""Running one schedule: seed and config in, what became of it out. The same in every process."""

import gc
import logging
import random
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import structlog

import node.heart
from coordinator import lead
from tests.sim.config import CONFIGS
from tests.sim.judge import Violated
from tests.sim.loop import SimLoop, Stuck
from tests.sim.ordered import in_order
from tests.sim.trace import Trace
from tests.sim.world import World

TRY_EVERY_S = 2.0


class Result(NamedTuple):
    """What became of one schedule."""

    seed: int
    config: str
    invariant: str
    """Empty where every promise was kept."""
    said: str
    digest: int
    steps: int
    seconds: float
    """Simulated."""
    lines: tuple[str, ...] = ()
    """The trace, where it is kept."""

    @property
    def replay(self) -> str:
        return f"python -m tests.sim --config {self.config} --first {self.seed} --seeds 1 --trace"


def run(seed: int, config: str, *, keep: bool = False) -> Result:
    """Live through one schedule."""
    dice = random.Random(f"{config}/{seed}")
    loop = SimLoop(dice)
    trace = Trace(loop.time, keep=keep)
    _log_to(trace if keep else None)
    with in_order(dice), _still_heart(), _rare_tries():
        world = World(loop, CONFIGS[config], dice, trace)
        loop.set_exception_handler(partial(_crashed, world))
        try:
            violated = _live(loop, world)
        finally:
            began, lines = loop.time(), tuple(trace.lines)
            loop.close()
    invariant, said = (violated.invariant, str(violated)) if violated else ("", "")
    return Result(seed, config, invariant, said, trace.digest, loop.steps, began, lines)


def _live(loop: SimLoop, world: World) -> Violated | None:
    main = loop.create_task(world.run(), name="world")
    main.add_done_callback(lambda _: loop.stop())
    try:
        loop.run_forever()
    except Stuck as error:
        return Violated("no_process_spins", str(error))
    if world.judge.violated is None and main.done():
        main.result()
    return world.judge.violated


def _crashed(world: World, _: object, context: dict[str, Any]) -> None:
    """An exception that nobody caught, in a callback; what is said of tasks that are collected is no news."""
    error = context.get("exception")
    if error is not None and "handle" in context:
        world.around.crashed(str(context["handle"]), error)


def prepare() -> None:
    """Once for a worker process."""
    logging.disable(logging.CRITICAL)
    sys.unraisablehook = lambda _: None  # coroutines of dead processes are collected with their `finally` blocks,
    warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)  # … or before their first step
    gc.disable()
    gc.collect()
    gc.freeze()


def tidy() -> None:
    """Between two schedules: nothing of one is collected during another."""
    gc.collect()


def _log_to(trace: Trace | None) -> None:
    level = logging.DEBUG if trace else logging.CRITICAL
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, trace.heard if trace else _drop],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=trace is None,
    )


def _drop(_: object, __: str, ___: object) -> str:
    raise structlog.DropEvent


@contextmanager
def _still_heart() -> Iterator[None]:
    """Heartbeats tell no figures of this machine."""
    real = vars(node.heart)["psutil"]
    vars(node.heart)["psutil"] = _NoFigures
    try:
        yield
    finally:
        vars(node.heart)["psutil"] = real


@contextmanager
def _rare_tries() -> Iterator[None]:
    """A standby that asks for the lease twice a second would be half of all steps."""
    real, lead.TRY_EVERY_S = lead.TRY_EVERY_S, TRY_EVERY_S
    try:
        yield
    finally:
        lead.TRY_EVERY_S = real


class _NoFigures:
    class Process:
        def memory_info(self) -> "_NoFigures.Process":
            return self

        rss = 0

    class Error(Exception):
        pass

    @staticmethod
    def cpu_percent() -> float:
        return 0.0
