"""A coordinator that freezes and thaws, as a real process: it harms nobody, and judges nobody by the time it slept."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
from msgspec.structs import replace

from broker.cluster import Client, Refused, open_client
from broker.errors import Deposed
from broker.roles import Role
from coordinator import moves
from schemas.control import StatsReply, Steer
from tests.harness.broker import QUICK, STEADY, Broker
from tests.harness.leader import bare_term, coordinator
from tests.harness.processes import COMMAND, environment
from tests.harness.producing import producer
from tests.harness.recorder import recording
from tests.harness.scripted import scripted_node
from tests.harness.waiting import eventually, stays
from tests.integration.rules.test_rule_02_places import TASK, a_row

FROZEN_S = 4 * QUICK.node_lost_after_s


@contextmanager
def coordinator_process(broker: Broker, folder: Path, name: str) -> "Iterator[subprocess.Popen[bytes]]":
    """`downdraft coordinator` on the short clocks of the tests."""
    timers = {
        f"DOWNDRAFT_COORDINATOR_{field.upper()}": f"{getattr(QUICK, field):g}"
        for field in ("heartbeat_interval_s", "node_lost_after_s", "lease_ttl_s", "retry_base_s", "retry_cap_s")
    }
    command = [*COMMAND, "coordinator", "--server", broker.url, "--creds", broker.creds(Role.COORDINATOR)]
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--name", name], env=environment() | timers, stdout=log, stderr=log, start_new_session=True
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


async def leader_of(client: Client) -> str:
    try:
        with anyio.move_on_after(1):
            return (await client.ask("stats", Steer(), StatsReply)).leader
    except Refused:
        pass
    return ""


async def test_the_only_coordinator_thaws_and_declares_no_living_node_lost(broker: Broker, tmp_path: Path) -> None:
    async with (
        producer(broker) as ann,
        recording(broker) as seen,
        scripted_node(broker) as node,
        open_client(broker.url, broker.creds(Role.OPERATOR)) as client,
    ):
        with coordinator_process(broker, tmp_path, "only") as process:
            await eventually(lambda: leader_of(client), within_s=30)
            done, runs_on = await ann.submit(), await ann.submit()
            ended = await node.gets(done)
            row = await node.gets(runs_on)
            os.kill(process.pid, signal.SIGSTOP)
            await anyio.sleep(FROZEN_S / 2)
            await node.complete(ended)
            await seen.outcome(done)
            waits = await ann.submit()
            await anyio.sleep(FROZEN_S / 2)
            os.kill(process.pid, signal.SIGCONT)
            await node.complete(await node.gets(waits, within_s=30))
            await stays(lambda: "retrying" not in {event.kind for event in seen.events}, for_s=2.0)
            assert [one.task for one in node.every_row if one.task == done] == [done], "what had ended is not run again"
            await node.complete(row)
            await seen.outcome(runs_on)
            assert len(seen.outcomes()) == 3


async def test_a_thawed_ex_leader_writes_nothing_more(broker: Broker, tmp_path: Path) -> None:
    async with (
        producer(broker) as ann,
        recording(broker) as seen,
        scripted_node(broker) as node,
        open_client(broker.url, broker.creds(Role.OPERATOR)) as client,
    ):
        with coordinator_process(broker, tmp_path, "old") as process:
            await eventually(lambda: leader_of(client), within_s=30)
            held = [await ann.submit() for _ in range(5)]
            for task in held:
                await node.gets(task)
            os.kill(process.pid, signal.SIGSTOP)
            async with coordinator(broker, "new") as new:
                await new.until_leading()
                epoch = new.term.epoch
                before = len(node.every_row)
                # Answered at once, although the frozen one listens too.
                with anyio.fail_after(5):
                    assert {await leader_of(client) for _ in range(8)} == {"new"}
                    assert (await client.steer("cancel", (held[0],))).results[0].ok
                later = [await ann.submit() for _ in range(5)]
                for task in later:
                    await node.gets(task)
                os.kill(process.pid, signal.SIGCONT)
                await stays(lambda: new.leads and new.term.epoch == epoch, for_s=3 * QUICK.node_lost_after_s)
                assert {row.writer for row in node.every_row[before:]} == {"new"}
                await node.release(node.rows[held[0]][1], node.rows[held[0]][1].desired)
                for task in (*held[1:], *later):
                    await node.complete(node.rows[task][1])
                await eventually(lambda: len(seen.outcomes()) == 10)
                assert sorted(event.task for event in seen.outcomes()) == sorted([*held, *later])


async def test_a_leader_past_its_lease_writes_no_row(broker: Broker) -> None:
    async with bare_term(broker) as term:
        created = await term.cas(a_row(), 0)
        assert created is not None
        term.holds = lambda: False
        (fate,) = await term.cas_all([(moves.placed(created.row, "node-1", "i"), created.sequence)])
        assert isinstance(fate, Deposed)
        assert [stored.sequence for stored in await term.table.rows(TASK)] == [created.sequence]


async def test_a_leader_whose_loop_stood_still_past_its_lease_steps_down_before_it_does_anything(
    broker: Broker,
) -> None:
    async with (
        producer(broker) as ann,
        recording(broker) as seen,
        scripted_node(broker) as node,
        coordinator(broker, settings=replace(QUICK, node_lost_after_s=0.5)) as leader,
    ):
        task = await ann.submit()
        row = await node.gets(task)
        term = leader.term
        stand_still()
        assert not term.holds(), "whatever wakes first finds the lease run out"
        await eventually(lambda: leader.leads and leader.term is not term, what="a term of its own afterwards")
        await stays(lambda: "retrying" not in seen.kinds(task), for_s=1.0)
        await node.complete(row)
        await seen.outcome(task)


async def test_a_leader_whose_loop_stood_still_within_its_lease_judges_no_node_by_it(broker: Broker) -> None:
    """Nor did the nodes of this loop beat meanwhile: their silence is counted afresh."""
    async with (
        producer(broker) as ann,
        recording(broker) as seen,
        scripted_node(broker) as node,
        coordinator(broker, settings=replace(STEADY, node_lost_after_s=0.7)) as leader,
    ):
        task = await ann.submit()
        await node.gets(task)
        term = leader.term
        for _ in range(3):
            stand_still()
            await anyio.sleep(0.5)
        assert leader.term is term
        await stays(lambda: "retrying" not in seen.kinds(task), for_s=1.0)


def stand_still() -> None:
    """Block the loop of everyone here, the leader's included; the broker's clock runs on."""
    time.sleep(2.5)
