"""Shares of a limit: never more in all than it is, whatever lags or is lost; nearly all of it where it is wanted."""

import math
import random

from hypothesis import given
from hypothesis import strategies as st

from coordinator.limits import TOTAL, Limits
from schemas.filling import fill
from tests.harness.sharers import Cluster

MB = 1_000_000
ORIGINS = ("a:80", "b:80", "c:80")
BOTH = {"a:80": 3 * MB, "*": 2 * MB}


@given(st.integers(0, 10**9), st.dictionaries(st.text(max_size=3), st.floats(0, 1e9) | st.just(math.inf), max_size=20))
def test_parts_are_never_more_than_there_is_nor_than_is_needed(limit: int, needs: dict[str, float]) -> None:
    parts = fill(limit, needs)
    assert sum(parts.values()) <= limit
    assert all(parts[name] <= need for name, need in needs.items())


@given(st.integers(1000, 10**9), st.dictionaries(st.text(max_size=3), st.floats(0, 1e9), min_size=1, max_size=20))
def test_who_gets_less_than_it_needs_gets_no_less_than_anybody(limit: int, needs: dict[str, float]) -> None:
    parts = fill(limit, needs)
    most = max(parts.values())
    assert all(parts[name] >= most - len(needs) for name, need in needs.items() if parts[name] < int(need))


def some_demand(dice: random.Random) -> dict[str, float]:
    chosen = [origin for origin in ORIGINS if dice.random() < 0.5]
    return {origin: 10 ** dice.uniform(3.5, 8) for origin in chosen}


def change_something(cluster: Cluster, dice: random.Random) -> None:
    """Downloads begin and end; nodes are cut off and come back."""
    for node in cluster.nodes.values():
        if dice.random() < 0.1:
            demand = some_demand(dice)
            # What it has, it may go on with; something new needs leave to begin.
            may_begin = node.may_begin and node.cut_off_for_s is None
            node.demand = demand if may_begin else {key: node.demand[key] for key in demand if key in node.demand}
        if dice.random() < 0.03:
            if node.cut_off_for_s is None:
                node.cut_off()
            else:
                node.come_back()


@given(st.integers(0, 1 << 30), st.integers(1, 12), st.floats(0, 0.3), st.floats(0, 9))
def test_what_all_may_download_is_never_above_a_limit_whatever_lags_or_is_lost(
    seed: int, size: int, loss: float, lag_s: float
) -> None:
    dice = random.Random(seed)
    cluster = Cluster([f"n{number}" for number in range(size)], dice)
    limits = Limits(20 * MB, BOTH)
    for _ in range(100):
        cluster.round(limits, loss=loss, lag_s=lag_s)
        change_something(cluster, dice)
        if dice.random() < 0.02:
            cluster.take_over()
        assert cluster.allowed(TOTAL) <= 20 * MB
        assert cluster.allowed("a:80") <= BOTH["a:80"]
        assert cluster.allowed("b:80") <= BOTH["*"]
        assert cluster.allowed("c:80") <= BOTH["*"]


@given(st.integers(0, 1 << 30), st.integers(1, 12))
def test_a_lower_limit_is_kept_to_as_soon_as_every_node_has_heard_of_it(seed: int, size: int) -> None:
    dice = random.Random(seed)
    cluster = Cluster([f"n{number}" for number in range(size)], dice)
    for node in cluster.nodes.values():
        node.demand = some_demand(dice)
    for limit in (None, 50 * MB, 5 * MB, 1 * MB):
        cluster.rounds(8, Limits(limit))
        assert cluster.allowed() <= (limit or math.inf)
    cluster.rounds(3, Limits())
    assert all(node.share is None for node in cluster.nodes.values())


@given(st.integers(0, 1 << 30), st.integers(1, 12))
def test_nearly_all_of_a_limit_is_used_where_it_is_wanted(seed: int, size: int) -> None:
    dice = random.Random(seed)
    cluster = Cluster([f"n{number}" for number in range(size)], dice)
    limit = 10 * MB
    wanted = [dice.uniform(0.01, 3) * limit / size for _ in range(size)]
    wanted[0] += max(0, limit - sum(wanted))  # in all at least as much as there is
    for node, want in zip(cluster.nodes.values(), wanted, strict=True):
        node.demand = {"a:80": want}
    cluster.rounds(30, Limits(limit))
    assert cluster.used() >= 0.85 * limit  # each node may keep a tenth more than it uses, and 5 % are kept back
    assert sum(min(node.allowed(TOTAL), limit) for node in cluster.nodes.values()) >= 0.9 * limit
    before = len(cluster.writes)
    cluster.rounds(20, Limits(limit))
    assert len(cluster.writes) == before, "what does not change is not written again"


@given(st.integers(2, 40), st.integers(1, 100))
def test_equal_nodes_that_all_want_more_get_the_same_and_nearly_all(size: int, limit_mb: int) -> None:
    cluster = Cluster([f"n{number:02}" for number in range(size)])
    for node in cluster.nodes.values():
        node.demand = {"a:80": 1000.0 * MB}
    cluster.rounds(6, Limits(limit_mb * MB))
    parts = [node.allowed(TOTAL) for node in cluster.nodes.values()]
    assert sum(parts) >= 0.9 * limit_mb * MB
    assert max(parts) <= 1.12 * min(parts)


@given(st.integers(1, 10))
def test_a_node_that_goes_idle_leaves_its_share_to_others_within_a_few_rounds(others: int) -> None:
    cluster = Cluster(["busy", *(f"n{number}" for number in range(others))])
    for node in cluster.nodes.values():
        node.demand = {"a:80": 1000.0 * MB}
    cluster.rounds(10, Limits(20 * MB))
    cluster.nodes["busy"].demand = {}
    cluster.rounds(4, Limits(20 * MB))
    assert cluster.nodes["busy"].allowed(TOTAL) < 0.02 * 20 * MB
    assert sum(node.allowed(TOTAL) for name, node in cluster.nodes.items() if name != "busy") >= 0.9 * 20 * MB


@given(st.integers(0, 1 << 30))
def test_equal_inputs_give_equal_shares(seed: int) -> None:
    def run() -> list[dict[str, float]]:
        dice = random.Random(seed)
        cluster = Cluster([f"n{number}" for number in range(5)], dice)
        told = []
        for _ in range(30):
            cluster.round(Limits(20 * MB, BOTH), loss=0.2, lag_s=4)
            change_something(cluster, dice)
            told.append({name: node.allowed(TOTAL) for name, node in cluster.nodes.items()})
        return told

    assert run() == run()


def test_a_node_that_is_lost_leaves_its_share_to_others_and_has_one_again_when_it_is_back() -> None:
    cluster = Cluster(["n1", "n2"])
    for node in cluster.nodes.values():
        node.demand = {"a:80": 1000.0 * MB}
    cluster.rounds(10, Limits(20 * MB))
    lost, other = cluster.nodes.values()
    lost.cut_off()
    cluster.rounds(35, Limits(20 * MB))
    assert other.allowed(TOTAL) <= 10 * MB, "the lost one may still download as much as it did"
    cluster.rounds(15, Limits(20 * MB))
    assert other.allowed(TOTAL) >= 0.9 * 20 * MB
    lost.come_back()
    assert lost.allowed(TOTAL) < MB
    cluster.rounds(10, Limits(20 * MB))
    assert lost.allowed(TOTAL) >= 9 * MB
    assert cluster.allowed() <= 20 * MB


def test_a_new_leader_leaves_shares_as_they_are() -> None:
    cluster = Cluster(["n1", "n2", "n3"])
    cluster.nodes["n1"].demand = {"a:80": 1000.0 * MB}
    cluster.nodes["n2"].demand = {"b:80": 1000.0 * MB}
    cluster.rounds(10, Limits(20 * MB))
    written = len(cluster.writes)
    cluster.take_over()
    cluster.rounds(20, Limits(20 * MB))
    assert len(cluster.writes) == written


def test_a_node_gets_no_task_before_it_knows_its_share() -> None:
    cluster = Cluster(["n1", "n2"])
    cluster.nodes["n1"].demand = {"a:80": 1000.0 * MB}
    cluster.round(Limits(20 * MB))
    assert [node.may_begin for node in cluster.nodes.values()] == [False, False]
    cluster.rounds(3, Limits(20 * MB))
    assert [node.may_begin for node in cluster.nodes.values()] == [True, True]
    cluster.round(Limits())
    assert [node.may_begin for node in cluster.nodes.values()] == [True, True]
