"""Three brokers, and something is cut, silent, frozen or dead every few seconds: the books balance."""

import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import anyio
import pytest

from tests.chaos.brokers import ThreeBrokers
from tests.chaos.cluster import looking_on
from tests.harness.link import Link, linked

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

STORM_S = 30.0
TASKS = 400
SMALL = 20_000


@asynccontextmanager
async def three_behind_links(folder: Path) -> AsyncIterator[tuple[ThreeBrokers, dict[str, list[Link]]]]:
    """Two coordinators and three nodes, each with links of its own to all three servers."""
    folder.mkdir(parents=True, exist_ok=True)
    cluster = ThreeBrokers(folder, {})
    links: dict[str, list[Link]] = {}
    try:
        async with AsyncExitStack() as stack:
            for name in ("coordinator-1", "coordinator-2", "node-1", "node-2", "node-3"):
                links[name] = [await stack.enter_async_context(linked(port)) for port in cluster.ports]
                url = ",".join(f"nats://{link.address}" for link in links[name])
                add = cluster.add_coordinator if name.startswith("coordinator") else cluster.add_node
                add(name, url=url)
            await cluster.start(*(server.name for server in cluster.servers))
            await stack.enter_async_context(looking_on(cluster))
            await cluster.start()
            await cluster.until_ready()
            yield cluster, links
    finally:
        cluster.kill_all()


async def storm(cluster: ThreeBrokers, links: dict[str, list[Link]], dice: random.Random) -> list[str]:
    """One trouble after the other, each for a few seconds; what was done."""
    done = []
    end = anyio.current_time() + STORM_S
    while anyio.current_time() < end:
        kind = dice.choice(("silence", "cut", "slow", "freeze", "kill"))
        if kind in ("freeze", "kill"):  # one at a time: two of three must work
            server = dice.choice(cluster.servers)
            done.append(f"{kind} {server.name}")
            if kind == "freeze":
                server.freeze()
                await anyio.sleep(dice.uniform(1, 6))
                server.thaw()
            else:
                server.kill()
                await anyio.sleep(dice.uniform(0.5, 4))
                await cluster.start(server.name)
        else:
            name = dice.choice(sorted(links))
            done.append(f"{kind} {name}")
            for link in links[name]:
                if kind == "slow":
                    link.delay_s = dice.uniform(0.05, 0.3)
                else:
                    link.silence() if kind == "silence" else link.cut()
            await anyio.sleep(dice.uniform(1, 6))
            for link in links[name]:
                link.delay_s = 0.0
                await link.mend()
    return done


async def test_a_storm_over_three_brokers_and_every_link_loses_and_doubles_nothing(tmp_path: Path) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    async with three_behind_links(tmp_path) as (cluster, links):
        done: list[str] = []

        async def blow() -> None:
            done.extend(await storm(cluster, links, random.Random(seed)))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(blow)
            for number in range(TASKS):
                await cluster.submit(f"load-{number}", SMALL, bytes_per_s=pace_of(number))
                await anyio.sleep(STORM_S / TASKS / 2)
        print(done)
        assert len(done) >= 5
        await cluster.books.balance(within_s=240)
        assert cluster.books.strays() == []


def pace_of(number: int) -> float:
    """Most at once, some for seconds: they are under way when something breaks."""
    return 4_000 if number % 5 == 0 else 0
