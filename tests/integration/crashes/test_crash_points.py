"""A leader dies between any two writes of a step: the next one makes good what it left."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from broker.connection import Connection
from broker.roles import Role
from coordinator import watch
from tests.harness.broker import Broker, running_broker
from tests.harness.crashing import Dies
from tests.harness.scripted import ScriptedNode, scripted_node
from tests.harness.waiting import eventually
from tests.integration.crashes.stage import dying, ends, outcomes, staged, taken_over
from tests.integration.crashes.steps import STEPS, Step


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """For the whole module, as its server is."""
    return "asyncio"


@pytest.fixture(scope="module")
async def broker(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Broker]:
    """One server for all: each test begins with empty streams."""
    folder: Path = tmp_path_factory.mktemp("crashes")
    async with running_broker(folder / "broker") as running:
        yield running


@pytest.fixture(scope="module")
async def admin(broker: Broker) -> AsyncIterator[Connection]:
    async with broker.connected(Role.ADMIN) as connection:
        yield connection


@pytest.fixture(scope="module")
async def nodes(broker: Broker) -> AsyncIterator[tuple[ScriptedNode, ScriptedNode]]:
    async with scripted_node(broker, "node-1") as one, scripted_node(broker, "node-2") as two:
        yield one, two


@pytest.fixture(autouse=True)
def quick_dismissal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hint that was lost is repeated soon."""
    monkeypatch.setattr(watch, "SURPLUS_AFTER_S", 0.3)


def crash_points() -> list[object]:
    """Before each write of each step, and after its last: before a write is after the one before it."""
    found: list[object] = []
    for step in STEPS:
        for at, write in enumerate(step.writes):
            found.append(pytest.param(step, Dies.BEFORE, at, id=f"{step.name}-dies-before-{at + 1}-{write}"))
        last = len(step.writes) - 1
        found.append(pytest.param(step, Dies.AFTER, last, id=f"{step.name}-dies-after-{last + 1}-{step.writes[-1]}"))
    return found


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
async def test_an_undisturbed_step_makes_these_writes(
    step: Step, broker: Broker, admin: Connection, nodes: tuple[ScriptedNode, ScriptedNode]
) -> None:
    async with staged(broker, *nodes, admin) as stage:
        await step.before(stage)
        assert tuple((await dying(stage, step.act)).writes) == step.writes


@pytest.mark.parametrize(("step", "dies", "at"), crash_points())
async def test_the_next_leader_repairs_what_a_dead_one_left(
    step: Step, dies: Dies, at: int, broker: Broker, admin: Connection, nodes: tuple[ScriptedNode, ScriptedNode]
) -> None:
    async with staged(broker, *nodes, admin) as stage:
        await step.before(stage)
        await dying(stage, step.act, dies, at)
        nothing_done = dies is Dies.BEFORE and at == 0
        async with taken_over(stage) as leader:
            if step.afterwards is not None:
                await step.afterwards(leader.term, stage)
            if nothing_done and step.undone == "none":
                assert not await outcomes(stage)
                return
            outcome = await ends(stage)
            told = {"node-1": stage.one, "node-2": stage.two}.get(step.tells)
            if told is not None:
                told.beating = True
                await eventually(lambda: any(task == stage.task for task, _ in told.hints), what="the node is told")
        assert outcome.kind == f"finished.{(nothing_done and step.undone) or step.outcome}"
        assert outcome.attempt == step.attempt
