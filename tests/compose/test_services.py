"""The systemd units, on a machine with a systemd of its own that the very commands of docs/operations.md set up."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from tests.compose.deployment import IMAGE, Ware, run, until
from tests.compose.engine import CHECKOUT, Engine

pytestmark = [pytest.mark.compose, pytest.mark.timeout(900)]

SERVICES = ("gateway", "node", "coordinator", "nats")
MACHINE = "downdraft-test-machine:latest"
RIGHTS = ("SYS_ADMIN", "SYS_PTRACE", "NET_ADMIN", "IPC_LOCK", "SYS_TIME", "SYSLOG")
"""What systemd needs to contain its services, and no engine refuses."""
COMMANDS = re.compile(r"^## As services of a machine$.*?^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
KEYS = "/etc/downdraft/keys"
SLOW = 256 << 10


class Machine:
    """A container in which systemd is the first process, and the checkout lies at /src."""

    def __init__(self, engine: Engine) -> None:
        self.name = f"downdraft-test-{uuid4().hex[:8]}"
        self._environment = engine.environment

    def __repr__(self) -> str:
        return f"<Machine {self.name}>"

    def docker(self, *arguments: str) -> str:
        """What `docker <arguments>` prints. Raises ComposeFailed."""
        return run(self._environment, ["docker", *arguments])

    def start(self) -> None:
        self.docker(
            *("run", "--detach", "--name", self.name, "--hostname", "machine", "--volume", f"{CHECKOUT}:/src:ro"),
            *(f"--cap-add={right}" for right in RIGHTS),
            *("--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined"),
            *("--cgroupns", "host", "--volume", "/sys/fs/cgroup:/sys/fs/cgroup"),
            *("--tmpfs", "/run:exec,mode=755", "--tmpfs", "/run/lock", "--tmpfs", "/tmp:exec"),
            *("--env", "container=docker", MACHINE),
        )
        until(lambda: self.root("systemctl is-system-running || true").strip() == "running", "systemd runs")

    def root(self, command: str, stdin: str = "") -> str:
        """What root's shell prints of a command, without the image's environment. Raises ComposeFailed."""
        shell = ["env", "--ignore-environment", PATH, "sh", "-ec", command]
        return run(self._environment, ["docker", "exec", "--interactive", self.name, *shell], stdin)

    def cli(self, command: str, role: str = "operator", stdin: str = "") -> list[Any]:
        """The lines that `downdraft <command> --json` says."""
        told = f"cd /root; downdraft {command} --json --server nats://127.0.0.1:4222 --creds {KEYS}/{role}.creds"
        said = self.root(told, stdin)
        return [json.loads(line) for line in said.splitlines()]

    def submit(self, *wares: Ware) -> dict[str, Ware]:
        """By task: what it is to bring."""
        listed = "".join(ware.url.replace("//origin:", "//machine:") + "\n" for ware in wares)
        tasks = [line["task"] for line in self.cli("submit --input-file -", "producer", listed)]
        return dict(zip(tasks, wares, strict=True))

    def balance(self, asked: dict[str, Ware]) -> None:
        """Wait until all of it has ended: once, completed, whole on the disk, under its task's name."""

        def ended() -> list[Any]:
            return [one for one in self.cli("events --since 1d --type finished") if one["task"] in asked]

        until(lambda: len(ended()) >= len(asked), "everything has ended", 240)
        outcomes = ended()
        assert Counter(one["task"] for one in outcomes) == dict.fromkeys(asked, 1)
        assert {one["type"] for one in outcomes} == {"finished.completed"}
        summed = self.root("find /srv/downloads -type f -not -path '*/.downdraft/*' -exec sha256sum {} +")
        on_disk = {line[66:].removeprefix("/srv/downloads/"): line[:64] for line in summed.splitlines()}
        wanted = {task: ware.digest for task, ware in asked.items()}
        assert {one["task"]: on_disk.get(one["path"]) for one in outcomes} == wanted


@pytest.fixture(scope="module")
def machine(engine: Engine) -> Iterator[Machine]:
    """One with the services that the page's commands make."""
    machine = Machine(engine)
    network = ["--network", engine.build_network] if engine.build_network else []
    command = ["docker", "build", *network, "--build-arg", f"IMAGE={IMAGE}", "--tag", MACHINE, "-"]
    run(engine.environment, command, (CHECKOUT / "tests/compose/services.Dockerfile").read_text())
    try:
        machine.start()
        for typed in commands():
            machine.root(typed)
        machine.docker("exec", "--detach", machine.name, "/opt/downdraft/bin/python", "/src/tests/compose/origin.py")
        until(lambda: [node["node"] for node in machine.cli("nodes") if node["online"]], "the node is heard")
        yield machine
    finally:
        machine.docker("rm", "--force", "--volumes", machine.name)


def commands() -> list[str]:
    """What the page says to type as root."""
    found = COMMANDS.search((CHECKOUT / "docs/operations.md").read_text())
    assert found is not None
    return [line.removeprefix("# ") for line in found[1].splitlines()]


def test_the_commands_of_the_page_make_services_that_download(machine: Machine) -> None:
    assert len(commands()) > len(SERVICES)
    machine.balance(machine.submit(Ware(1, 20 << 20)))

    key = machine.root(f"cat {KEYS}/api.key").strip()
    told = machine.root(
        "/opt/downdraft/bin/python -c 'import sys; from urllib.request import Request, urlopen;"
        f' print(urlopen(Request("http://127.0.0.1:8080/api/v1/tasks", headers={{"X-API-Key": "{key}"}})).status)\''
    )
    assert told.strip() == "200"
    checks = machine.cli("doctor --config /etc/downdraft/downdraft.toml")
    assert [one for one in checks if one["status"] in ("problem", "warning")] == []


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_has_no_rights_and_its_log_no_errors(machine: Machine, service: str) -> None:
    pid = machine.root(f"systemctl show --property MainPID --value downdraft-{service}").strip()
    lines = machine.root(f"cat /proc/{pid}/status").splitlines()
    status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    mounts = [line.split() for line in machine.root(f"cat /proc/{pid}/mounts").splitlines()]
    root = [options for _, where, _, options, *_ in mounts if where == "/"][-1]

    assert status["Uid"].split()[0] != "0"
    assert {status["CapEff"].strip(), status["CapBnd"].strip()} == {"0" * 16}
    assert (status["NoNewPrivs"].strip(), status["Seccomp"].strip()) == ("1", "2")
    assert "ro" in root.split(",")
    logged = machine.root(f"journalctl --no-pager --output cat --unit downdraft-{service}")
    assert [line for line in logged.splitlines() if "[ERR]" in line or '"level": "error"' in line] == []


def test_services_that_are_killed_come_back_and_nothing_is_lost(machine: Machine) -> None:
    asked = machine.submit(*(Ware(100 + number, 2 << 20, SLOW) for number in range(40)))
    until(lambda: any(node["heartbeat"].get("running") for node in machine.cli("nodes")), "something runs")

    for service in SERVICES:
        machine.root(f"systemctl kill --signal KILL downdraft-{service}")

    machine.balance(asked)
    restarts = machine.root("systemctl show --property NRestarts --value " + units())
    assert restarts.split() == ["1"] * len(SERVICES)


def test_services_that_are_stopped_go_by_themselves_the_broker_last_and_go_on_later(machine: Machine) -> None:
    asked = machine.submit(*(Ware(200 + number, 2 << 20, SLOW) for number in range(40)))
    until(lambda: any(node["heartbeat"].get("running") for node in machine.cli("nodes")), "something runs")

    machine.root(f"systemctl stop {units()}")
    results = machine.root(f"systemctl show --property Result --value {units()}").split()
    said = machine.root("journalctl --no-pager --output cat --unit downdraft-node --lines 60")
    assert results == ["success"] * len(SERVICES), said
    assert "left before everything was given back" not in said, said
    machine.root(f"systemctl start {units()}")

    machine.balance(asked)


def units() -> str:
    return " ".join(f"downdraft-{service}" for service in SERVICES)
