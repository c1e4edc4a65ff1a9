"""Scorers of other packages: what they return must be comparable."""

from importlib.metadata import EntryPoint

import pytest

from coordinator import strategies
from coordinator.snapshot import NodeState, Wanted
from coordinator.strategies import GROUP
from tests.examples import a_node, a_waiting
from tests.unit.coordinator.test_plan import follow, places, planner


def uneven(node: NodeState, wanted: Wanted) -> tuple[float, ...]:
    return (0.0,) if node.node == "node-a" else (0.0, 1.0)


def test_a_scorer_whose_tuples_differ_in_length_gives_way_to_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = EntryPoint(name="mine", value=f"{__name__}:{uneven.__name__}", group=GROUP)
    monkeypatch.setattr(strategies, "_registered", lambda: {"mine": mine})
    one = planner(a_node("node-a"), a_node("node-b"))
    follow(one, strategy="mine")
    assert len(places(one, *map(a_waiting, range(1, 4)))) == 3
    assert "1 parts where others had 2" in one.trouble or "2 parts where others had 1" in one.trouble
