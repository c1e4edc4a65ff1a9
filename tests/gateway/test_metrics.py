"""`/metrics`, while a cluster downloads something and fails at something."""

import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from broker.cluster import open_client
from schemas.request import Request
from tests.harness.processes import Up
from tests.harness.waiting import eventually
from tests.harness.web import Web
from tests.integration.node.origin import Origin

OBSERVABILITY = Path(__file__).parents[2] / "docs" / "deploy" / "observability"
Figures = dict[tuple[str, tuple[str, ...]], float]


async def figures(web: Web) -> Figures:
    """Each sample, by its name and the values of its labels in the order of their names."""
    answer = await web.get("/metrics")
    assert (answer.status, answer.headers["Content-Type"].partition(";")[0]) == (200, "text/plain")
    return {
        (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


async def test_what_happens_is_counted(up: Up, web: Web, origin: Origin) -> None:
    origin.files = {"one": b"bytes"}
    before = await figures(web)
    async with open_client(up.url, up.creds("operator")) as client:
        await client.submit(Request(uris=(origin.url("file/one"),)))
        await client.submit(Request(uris=(origin.url("status/404"),)))

    async def counted() -> Figures | None:
        now = await figures(web)
        ended = [now.get(("downdraft_outcomes_total", (kind, outcome)), 0) for kind, outcome in ENDS]
        return now if ended == [1, 1] else None

    now = await eventually(counted, within_s=30)
    assert now["downdraft_placements_total", ()] - before["downdraft_placements_total", ()] == 2
    assert now["downdraft_attempts_failed_total", ("permanent",)] == 1


ENDS = (("", "completed"), ("permanent", "failed"))
"""Class of the failure, and outcome."""


async def test_what_waits_is_told_by_priority(up: Up, web: Web) -> None:
    async with open_client(up.url, up.creds("operator")) as client:
        for priority in (5, 5, -3):
            await client.submit(Request(uris=("http://example.org/f",), tags=("nowhere",), priority=priority))

    async def told() -> Figures | None:
        now = await figures(web)
        return now if now.get(("downdraft_tasks", ("queued",))) == 3 else None

    now = await eventually(told)
    assert now["downdraft_queue_depth", ("5",)] == 2
    assert now["downdraft_queue_depth", ("-3",)] == 1
    assert 0 <= now["downdraft_queue_oldest_seconds", ("5",)] < 60


async def test_nodes_streams_and_requests_are_told(web: Web) -> None:
    async def told() -> Figures | None:
        now = await figures(web)
        return now if ("downdraft_node_slots", ("node-1",)) in now else None

    now = await eventually(told)
    assert now["downdraft_node_slots", ("node-1",)] == 8
    assert now["downdraft_node_disk_free_bytes", ("node-1",)] > 0
    assert now["downdraft_stream_headroom_bytes", ("TASKS",)] > 0
    assert now["downdraft_stream_messages", ("REQUESTS",)] == 0
    assert now["downdraft_event_log_unread", ()] < 10
    assert ("downdraft_stream_headroom_bytes", ("EVENTS",)) not in now  # bounded by age only
    assert now["downdraft_gateway_ready", ()] == 1
    assert now["downdraft_http_request_seconds_count", ("GET", "/readyz", "2xx")] > 0


async def test_a_path_that_is_no_route_makes_no_figure_of_its_own(web: Web) -> None:
    await web.get("/made/up")
    now = await figures(web)
    assert now["downdraft_http_request_seconds_count", ("GET", "unknown", "4xx")] >= 1
    assert not [labels for _, labels in now if "/made/up" in labels]


ENDINGS = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum"), "gauge": ("",)}
"""Of the names of samples, by what kind they are."""


@pytest.mark.parametrize("file", ["dashboard.json", "alerts.yml"])
async def test_every_figure_of_the_dashboard_and_of_the_alerts_is_told(web: Web, file: str) -> None:
    asked = set(re.findall(r"\b(?:downdraft|process)_\w+", (OBSERVABILITY / file).read_text()))
    answer = await web.get("/metrics")
    told = {
        family.name + ending
        for family in text_string_to_metric_families(answer.text)
        for ending in ENDINGS.get(family.type, ("",))
    }

    assert len(asked) > 4
    assert asked - told == set()
