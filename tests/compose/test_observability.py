"""The profile `observability`: Prometheus gets its key by itself, and the figures with it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.compose.deployment import Deployment, Ware, until
from tests.compose.engine import CHECKOUT, Engine

pytestmark = [pytest.mark.compose, pytest.mark.timeout(900)]

ASK = "import sys; from urllib.request import urlopen; print(urlopen(sys.argv[1], timeout=5).read().decode())"
API = "http://prometheus:9090/api/v1"


@pytest.fixture(scope="module")
def observed(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A cluster with Prometheus; Grafana needs a registry."""
    folder = tmp_path_factory.mktemp("observability")
    deployment = Deployment(
        engine, folder, "observability", more=[CHECKOUT / "tests/compose/prometheus.yaml", *_network(engine, folder)]
    )
    try:
        deployment.compose("build", "prometheus")
        deployment.up("nats", "coordinator", "node", "gateway", "cli", "origin", "prometheus")
        yield deployment
    finally:
        deployment.down("--volumes")


def _network(engine: Engine, folder: Path) -> list[Path]:
    if not engine.build_network:
        return []
    file = folder / "network.yaml"
    file.write_text(json.dumps({"services": {"prometheus": {"build": {"network": engine.build_network}}}}))
    return [file]


def asked(observed: Deployment, what: str) -> Any:
    """What Prometheus answers at its API."""
    answer = json.loads(observed.inside("cli", "python", "-c", ASK, f"{API}/{what}"))
    assert answer["status"] == "success"
    return answer["data"]


def value(observed: Deployment, expression: str) -> float | None:
    """Of an expression that has one; None where it has none yet."""
    found = asked(observed, f"query?query={quote(expression)}")["result"]
    return float(found[0]["value"][1]) if found else None


def test_prometheus_is_let_in_with_a_key_of_its_own_that_may_only_read(observed: Deployment) -> None:
    until(lambda: value(observed, 'up{job="downdraft"}') == 1, "Prometheus is let in")

    keys = observed.cli("key", "ls")
    assert [key["scopes"] for key in keys if key["note"] == "prometheus"] == [["read"]]


def test_what_the_dashboard_asks_for_is_told(observed: Deployment) -> None:
    observed.submit([Ware(1, 1 << 20)])
    observed.balance()

    until(lambda: value(observed, 'downdraft_outcomes_total{outcome="completed"}') == 1, "the outcome is counted")
    dashboard = json.loads((CHECKOUT / "docs/deploy/observability/dashboard.json").read_text())
    asks = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    for ask in asks:
        asked(observed, f"query?query={quote(ask.replace('$__rate_interval', '1m'))}")  # every one is understood
    assert value(observed, "count(downdraft_node_slots)") == 2


def test_the_alerts_are_loaded(observed: Deployment) -> None:
    [group] = asked(observed, "rules")["groups"]

    assert {rule["health"] for rule in group["rules"]} <= {"ok", "unknown"}
    assert len(group["rules"]) == 5
