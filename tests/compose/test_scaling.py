"""Nodes come and go by `--scale` while they work."""

import pytest

from tests.compose.deployment import Deployment, Ware, until

pytestmark = [pytest.mark.compose, pytest.mark.timeout(900)]

SLOW = 256 << 10
ALL_FIVE = {f"node-{number}" for number in range(1, 6)}


def scale(deployed: Deployment, nodes: int) -> None:
    deployed.up("--no-recreate", "--scale", f"node={nodes}")


def test_nodes_come_and_go_while_they_work_and_nothing_is_lost(deployed: Deployment) -> None:
    deployed.submit([Ware(number, 2 << 20, SLOW) for number in range(90)])
    until(lambda: len(deployed.running()) == 2 and all(deployed.running().values()), "both nodes work")

    scale(deployed, 5)
    assert deployed.until_online(5) == ALL_FIVE
    until(lambda: len(now := deployed.running()) == 5 and all(now.values()), "all five work")

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
