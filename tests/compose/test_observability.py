"""The profile `observability`: Prometheus gets its key by itself, and the figures with it."""

import json
import re
import time
from collections.abc import Iterator
from math import isfinite
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.compose.deployment import Deployment, Ware, until
from tests.compose.engine import CHECKOUT, Engine

pytestmark = [pytest.mark.compose, pytest.mark.timeout(900)]

ASK = "import sys; from urllib.request import urlopen; print(urlopen(sys.argv[1], timeout=5).read().decode())"
API = "http://prometheus:9090/api/v1"
OBSERVABILITY = CHECKOUT / "docs/deploy/observability"
NOT_THERE = "http://origin:8000/nothing"
NOBODY_ANSWERS = "http://origin:9/"
LABEL = re.compile(r"\{\{(\w+)\}\}")
METRIC = re.compile(r"\b(?:up|downdraft_\w+)\b")
RATE_INTERVAL = "1m"
"""What Grafana makes of $__rate_interval where figures come every 15 s: four of these."""


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


@pytest.fixture(scope="module")
def told(observed: Deployment) -> Deployment:
    """A cluster in which everything has happened once that the figures are about."""
    observed.submit([Ware(1, 1 << 20)])
    observed.cli("submit", NOT_THERE)  # fails, and is tried no more
    observed.cli("submit", NOBODY_ANSWERS)  # fails, and goes back to the queue
    observed.cli("submit", Ware(2, 1 << 20).url, "--tag", "nowhere")  # stays queued
    until(lambda: value(observed, 'downdraft_outcomes_total{outcome="completed"}') == 1, "the outcome is counted")
    until(lambda: value(observed, "sum(downdraft_retries_total)"), "so is the retry")
    return observed


def panels() -> list[Any]:
    """Those of the dashboard that ask for something."""
    dashboard = json.loads((OBSERVABILITY / "dashboard.json").read_text())
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


@pytest.mark.parametrize("panel", panels(), ids=lambda panel: panel["title"])
def test_a_panel_of_the_dashboard_shows_figures_of_a_cluster_at_work(told: Deployment, panel: Any) -> None:
    for target in panel["targets"]:

        def lines(expression: str = target["expr"]) -> Any:
            return [line for line in drawn(told, expression) if any(isfinite(float(y)) for _, y in line["values"])]

        shown = until(lines, f"{target['expr']} has a value")
        assert panel["type"] != "stat" or len(shown) == 1, "a single figure"
        for label in LABEL.findall(target["legendFormat"]):
            assert all(line["metric"].get(label) for line in shown), f"the legend names {label}"


def drawn(observed: Deployment, expression: str) -> Any:
    """What a panel gets of the last five minutes: lines with `metric` and `values`."""
    now = time.time()
    query = quote(expression.replace("$__rate_interval", RATE_INTERVAL))
    return asked(observed, f"query_range?query={query}&start={now - 300}&end={now}&step=15")["result"]


def test_what_the_dashboard_counts_is_what_happened(told: Deployment) -> None:
    assert value(told, "count(downdraft_node_slots)") == 2
    assert value(told, 'downdraft_outcomes_total{outcome="completed"}') == 1
    until(lambda: value(told, 'downdraft_outcomes_total{outcome="failed",failure_class="permanent"}') == 1, "the 404")


def test_the_alerts_are_judged_and_ask_for_figures_that_there_are(told: Deployment) -> None:
    def judged() -> Any:
        [group] = asked(told, "rules")["groups"]
        return {rule["health"] for rule in group["rules"]} == {"ok"} and group["rules"]

    rules = until(judged, "each alert was judged")

    assert len(rules) == 5
    asked_for = {name for rule in rules for name in METRIC.findall(rule["query"])}
    assert len(asked_for) >= 6
    assert [name for name in sorted(asked_for) if value(told, f"count({name})") is None] == []


def test_an_alert_rises_when_its_reason_is_there(told: Deployment) -> None:
    told.compose("stop", "gateway")
    try:
        until(lambda: "GatewayAway" in raised(told), "the alert is raised")
    finally:
        told.compose("start", "gateway")
    until(lambda: "GatewayAway" not in raised(told), "it is over")


def raised(observed: Deployment) -> set[str]:
    """Alerts whose reason is there, whether or not for long enough."""
    return {alert["labels"]["alertname"] for alert in asked(observed, "alerts")["alerts"]}
