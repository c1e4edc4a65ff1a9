"""compose.yaml as a stranger would run it: real containers, a real file, nothing left behind."""

import hashlib
import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.compose.engine import CHECKOUT, Engine, NoEngine, running_engine
from tests.conftest import required

pytestmark = [pytest.mark.compose, pytest.mark.timeout(900)]

SEED, SIZE = 7, 20 << 20
ADDRESS = "http://origin:8000/real.bin"
PROCESSES = ("coordinator", "node-1", "node-2", "gateway")
OWN_KEYS = {"coordinator": ["coordinator.creds"], "gateway": ["api.key", "gateway.creds"]}
NODES = ("node-1", "node-2")
ONLINE_WITHIN_S = 30.0


class ComposeFailed(Exception):
    """A `docker compose` command, or what it ran, exited with an error."""


class Deployment:
    """One `docker compose` project."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.project = f"downdraft-test-{uuid4().hex[:8]}"
        files = [CHECKOUT / "compose.yaml", CHECKOUT / "tests/compose/origin.yaml"]
        if engine.build_network:
            built = {"services": {"keys": {"build": {"network": engine.build_network}}}}
            files.append(folder / "build.yaml")
            files[-1].write_text(json.dumps(built))
        self._command = ["docker", "compose", "--project-name", self.project, "--project-directory", str(CHECKOUT)]
        for file in files:
            self._command += ["--file", str(file)]
        self._environment = engine.environment | {
            "NATS_ADDRESS": "127.0.0.1:0",
            "GATEWAY_ADDRESS": "127.0.0.1:0",
            "ORIGIN_SEED": str(SEED),
            "ORIGIN_SIZE": str(SIZE),
        }

    def __repr__(self) -> str:
        return f"<Deployment {self.project}>"

    def compose(self, *arguments: str) -> str:
        """What `docker compose <arguments>` prints. Raises ComposeFailed."""
        ended = subprocess.run(
            [*self._command, *arguments],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=600,
        )
        if ended.returncode != 0:
            raise ComposeFailed(f"{' '.join(arguments)}: {ended.stdout[-2000:]}{ended.stderr[-4000:]}")
        return ended.stdout

    def inside(self, service: str, *command: str) -> str:
        return self.compose("exec", "--no-TTY", service, *command)

    def cli(self, *arguments: str) -> Any:
        """What `downdraft <arguments> --json` says in the service `cli`; a list where it says one a line."""
        lines = self.compose("run", "--rm", "--no-TTY", "cli", *arguments, "--json").splitlines()
        said = [json.loads(line) for line in lines]
        return said[0] if len(said) == 1 else said

    def until_online(self) -> None:
        """Return when every node is heard."""
        deadline = time.monotonic() + ONLINE_WITHIN_S
        while (online := self._online()) != set(NODES):
            assert time.monotonic() < deadline, f"online are only {online}: {self.compose('logs', '--tail', '5')}"

    def _online(self) -> set[str]:
        try:
            nodes = self.cli("nodes")
        except ComposeFailed:
            return set()  # nobody leads yet
        return {node["node"] for node in nodes if node["online"]}

    def wanted(self) -> str:
        """The digest of the file that the origin serves."""
        return "sha-256=" + hashlib.sha256(random.Random(SEED).randbytes(SIZE)).hexdigest()


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """The cluster, up and healthy."""
    try:
        with running_engine() as engine:
            deployment = Deployment(engine, tmp_path_factory.mktemp("compose"))
            try:
                deployment.compose("build")
                deployment.compose("up", "--detach", "--no-build", "--wait")
                deployment.until_online()
                yield deployment
            finally:
                deployment.compose("--profile", "tools", "down", "--volumes", "--remove-orphans", "--timeout", "20")
    except NoEngine as error:
        if required("compose"):
            pytest.fail(str(error))
        pytest.skip(str(error))


def test_a_file_is_downloaded_whole(deployed: Deployment) -> None:
    task = deployed.cli("submit", ADDRESS, "--wait")

    assert task["state"] == "completed"
    assert task["bytes"] == SIZE
    assert task["digest"] == deployed.wanted()
    assert task["node"] in NODES
    on_disk = deployed.inside(task["node"], "sha256sum", f"/downloads/{task['path']}")
    assert "sha-256=" + on_disk.split()[0] == deployed.wanted()


def test_a_producer_outside_needs_its_credentials_and_the_published_port(deployed: Deployment, tmp_path: Path) -> None:
    creds = tmp_path / "producer.creds"
    creds.write_text(deployed.compose("run", "--rm", "--no-TTY", "keys", "cat /keys/producer.creds"))
    server = "nats://" + deployed.compose("port", "nats", "4222").strip()

    command = [sys.executable, "-m", "tools", "submit", ADDRESS, "--wait", "--json"]
    ended = subprocess.run(
        [*command, "--server", server, "--creds", str(creds)],
        cwd=CHECKOUT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip

    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["digest"] == deployed.wanted()


def test_only_the_broker_and_the_gateway_are_published_and_only_on_loopback(deployed: Deployment) -> None:
    published = {
        (service["Service"], port["URL"])
        for service in map(json.loads, deployed.compose("ps", "--format", "json").splitlines())
        for port in service["Publishers"] or ()
        if port["PublishedPort"]
    }

    assert published == {("nats", "127.0.0.1"), ("gateway", "127.0.0.1")}


@pytest.mark.parametrize("service", PROCESSES)
def test_a_process_is_not_root_and_sees_no_secret_but_its_own(deployed: Deployment, service: str) -> None:
    own = OWN_KEYS.get(service, ["node.creds"])
    volumes = json.loads(deployed.compose("config", "--format", "json"))["services"][service]["volumes"]

    assert deployed.inside(service, "id", "-u").strip() == "10001"
    assert deployed.inside(service, "ls", "-A", "/run/keys").split() == own
    assert [volume["source"] for volume in volumes if "keys" in volume["source"]] == [f"keys-{service}"]


def test_a_stopped_node_goes_by_itself_and_comes_back(deployed: Deployment) -> None:
    deployed.compose("stop", "node-2")
    gone = json.loads(deployed.compose("ps", "--all", "--format", "json", "node-2"))
    assert gone["ExitCode"] == 0  # 137 would be a kill after the grace period

    deployed.compose("start", "--wait", "node-2")
    deployed.until_online()


def test_a_cluster_taken_down_and_up_again_knows_its_past(deployed: Deployment) -> None:
    before = deployed.cli("submit", ADDRESS, "--wait")

    deployed.compose("down", "--timeout", "20")
    deployed.compose("up", "--detach", "--no-build", "--wait")
    deployed.until_online()

    assert deployed.cli("show", before["task"])["task"]["digest"] == before["digest"]
    assert deployed.inside(before["node"], "ls", "/downloads").split().count(before["path"]) == 1
    assert deployed.cli("submit", ADDRESS, "--wait")["state"] == "completed"
