"""The profile `cluster`: three brokers with three copies of everything, one of which is killed."""

import pytest

from tests.compose.deployment import Deployment, Ware, until

pytestmark = [pytest.mark.compose, pytest.mark.timeout(900)]

PROFILES = ("cluster",)
BROKERS = ("nats", "nats-2", "nats-3")


@pytest.mark.parametrize("broker", BROKERS[:2])
def test_one_of_three_brokers_is_killed_and_nothing_is_lost(deployed: Deployment, broker: str) -> None:
    first_seed = 1000 * BROKERS.index(broker)
    deployed.submit([Ware(first_seed + number, 2 << 20, 256 << 10) for number in range(24)])
    until(lambda: sum(deployed.running().values()) > 0, "something runs")

    deployed.docker("kill", deployed.containers(broker)[0])
    deployed.balance()

    deployed.docker("start", deployed.containers(broker)[0])
    until(lambda: sum(map(deployed.healthy, BROKERS)) == 3, "all three are up to date")


def test_each_stream_has_three_copies(deployed: Deployment) -> None:
    checks = {check["check"]: check for check in deployed.cli("doctor")}
    assert [check for check in checks.values() if check["status"] == "problem"] == []

    copies = {setting["setting"]: setting["value"] for setting in deployed.cli("config")}["broker.replicas"]
    assert (copies, checks["streams.drift"]["status"]) == (3, "ok")
