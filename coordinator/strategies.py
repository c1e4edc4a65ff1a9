"""Which of the nodes that could take a task should: small pure scorers. The lowest score wins.

Another package adds one as an entry point of the group `downdraft.strategies`: a function of a node's state and of what
is wanted that returns a number or a tuple of numbers, always as many, for example

    def fewest_tasks(node: NodeState, wanted: Wanted) -> float:
        return node.assigned
"""

from collections.abc import Callable
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from math import isnan
from typing import NamedTuple

from coordinator.snapshot import NodeState, Wanted
from coordinator.speeds import Speeds
from schemas.errors import DowndraftError, PolicyInvalid
from schemas.policy import Policy

GROUP = "downdraft.strategies"

Score = tuple[float | str, ...]
Scorer = Callable[[NodeState, Wanted], float | Score]
OriginScorer = Callable[[NodeState, Wanted, str], Score]


class Strategy(NamedTuple):
    """A scorer, and what the planner may take for granted of it."""

    name: str
    score: OriginScorer
    """Takes the origin too; empty unless `by_origin`."""
    worsens: bool = False
    """A node's score never falls by its being given a task."""
    by_origin: bool = False
    """Scores differ by the task's first origin."""
    by_wanted: bool = False
    """Scores differ by what is wanted, beyond bandwidth."""
    spread_tag: str = ""
    """Nodes are chosen among those with the value of this tag that has the fewest tasks."""
    says: str = ""
    """Why a node was chosen, as the middle of a sentence."""


def load_of(node: NodeState) -> float:
    """The share of slots in use."""
    return node.assigned / node.facts.slots


def least_loaded(node: NodeState, wanted: Wanted, origin: str) -> Score:
    """The smallest share of slots in use, the larger node on a tie."""
    return (node.assigned / node.facts.slots, -node.facts.slots)


def round_robin(node: NodeState, wanted: Wanted, origin: str) -> Score:
    """Whoever was not given a task for longest."""
    return (node.turn,)


def spread(node: NodeState, wanted: Wanted, origin: str) -> Score:
    """The fewest tasks."""
    return (node.assigned,)


def bin_pack(bandwidth: float, disk: float) -> OriginScorer:
    """The fullest first: shares of line and disk in use, weighted; the most slots in use on a tie."""

    def score(node: NodeState, wanted: Wanted, origin: str) -> Score:
        facts = node.facts
        line_used = node.bandwidth_used / facts.bandwidth if facts.bandwidth else 0.0
        disk_used = 1.0 - node.disk_left / facts.disk_capacity if facts.disk_capacity else 0.0
        return (-round(bandwidth * line_used + disk * disk_used, 9), -node.assigned / facts.slots)

    return score


def fastest_origin(speeds: Speeds) -> OriginScorer:
    """The most bytes a second a download from this origin had there; a node that never tried is tried first."""

    def score(node: NodeState, wanted: Wanted, origin: str) -> Score:
        measured = speeds.of(node.node, origin)
        return (-float("inf") if measured is None else -measured, load_of(node))

    return score


LEAST_LOADED = Strategy("least-loaded", least_loaded, worsens=True, says="the least loaded")


def built_in(policy: Policy, speeds: Speeds) -> dict[str, Strategy]:
    weights = policy.bin_pack_weights
    found = (
        LEAST_LOADED,
        Strategy("round-robin", round_robin, worsens=True, says="the next in turn"),
        Strategy("bin-pack", bin_pack(weights.bandwidth, weights.disk), says="the fullest"),
        Strategy("spread", spread, worsens=True, spread_tag=policy.spread_tag, says="the one with the fewest tasks"),
        Strategy("fastest-origin", fastest_origin(speeds), worsens=True, by_origin=True, says="the fastest from there"),
    )
    return {strategy.name: strategy for strategy in found}


BUILT_IN = tuple(built_in(Policy(), Speeds()))


@cache
def _registered() -> dict[str, EntryPoint]:
    return {found.name: found for found in entry_points(group=GROUP)}


def names() -> tuple[str, ...]:
    """Every strategy that can be named in a policy."""
    return (*BUILT_IN, *sorted(set(_registered()) - set(BUILT_IN)))


def strategy_of(policy: Policy, speeds: Speeds) -> Strategy:
    """The strategy that a policy names. Raises PolicyInvalid where it is not installed or can't be loaded."""
    if (found := built_in(policy, speeds).get(policy.strategy)) is not None:
        return found
    if policy.strategy not in _registered():
        said = f"there is no strategy {policy.strategy!r} on this coordinator; there are {', '.join(names())}"
        raise PolicyInvalid("strategy", said)
    try:
        scorer: Scorer = _registered()[policy.strategy].load()
    except Exception as error:
        raise PolicyInvalid("strategy", f"{policy.strategy!r} can't be loaded: {error!r}") from error
    return Strategy(
        policy.strategy, _plain(policy.strategy, scorer), by_wanted=True, says=f"the first by {policy.strategy}"
    )


class StrategyFailed(DowndraftError):
    """A scorer of another package raised, or returned what is no score."""


def _plain(name: str, scorer: Scorer) -> OriginScorer:
    """A scorer of another package in the form of the built-in ones. Raises StrategyFailed."""
    length: int | None = None

    def score(node: NodeState, wanted: Wanted, origin: str) -> Score:
        try:
            found = scorer(node, wanted)
            numbers = tuple(float(part) for part in (found if isinstance(found, tuple) else (found,)))
        except Exception as error:
            raise StrategyFailed(f"the strategy {name!r} failed: {error!r}") from error
        nonlocal length
        length = len(numbers) if length is None else length
        if len(numbers) != length:
            said = (
                f"returned {found!r}, which has {len(numbers)} parts where others had {length}: they can't be compared"
            )
            raise StrategyFailed(f"the strategy {name!r} {said}")
        if any(map(isnan, numbers)):
            raise StrategyFailed(f"the strategy {name!r} returned {found!r}, which is no score")
        return numbers

    return score
