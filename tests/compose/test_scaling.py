"""Nodes come and go by `--scale` while they work."""

from itertools import count

import pytest

from tests.compose.deployment import Deployment, Ware, until

pytestmark = [pytest.mark.compose, pytest.mark.timeout(900)]

SLOW = 256 << 10
QUEUED = 60
"""More than three more nodes take at once."""
ALL_FIVE = {f"node-{number}" for number in range(1, 6)}


def scale(deployed: Deployment, nodes: int) -> None:
    deployed.up("--no-recreate", "--scale", f"node={nodes}")


def test_nodes_come_and_go_while_they_work_and_nothing_is_lost(deployed: Deployment) -> None:
    seeds = count()

    def work(nodes: int) -> bool:
        """Whether so many all have some; there is always more to do, however long containers take to start."""
        if deployed.cli("stats")["states"].get("queued", 0) < QUEUED:
            deployed.submit([Ware(next(seeds), 2 << 20, SLOW) for _ in range(QUEUED)])
        running = deployed.running()
        return len(running) == nodes and all(running.values())

    until(lambda: work(2), "both nodes work")

    scale(deployed, 5)
    assert deployed.until_online(5) == ALL_FIVE
    until(lambda: work(5), "all five work")

    scale(deployed, 1)
    last = deployed.until_online(1)
    deployed.balance()
    assert last < ALL_FIVE


def test_a_new_replica_is_one_of_those_that_were_before(deployed: Deployment) -> None:
    scale(deployed, 3)

    assert deployed.until_online(3) < ALL_FIVE
    assert set(deployed.inside("cli", "ls", "/downloads").split()) == ALL_FIVE


def test_a_replica_that_restarts_is_the_same_node(deployed: Deployment) -> None:
    container = deployed.containers("node")[0]
    before = who_is(deployed, container)

    deployed.docker("restart", "--time", "20", container)

    deployed.until_online(3)
    assert who_is(deployed, container) == before


def who_is(deployed: Deployment, container: str) -> str:
    """The node id that a container holds: it writes its name where it claims."""
    host = deployed.docker("inspect", "--format", "{{.Config.Hostname}}", container).strip()
    return deployed.docker("exec", container, "grep", "-rlx", host, "/var/lib/downdraft", "--include=replica").strip()
