"""compose.yaml as a stranger would run it: real containers, real files, nothing left behind."""

import json
import re
from datetime import UTC, datetime

import anyio
import nats
import pytest
import requests

from tests.compose.deployment import ComposeFailed, Deployment, Ware, until

pytestmark = [pytest.mark.compose, pytest.mark.timeout(900)]

OWN_KEYS = {
    "nats": ["auth.conf", "cluster.conf"],
    "coordinator": ["coordinator.creds"],
    "gateway": ["api.key", "gateway.creds"],
    "cli": ["operator.creds"],
}
KEPT_AT = {"nats": "/etc/downdraft/keys"}
SECRET = re.compile(r"\bSU[A-Z2-7]{56}\b|\bdd_\w+")
"""A user's seed, or an API key."""
TIMES = 3
RUN_ONCE = ("keys",)
SERVICES = ("nats", "coordinator", "node", "gateway", "cli")
ODD = 10**6


def test_a_file_is_downloaded_whole_and_the_cluster_finds_nothing_wrong(deployed: Deployment) -> None:
    deployed.submit([Ware(1, 20 << 20)])
    deployed.balance()

    assert [check for check in deployed.cli("doctor") if check["status"] in ("problem", "warning")] == []


def test_this_machines_command_line_needs_credentials_and_the_published_port(deployed: Deployment) -> None:
    ware = Ware(2, 3 << 20)

    ended = deployed.outside("submit", ware.url, "--wait", "--json")

    assert ended.returncode == 0, ended.stderr
    deployed.asked[json.loads(ended.stdout)["task"]] = ware
    deployed.balance()


def test_a_message_to_the_broker_is_a_submission(deployed: Deployment) -> None:
    ware = Ware(3, ODD + 1)

    async def publish_and_hear() -> str:
        subscriber = await nats.connect(deployed.server(), user_credentials=deployed.creds("viewer"))
        heard = await subscriber.subscribe("downloads.events.*.finished.>")
        await subscriber.flush()
        producer = await nats.connect(deployed.server(), user_credentials=deployed.creds("producer"))
        await producer.publish("downloads.requests", json.dumps({"uris": [ware.url]}).encode())
        await producer.flush()
        message = await heard.next_msg(timeout=60)
        await producer.close()
        await subscriber.close()
        return message.subject.split(".")[2]

    deployed.asked[anyio.run(publish_and_hear)] = ware
    deployed.balance()


def test_the_first_key_opens_the_gateway(deployed: Deployment) -> None:
    ware = Ware(4, ODD + 2)
    web = requests.Session()
    web.trust_env = False
    web.headers["X-API-Key"] = deployed.secret("api.key").strip()
    tasks = f"{deployed.gateway()}/api/v1/tasks"

    answer = web.post(tasks, json={"uris": [ware.url]}, timeout=20)
    assert answer.ok, answer.text
    task = answer.json()["task"]

    deployed.asked[task] = ware
    deployed.balance()
    until(
        lambda: web.get(f"{tasks}/{task}", timeout=20).json()["task"]["state"] == "completed", "the gateway tells of it"
    )


def test_only_the_broker_and_the_gateway_are_published_and_only_on_loopback(deployed: Deployment) -> None:
    published = {
        (service["Service"], port["URL"])
        for service in map(json.loads, deployed.compose("ps", "--format", "json").splitlines())
        for port in service["Publishers"] or ()
        if port["PublishedPort"]
    }

    assert published == {("nats", "127.0.0.1"), ("gateway", "127.0.0.1")}


@pytest.mark.parametrize("service", SERVICES)
def test_a_process_is_contained_and_sees_no_secret_but_its_own(deployed: Deployment, service: str) -> None:
    status = dict(
        line.split(":\t", 1) for line in deployed.inside(service, "cat", "/proc/1/status").splitlines() if ":\t" in line
    )
    mounts = [line.split() for line in deployed.inside(service, "cat", "/proc/1/mounts").splitlines()]
    root = next(options for _, where, _, options, *_ in mounts if where == "/")
    own = OWN_KEYS.get(service) or [f"node-node-{number}.creds" for number in range(1, 33)]

    assert deployed.inside(service, "id", "-u").strip() == "10001"
    assert {status["CapEff"].strip(), status["CapBnd"].strip()} == {"0" * 16}
    assert status["NoNewPrivs"].strip() == "1"
    assert "ro" in root.split(",")
    assert sorted(deployed.inside(service, "ls", "-A", KEPT_AT.get(service, "/run/keys")).split()) == sorted(own)


def test_the_engine_bounds_every_container_and_starts_it_again_but_those_that_run_once(deployed: Deployment) -> None:
    containers = deployed.inspect()

    assert {one.service for one in containers} == {*SERVICES, *RUN_ONCE, "origin"}
    for one in containers:
        if one.service == "origin":
            continue  # the tests' own
        host = one.told["HostConfig"]
        assert (host["ReadonlyRootfs"], host["Privileged"], host["CapDrop"]) == (True, False, ["ALL"]), one.service
        assert not host["CapAdd"]
        assert host["SecurityOpt"] == ["no-new-privileges:true"]
        assert one.told["Config"]["User"] == "downdraft"
        assert host["LogConfig"] == {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}}
        assert {"/tmp"} == host["Tmpfs"].keys()
        assert host["RestartPolicy"]["Name"] == ("no" if one.service in RUN_ONCE else "unless-stopped")
        if one.service not in RUN_ONCE:
            assert host["Memory"] > 0, one.service
            assert host["PidsLimit"] > 0


def test_no_secret_stands_where_docker_inspect_tells_it(deployed: Deployment) -> None:
    secrets = set(SECRET.findall(deployed.secret("*")))
    assert len(secrets) > len(SERVICES)

    told = json.dumps([one.told for one in deployed.inspect()])

    assert [secret for secret in secrets if secret in told] == []


def test_a_cluster_that_is_well_and_idle_writes_nothing(deployed: Deployment) -> None:
    deployed.balance()
    began = datetime.now(UTC)

    watched = [one.name for one in deployed.inspect() if "Healthcheck" in one.told["Config"]]
    assert len(watched) == 6  # the broker, two coordinators, two nodes, the gateway

    def all_checked() -> bool:
        return all(one.found_well(began) >= TIMES for one in deployed.inspect() if one.name in watched)

    until(all_checked, f"each was found well {TIMES} times")

    assert deployed.compose("logs", "--no-log-prefix", "--since", began.isoformat()) == ""


def test_a_node_that_is_stopped_goes_by_itself_and_comes_back(deployed: Deployment) -> None:
    container = deployed.containers("node")[1]
    deployed.docker("stop", "--time", "20", container)
    assert int(deployed.docker("inspect", "--format", "{{.State.ExitCode}}", container)) == 0  # 137 would be a kill

    deployed.docker("start", container)
    deployed.until_online(2)


def test_a_cluster_taken_down_and_up_again_goes_on_with_what_it_had(deployed: Deployment) -> None:
    deployed.submit([Ware(20 + number, 4 << 20, 512 << 10) for number in range(12)])
    until(lambda: sum(deployed.running().values()) > 0, "something runs")

    deployed.down()
    deployed.up()

    deployed.until_online(2)
    deployed.balance()


def test_a_broker_that_ran_alone_does_not_become_one_of_three_and_lose_what_it_had(deployed: Deployment) -> None:
    deployed.down()

    with pytest.raises(ComposeFailed):
        deployed.compose("--profile", "cluster", "up", "--detach", "--no-build", "--wait", "nats", "nats-2", "nats-3")
    assert "has run alone" in deployed.compose("--profile", "cluster", "logs", "clustering")

    deployed.down()
    deployed.up()
    deployed.until_online(2)
    deployed.balance()


def test_a_deployment_moves_from_one_broker_to_three_by_a_backup(deployed: Deployment) -> None:
    """As docs/operations.md says; it is of three from here on."""
    deployed.submit([Ware(40 + number, 4 << 20, 512 << 10) for number in range(12)])
    until(lambda: sum(deployed.running().values()) > 0, "something runs")
    deployed.compose("stop", "coordinator", "gateway", "node")
    backup = str(deployed.folder / "backup")
    saved = deployed.outside("backup", backup, role="admin")
    assert saved.returncode == 0, saved.stderr
    deployed.down()
    deployed.docker("volume", "rm", f"{deployed.project}_streams")

    deployed.choose("cluster")
    deployed.up("nats", "nats-2", "nats-3")
    restored = deployed.outside("restore", backup, "--replicas", "3", role="admin")
    assert restored.returncode == 0, restored.stderr
    deployed.up()

    deployed.until_online(2)
    deployed.balance()
    assert [check for check in deployed.cli("doctor") if check["status"] == "problem"] == []
