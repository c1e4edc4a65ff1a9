"""Schemathesis against a real cluster: made-up requests to every route find no failure of the gateway itself.

All its checks hold: answers are as described, refusals are refused as such, keys that are wrong open nothing.
"""

import subprocess
import sys

import pytest

from tests.harness.processes import Up, environment

SETTINGS = {"DOWNDRAFT_GATEWAY_KEY_REQUESTS_PER_S": "0"}


CONFIG = """
[checks.positive_data_acceptance]
# Rules between fields, and formats of ids, cursors and sizes, are in no schema: such a request is answered by 400
# (what the address and headers say) or 422 (the body).
expected-statuses = ["2xx", "3xx", "400", "401", "403", "404", "409", "422", "429", "503"]

[checks.negative_data_rejection]
# Of a batch each request is judged by itself: 207 says which were refused.
expected-statuses = ["207", "4xx"]
"""


def run(up: Up, *arguments: str, timeout_s: float) -> "subprocess.CompletedProcess[str]":
    gateway = up.info["gateway"]
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{gateway['url']}/docs/openapi.json"]
    command += [
        "--checks",
        "all",
        "--header",
        f"X-API-Key: {gateway['key']}",
        "--no-color",
        "--generation-database",
        "none",
    ]
    (up.folder / "schemathesis.toml").write_text(CONFIG)
    return subprocess.run(
        [*command, *arguments],
        cwd=up.folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def test_a_few_requests_to_every_route_find_nothing(up: Up) -> None:
    done = run(up, "--phases", "fuzzing", "--max-examples", "1", "--seed", "1", timeout_s=100)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_many_requests_find_nothing(up: Up) -> None:
    done = run(up, "--max-examples", "50", timeout_s=1100)
    assert done.returncode == 0, done.stdout + done.stderr
