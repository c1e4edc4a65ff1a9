"""One `docker compose` project of compose.yaml, and its books."""

import hashlib
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

from tests.compose.engine import CHECKOUT, Engine
from tests.compose.origin import body

IMAGE = "downdraft:test"
WITHIN_S = 120.0
POLL_S = 0.5
FOUND_FILES = "find /downloads -type f -not -path '*/.downdraft/*' -exec sha256sum {} +"


class ComposeFailed(Exception):
    """A `docker compose` command, or what it ran, exited with an error."""


class Container(NamedTuple):
    """What `docker inspect` tells of one."""

    told: dict[str, Any]

    @property
    def name(self) -> str:
        return str(self.told["Name"])

    @property
    def service(self) -> str:
        return str(self.told["Config"]["Labels"]["com.docker.compose.service"])

    def found_well(self, since: datetime) -> int:
        """How many of the latest health checks began after that; none of them failed. The engine keeps five."""
        checks = [one for one in self.told["State"]["Health"]["Log"] if datetime.fromisoformat(one["Start"]) > since]
        assert not any(one["ExitCode"] for one in checks), checks
        return len(checks)


class Ware(NamedTuple):
    """A file of the origin."""

    seed: int
    size: int
    bytes_per_s: int = 0
    """Of each connection; 0: as fast as it goes."""

    @property
    def url(self) -> str:
        return f"http://origin:8000/{self.seed}-{self.size}-{self.bytes_per_s}"

    @property
    def digest(self) -> str:
        return hashlib.sha256(body(self.seed, self.size)).hexdigest()


def until(condition: Callable[[], Any], what: str, within_s: float = WITHIN_S) -> Any:
    """Ask until it is true, and return that. What fails on the way counts as not yet."""
    deadline, last = time.monotonic() + within_s, None
    while time.monotonic() < deadline:
        try:
            if last := condition():
                return last
        except ComposeFailed as error:
            last = error
        time.sleep(POLL_S)
    raise AssertionError(f"not within {within_s:g} s: {what}; last was {last!r}")


def run(environment: dict[str, str], command: list[str], stdin: str | None = None) -> str:
    """What a command prints. Raises ComposeFailed."""
    ended = subprocess.run(command, env=environment, input=stdin or "", capture_output=True, text=True, timeout=600)
    if ended.returncode != 0:
        raise ComposeFailed(f"{' '.join(command[-6:])}: {ended.stdout[-2000:]}{ended.stderr[-4000:]}")
    return ended.stdout


class Deployment:
    """A project of its own name, with ports of its own."""

    def __init__(self, engine: Engine, folder: Path, *profiles: str, more: Iterable[Path] = ()) -> None:
        self.project = f"downdraft-test-{uuid4().hex[:8]}"
        self.folder = folder
        files = [CHECKOUT / "compose.yaml", CHECKOUT / "tests/compose/origin.yaml", *more]
        if engine.build_network:
            built = {"services": {"keys": {"build": {"network": engine.build_network}}}}
            files.append(folder / "build.yaml")
            files[-1].write_text(json.dumps(built))
        self._command = ["docker", "compose", "--project-name", self.project, "--project-directory", str(CHECKOUT)]
        for file in files:
            self._command += ["--file", str(file)]
        for profile in profiles:
            self.choose(profile)
        self._environment = engine.environment | {
            "DOWNDRAFT_IMAGE": IMAGE,
            **dict.fromkeys(("NATS_ADDRESS", "GATEWAY_ADDRESS", "GRAFANA_ADDRESS"), "127.0.0.1:0"),
        }
        self.asked: dict[str, Ware] = {}
        """By task: what was accepted."""

    def __repr__(self) -> str:
        return f"<Deployment {self.project}>"

    def choose(self, profile: str) -> None:
        """From now on each command means the services of a profile too, as COMPOSE_PROFILES in `.env` does."""
        self._command += ["--profile", profile]

    def compose(self, *arguments: str, stdin: str | None = None) -> str:
        """What `docker compose <arguments>` prints. Raises ComposeFailed."""
        return run(self._environment, [*self._command, *arguments], stdin)

    def docker(self, *arguments: str) -> str:
        """What `docker <arguments>` prints. Raises ComposeFailed."""
        return run(self._environment, ["docker", *arguments])

    def up(self, *arguments: str) -> None:
        """Bring it up, and wait until all of it gets on."""
        self.compose("up", "--detach", "--no-build", "--wait", *arguments)

    def down(self, *arguments: str) -> None:
        self.compose("--profile", "*", "down", "--remove-orphans", "--timeout", "20", *arguments)

    def inside(self, service: str, *command: str, index: int = 1) -> str:
        """What a command in a container of a service prints."""
        return self.compose("exec", "--no-TTY", "--index", str(index), service, *command)

    def cli(self, *arguments: str) -> Any:
        """What `downdraft <arguments> --json` says in the container `cli`; a list where it says several lines."""
        lines = self.inside("cli", "downdraft", *arguments, "--json").splitlines()
        said = [json.loads(line) for line in lines]
        return said[0] if len(said) == 1 else said

    def outside(self, *arguments: str, role: str = "producer") -> subprocess.CompletedProcess[str]:
        """`downdraft <arguments>` of this machine."""
        command = [sys.executable, "-m", "tools", *arguments, "--server", self.server(), "--creds", self.creds(role)]
        return subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=120)

    def server(self) -> str:
        """The address at which the broker is published now; it may change when its container starts again."""
        return "nats://" + self.compose("port", "nats", "4222").strip()

    def gateway(self) -> str:
        return "http://" + self.compose("port", "gateway", "8080").strip()

    def creds(self, role: str) -> str:
        """A credentials file of this cluster on this machine."""
        file = self.folder / f"{role}.creds"
        if not file.exists():
            file.write_text(self.secret(f"{role}.creds"))
        return str(file)

    def secret(self, name: str) -> str:
        """A file of the cluster's keys, got as the top of compose.yaml says."""
        return self.compose("run", "--rm", "--no-TTY", "--no-deps", "keys", f"cat /keys/{name}")

    def containers(self, service: str) -> list[str]:
        return sorted(self.compose("ps", "--all", "--quiet", service).split())

    def inspect(self) -> list[Container]:
        """All containers of the project, those that have ended too."""
        return [Container(told) for told in json.loads(self.docker("inspect", *self.compose("ps", "-aq").split()))]

    def crash(self, container: str) -> None:
        """Kill everything in it as the kernel would, so that its restart policy acts; `docker kill` counts as told."""
        pid = self.docker("inspect", "--format", "{{.State.Pid}}", container).strip()
        self.docker(
            *("run", "--rm", "--pid", "host", "--user", "root", "--network", "none"),
            *("--entrypoint", "sh", IMAGE, "-c", f"kill -KILL {pid}"),
        )

    def healthy(self, service: str) -> int:
        """How many containers of a service get on."""
        lines = self.compose("ps", "--format", "json", service).splitlines()
        return sum(json.loads(line)["Health"] == "healthy" for line in lines)

    def until_healthy(self, service: str, count: int) -> None:
        until(lambda: self.healthy(service) == count, f"{count} of {service} healthy")

    def online(self) -> set[str]:
        """Nodes that are heard."""
        nodes = self.cli("nodes")
        return {node["node"] for node in (nodes if isinstance(nodes, list) else [nodes]) if node["online"]}

    def until_online(self, count: int) -> set[str]:
        """Which nodes are online once there are so many."""
        found: set[str] = until(lambda: len(now := self.online()) == count and now, f"{count} nodes online")
        return found

    def submit(self, wares: list[Ware], *options: str) -> None:
        """Ask for all of them at once."""
        listed = "".join(f"{ware.url}\n" for ware in wares)
        said = self.compose(
            *("exec", "--no-TTY", "cli", "downdraft", "submit", "--input-file", "-", "--json", *options), stdin=listed
        )
        tasks = [json.loads(line)["task"] for line in said.splitlines()]
        assert len(tasks) == len(wares)
        self.asked.update(zip(tasks, wares, strict=True))

    def ended(self) -> list[dict[str, Any]]:
        """Every outcome in the log."""
        found = self.cli("events", "--since", "1d", "--type", "finished")
        return found if isinstance(found, list) else [found]

    def running(self) -> dict[str, int]:
        """How many downloads run on each node that is heard."""
        return {node["node"]: node["heartbeat"].get("running", 0) for node in self.cli("nodes") if node["online"]}

    def balance(self) -> None:
        """Wait until everything asked for has ended: once, completed, its file whole on the disk, nothing left over."""
        until(lambda: self.asked.keys() <= {event["task"] for event in self.ended()}, "everything has ended", 240)
        until(lambda: not any(self.cli("stats")["states"].values()), "the table is empty")
        outcomes = self.ended()
        assert Counter(event["task"] for event in outcomes) == dict.fromkeys(self.asked, 1)
        assert {event["type"] for event in outcomes} == {"finished.completed"}
        wanted = {task: ware.digest for task, ware in self.asked.items()}
        assert {event["task"]: event["digest"].removeprefix("sha-256=") for event in outcomes} == wanted
        on_disk = self.on_disk()
        assert {event["task"]: on_disk.get(f"{event['node']}/{event['path']}") for event in outcomes} == wanted
        assert len(on_disk) == len(wanted), "files that no outcome tells of"

    def on_disk(self) -> dict[str, str]:
        """The SHA-256 of each finished file, by `<node>/<path>`."""
        lines = self.inside("cli", "sh", "-c", FOUND_FILES).splitlines()
        return {line[66:].removeprefix("/downloads/"): line[:64] for line in lines}
