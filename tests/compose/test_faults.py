"""Containers are killed, cut off and fill their disks; afterwards the books balance."""

import pytest

from tests.compose.deployment import Deployment, Ware, until

pytestmark = [pytest.mark.compose, pytest.mark.timeout(900)]

SLOW = 256 << 10
MIB = 1 << 20


def busy(deployed: Deployment, first_seed: int, count: int = 24) -> None:
    """Give the cluster work for some ten seconds, and see it begin."""
    deployed.submit([Ware(first_seed + number, 2 * MIB, SLOW) for number in range(count)])
    until(lambda: sum(deployed.running().values()) > 0, "something runs")


@pytest.mark.parametrize(("service", "count"), [("coordinator", 2), ("node", 2), ("nats", 1)])
def test_what_is_killed_comes_back_by_itself_and_nothing_is_lost(
    deployed: Deployment, service: str, count: int
) -> None:
    busy(deployed, 1000 * (1 + ("coordinator", "node", "nats").index(service)))

    for container in deployed.containers(service):
        deployed.crash(container)

    deployed.balance()
    deployed.until_healthy(service, count)
    restarts = deployed.docker("inspect", "--format", "{{.RestartCount}}", *deployed.containers(service))
    assert restarts.split() == ["1"] * count


def test_a_node_without_a_network_is_unhealthy_and_its_tasks_end_elsewhere(deployed: Deployment) -> None:
    cut_off, network = deployed.containers("node")[0], f"{deployed.project}_default"
    busy(deployed, 4000)

    deployed.docker("network", "disconnect", network, cut_off)
    try:
        deployed.until_online(1)
        until(lambda: deployed.healthy("node") == 1, "it is no longer healthy")
        deployed.balance()
    finally:
        deployed.docker("network", "connect", network, cut_off)
    deployed.until_online(2)
    deployed.until_healthy("node", 2)
    deployed.balance()


def test_a_full_disk_keeps_tasks_waiting_until_there_is_room(deployed: Deployment) -> None:
    deployed.compose("--profile", "small", "up", "--detach", "--no-build", "--wait", "node-small")
    deployed.until_online(3)
    wares = [Ware(5000 + number, 20 * MIB) for number in range(2)]
    listed = [deployed.cli("submit", ware.url, "--tag", "small")["task"] for ware in wares]

    def completed() -> list[str]:
        return [event["task"] for event in deployed.ended() if event["task"] in listed]

    first = until(completed, "the one that fits")
    left = deployed.cli("stats")["states"]
    assert (first, sum(left.values())) == (first[:1], 1)
    removed = deployed.cli("rm", first[0], "--files", "--yes")

    assert removed["ok"]
    until(lambda: len(completed()) == 2, "the other, now that there is room")
    assert [event["type"] for event in deployed.ended() if event["task"] in listed] == ["finished.completed"] * 2
    assert not any(deployed.cli("stats")["states"].values())
