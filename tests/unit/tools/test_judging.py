"""What doctor makes of facts: each judgement from plain values, its limits included."""

from typing import Any

import pytest
from msgspec.structs import replace

from broker.health import Account, Follower, Server, Stream
from broker.lease import Holder
from coordinator.filters import DISK_LOW_BYTES
from schemas import subjects as s
from schemas.control import NodeView, PolicyReply
from schemas.lifecycle import Desired, State
from schemas.nodes import NodeWishes
from schemas.view import TaskView
from tests.examples import GIB, TASK, a_heartbeat
from tools.doctor.facts import (
    Cluster,
    ClusterSeen,
    CredentialsSeen,
    DriftSeen,
    FolderSeen,
    Known,
    Missing,
    ProgramSeen,
    QueueSeen,
    SettingsSeen,
    StoreSeen,
    StreamSeen,
    Trouble,
    WrongValue,
)
from tools.doctor.findings import Finding, Status, listed
from tools.doctor.judge_broker import judge_broker, judge_clock, judge_streams
from tools.doctor.judge_fleet import judge_leader, judge_nodes, judge_policy, judge_queue
from tools.doctor.judge_machine import judge_choice, judge_credentials, judge_folder, judge_program, judge_settings

OK, WARNING, PROBLEM, UNCHECKED = Status.OK, Status.WARNING, Status.PROBLEM, Status.UNCHECKED
SKIPPED = Missing(Trouble.SKIPPED, "no cluster")
REFUSED = Missing(Trouble.REFUSED, "these credentials may not look at the streams")
FAILED = Missing(Trouble.FAILED, "no coordinator answers")
SERVER = Server(version="2.15.1", max_payload_bytes=1 << 20, has_jetstream=True, round_trip_s=0.001)


def a_stream(name: str = s.EVENTS_STREAM, **fields: Any) -> Stream:
    stream = Stream(
        name=name,
        config={"max_bytes": 1000, "num_replicas": 1},
        messages=1,
        used_bytes=1,
        oldest_age_s=0.0,
        leader="n1",
    )
    return replace(stream, **fields)


def a_cluster(*streams: Stream, **fields: Any) -> Cluster:
    seen: dict[str, Known[StreamSeen]] = {stream.name: StreamSeen(stream) for stream in streams}
    cluster = Cluster(
        server=SERVER,
        account=Account(on_disk=1, on_disk_max=-1, in_memory=0, in_memory_max=-1),
        store=StoreSeen(1, 100),
        streams=seen,
        clock_ahead_s=0.0,
        lease=None,
        stats=SKIPPED,
        nodes=SKIPPED,
        queue=SKIPPED,
    )
    return replace(cluster, **fields)


def status_of(findings: list[Finding], check: str) -> Status:
    [found] = [finding for finding in findings if finding.check == check]
    assert found.remedy if found.status in (WARNING, PROBLEM) else True, "what is wrong says what to do"
    return found.status


@pytest.mark.parametrize(
    ("policy", "status"),
    [
        (PolicyReply(policy={}, revision=0, strategies=()), OK),
        (PolicyReply(policy={}, revision=7, strategies=()), OK),
        (PolicyReply(policy={}, revision=7, strategies=(), problem="'ours' is not installed"), PROBLEM),
        (PolicyReply(policy={}, revision=7, strategies=(), problem="can't be read", is_unreadable=True), PROBLEM),
        (SKIPPED, Status.UNCHECKED),
    ],
)
def test_a_policy_that_is_not_followed_is_told(policy: Known[PolicyReply], status: Status) -> None:
    assert status_of([judge_policy(policy)], "leader.policy") is status


@pytest.mark.parametrize(
    ("ahead_s", "status"),
    [(0.0, OK), (-1.9, OK), (2.1, WARNING), (-29.0, WARNING), (30.1, PROBLEM), (-3600.0, PROBLEM)],
)
def test_a_clock_that_is_off_is_told(ahead_s: float, status: Status) -> None:
    found = judge_clock(ahead_s)
    assert found.status is status
    assert status is OK or ("ahead of" if ahead_s > 0 else "behind") in found.found


@pytest.mark.parametrize(
    ("name", "used", "status"),
    [
        (s.TASKS_STREAM, 599, OK),
        (s.TASKS_STREAM, 600, WARNING),
        (s.TASKS_STREAM, 800, PROBLEM),
        (s.EVENTS_STREAM, 899, WARNING),
        (s.EVENTS_STREAM, 900, PROBLEM),
        (s.REQUESTS_STREAM, 900, PROBLEM),
        (s.BUCKET_STREAM, 900, PROBLEM),
    ],
)
def test_a_stream_that_fills_up_is_told_before_it_stops_anything(name: str, used: int, status: Status) -> None:
    assert status_of(judge_streams(a_cluster(a_stream(name, used_bytes=used))), f"streams.{name}") is status


def test_a_stream_without_a_limit_is_never_full() -> None:
    stream = a_stream(config={"max_bytes": -1}, used_bytes=1 << 50)
    assert status_of(judge_streams(a_cluster(stream)), "streams.EVENTS") is OK


@pytest.mark.parametrize(("age_s", "status"), [(0.0, OK), (31.0, WARNING), (301.0, PROBLEM)])
def test_requests_that_nobody_claims_are_told(age_s: float, status: Status) -> None:
    stream = a_stream(s.REQUESTS_STREAM, oldest_age_s=age_s)
    assert status_of(judge_streams(a_cluster(stream)), "streams.inbox") is status


@pytest.mark.parametrize(("field", "status"), [("max_age", WARNING), ("retention", PROBLEM), ("republish", PROBLEM)])
def test_drift_is_a_problem_where_the_rules_rest_on_it(field: str, status: Status) -> None:
    seen = StreamSeen(a_stream(), (DriftSeen(field, f"EVENTS.{field} is 1, declared 2"),))
    assert status_of(judge_streams(a_cluster(streams={"EVENTS": seen})), "streams.drift") is status


def test_a_stream_that_is_not_there_is_a_problem() -> None:
    assert status_of(judge_streams(a_cluster(streams={"TASKS": StreamSeen(None)})), "streams.TASKS") is PROBLEM


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({}, OK),
        ({"leader": ""}, PROBLEM),
        ({"followers": (Follower("n2", True, False),)}, OK),
        ({"followers": (Follower("n2", False, False),)}, WARNING),
        ({"followers": (Follower("n2", True, True),)}, WARNING),
        ({"config": {"max_bytes": 1000, "num_replicas": 3}}, WARNING),
    ],
)
def test_replicas_must_follow_a_leader(fields: dict[str, Any], status: Status) -> None:
    assert status_of(judge_streams(a_cluster(a_stream(**fields))), "streams.leaders") is status


def test_streams_that_may_not_be_looked_at_are_said_to_be_unchecked_once() -> None:
    [found] = judge_streams(a_cluster(streams=dict.fromkeys(("TASKS", "EVENTS"), REFUSED)))
    assert (found.status, found.found) == (UNCHECKED, "not checked: these credentials may not look at the streams")
    assert "downdraft keys" in found.remedy


@pytest.mark.parametrize(
    ("fields", "check", "status"),
    [
        ({}, "broker.version", OK),
        ({"version": "2.11.0"}, "broker.version", OK),
        ({"version": "2.10.29"}, "broker.version", PROBLEM),
        ({"version": "3.0.0-beta"}, "broker.version", OK),
        ({"has_jetstream": False}, "broker.jetstream", PROBLEM),
        ({"max_payload_bytes": 512 << 10}, "broker.payload", PROBLEM),
        ({"round_trip_s": 0.3}, "broker.reached", WARNING),
    ],
)
def test_a_broker_that_can_not_do_the_work_is_told(fields: dict[str, Any], check: str, status: Status) -> None:
    assert status_of(judge_broker(a_cluster(server=replace(SERVER, **fields))), check) is status


@pytest.mark.parametrize(
    ("account", "status"),
    [(Account(59, 100, 0, -1), OK), (Account(60, 100, 0, -1), WARNING), (Account(0, -1, 90, 100), PROBLEM)],
)
def test_a_full_account_is_told(account: Account, status: Status) -> None:
    assert status_of(judge_broker(a_cluster(account=account)), "broker.limits") is status


def test_a_full_server_of_this_machine_is_told() -> None:
    assert status_of(judge_broker(a_cluster(store=StoreSeen(95, 100))), "broker.store") is PROBLEM


def test_without_a_broker_only_that_is_a_problem() -> None:
    cluster = a_cluster(server=FAILED, streams=dict.fromkeys(("TASKS", "EVENTS"), SKIPPED))
    assert [found.status for found in (*judge_broker(cluster), *judge_streams(cluster))] == [PROBLEM, UNCHECKED]


def test_who_holds_the_lease_without_answering_is_named() -> None:
    frozen = judge_leader(FAILED, Holder("c1", "i", host="attic", pid=7))
    assert (frozen.status, "c1 on attic (pid 7)" in frozen.found) == (PROBLEM, True)
    for nobody in (None, Holder("c1", "i", released=True)):
        assert "no coordinator leads" in judge_leader(FAILED, nobody).found
    assert judge_leader(FAILED, REFUSED).status is PROBLEM
    assert judge_leader(SKIPPED, SKIPPED).status is UNCHECKED


def a_view(node: str, *, online: bool = True, **beat: Any) -> NodeView:
    told: dict[str, Any] = {"version": "1", "disk_free_bytes": 100 * GIB, "capabilities": ("http",)} | beat
    heartbeat = a_heartbeat(node, **told)
    return NodeView(node=node, online=online, heard_ago_s=0.1, assigned=0, heartbeat=heartbeat)


def test_nodes_that_are_gone_are_named() -> None:
    assert status_of(judge_nodes((), "1"), "nodes.online") is PROBLEM
    assert status_of(judge_nodes((a_view("a", online=False),), "1"), "nodes.online") is PROBLEM
    found = judge_nodes((a_view("a", online=False), a_view("b")), "1")
    assert status_of(found, "nodes.online") is WARNING
    assert found[0].found == "a offline, 1 online"


@pytest.mark.parametrize(
    ("free", "status"), [(2 * GIB, OK), (GIB - 1, WARNING), (DISK_LOW_BYTES, WARNING), (0, PROBLEM)]
)
def test_a_node_whose_disk_is_full_is_named(free: int, status: Status) -> None:
    assert status_of(judge_nodes((a_view("a", disk_free_bytes=free), a_view("b")), "1"), "nodes.disk") is status


def test_a_node_that_takes_no_tasks_is_named_with_its_reason_and_what_lies_there() -> None:
    troubled = a_view("a", trouble="can't write to /d: Read-only file system", partial_bytes=3 * GIB)
    found = next(one for one in judge_nodes((troubled, a_view("b")), "1") if one.check == "nodes.disk")
    assert found.status is PROBLEM
    assert "a: can't write to /d: Read-only file system; 3 GiB in partial files without a task" in found.found


def test_a_node_is_judged_by_its_own_low_mark() -> None:
    small = a_view("a", disk_free_bytes=5 << 20, disk_low_bytes=4 << 20)
    assert status_of(judge_nodes((small,), "1"), "nodes.disk") is WARNING
    spacious = a_view("a", disk_free_bytes=50 * GIB, disk_low_bytes=60 * GIB)
    assert status_of(judge_nodes((spacious,), "1"), "nodes.disk") is PROBLEM


def test_an_offline_node_is_judged_by_nothing_else() -> None:
    found = judge_nodes((a_view("a", online=False, disk_free_bytes=0, version="0"), a_view("b")), "1")
    assert [one.status for one in found] == [WARNING, OK, OK, OK]


def test_a_node_of_another_version_is_named() -> None:
    assert status_of(judge_nodes((a_view("a"), a_view("b", version="2")), "1"), "nodes.version") is WARNING


def test_a_node_that_is_set_aside_is_named_with_its_reason_and_what_to_do() -> None:
    aside = replace(a_view("a"), set_aside="5 of its last 5 attempts failed where other nodes do well", set_aside_s=9.0)
    closed = replace(a_view("b"), wishes=NodeWishes(cordoned=True, reason="new disks"))
    found = next(one for one in judge_nodes((aside, closed, a_view("c")), "1") if one.check == "nodes.open")
    assert found.status is WARNING
    assert found.found.startswith("set aside: a: 5 of its last 5 attempts failed")
    assert found.found.endswith("cordoned or drained: b (new disks)")
    assert "downdraft uncordon NODE" in found.remedy


def test_where_every_node_is_closed_that_is_a_problem_and_one_of_two_is_none() -> None:
    closed = replace(a_view("a"), wishes=NodeWishes(draining=True))
    assert status_of(judge_nodes((closed, a_view("b")), "1"), "nodes.open") is OK
    assert status_of(judge_nodes((closed, a_view("b", online=False)), "1"), "nodes.open") is PROBLEM


def test_of_a_small_share_of_a_disk_much_less_is_plenty() -> None:
    share = a_view("a", disk_free_bytes=GIB // 2, disk_capacity_bytes=2 * GIB, disk_low_bytes=GIB // 8)
    assert status_of(judge_nodes((share,), "1"), "nodes.disk") is OK


def test_tags_that_are_set_at_run_time_count_and_nodes_that_take_nothing_do_not() -> None:
    tagged = replace(a_view("a", tags=("old",)), wishes=NodeWishes(tags=("ssd",)))
    closed = replace(a_view("b", tags=("eu",)), wishes=NodeWishes(cordoned=True))
    for tag, status in (("ssd", OK), ("old", WARNING), ("eu", WARNING)):
        assert judge_queue(QueueSeen((a_task(tags=(tag,)),), more=False), (tagged, closed)).status is status


def a_task(**fields: Any) -> TaskView:
    task = TaskView(task=TASK, owner="ada", state=State.QUEUED, uris=("https://a.example/f",))
    return replace(task, **fields)


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({}, OK),
        ({"tags": ("ssd",)}, OK),
        ({"tags": ("ssd", "eu")}, WARNING),
        ({"uris": ("sftp://a.example/f",)}, WARNING),
        ({"tags": ("tape",)}, WARNING),
        ({"tags": ("tape",), "desired": Desired.PAUSE}, OK),
        ({"tags": ("tape",), "due_in_s": 9.0}, OK),
    ],
)
def test_a_task_that_no_node_can_take_is_told(fields: dict[str, Any], status: Status) -> None:
    nodes = (a_view("a", tags=("ssd",)), a_view("b", tags=("eu",)), a_view("c", online=False, tags=("tape",)))
    assert judge_queue(QueueSeen((a_task(**fields),), more=False), nodes).status is status


def test_with_no_node_online_the_queue_is_not_blamed() -> None:
    assert judge_queue(QueueSeen((a_task(),), more=False), ()).status is UNCHECKED


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({}, OK),
        ({"version": "2.11.0"}, OK),
        ({"version": "2.10.1"}, PROBLEM),
        ({"error": "it does not run"}, PROBLEM),
        ({"path": "", "error": "nats-server was not found: install it"}, WARNING),
        ({"path": "", "named": "/no", "error": "nats.server_binary names /no, which is not …"}, PROBLEM),
    ],
)
def test_a_program_must_be_there_and_new_enough(fields: dict[str, Any], status: Status) -> None:
    seen = ProgramSeen("nats-server", "nats.server_binary", "", path="/bin/nats-server", version="2.15.1")
    assert judge_program(replace(seen, **fields)).status is status


def test_an_aria2_that_can_not_check_files_is_a_problem() -> None:
    seen = ProgramSeen("aria2c", "node.aria2_binary", "", path="/bin/aria2c", version="1.37.0", said="Hash: sha-256")
    assert judge_program(seen).status is OK
    assert judge_program(replace(seen, said="Hash: md5")).status is PROBLEM


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({}, OK),
        ({"free_bytes": 4 * GIB}, WARNING),
        ({"free_bytes": DISK_LOW_BYTES - 1}, PROBLEM),
        ({"writable": False}, PROBLEM),
        ({"writable": False, "exists": False}, WARNING),
    ],
)
def test_a_folder_must_have_room_and_be_writable(fields: dict[str, Any], status: Status) -> None:
    seen = FolderSeen("data", "/data", exists=True, writable=True, free_bytes=50 * GIB, total_bytes=100 * GIB)
    assert judge_folder(replace(seen, **fields)).status is status


@pytest.mark.parametrize(
    ("seen", "check", "status"),
    [
        (CredentialsSeen("f", role="operator", name="operator", mode=0o600), "credentials.role", OK),
        (CredentialsSeen("f", role="node", name="attic", mode=0o600), "credentials.role", WARNING),
        (CredentialsSeen("f", mode=0o600), "credentials.role", WARNING),
        (CredentialsSeen("f", role="admin", name="admin", mode=0o640), "credentials.mode", WARNING),
        (CredentialsSeen("f", role="admin", name="admin", mode=0o600), "credentials.mode", OK),
        (CredentialsSeen("f", error="can't read it"), "credentials.file", PROBLEM),
        (CredentialsSeen(""), "credentials.file", WARNING),
    ],
)
def test_credentials_are_judged_by_who_they_are_and_who_reads_them(
    seen: CredentialsSeen, check: str, status: Status
) -> None:
    assert status_of(judge_credentials(seen), check) is status


def test_an_up_json_whose_processes_are_gone_is_stale() -> None:
    seen = ClusterSeen("nats://h", "up.json", "up.json", alive=("nats-server", "node-1"))
    assert status_of(judge_choice(seen), "cluster.processes") is OK
    one_gone = replace(seen, alive=("nats-server",), dead=("node-1 (pid 7)",))
    assert status_of(judge_choice(one_gone), "cluster.processes") is WARNING
    assert status_of(judge_choice(replace(seen, alive=(), dead=("all",))), "cluster.processes") is PROBLEM
    assert [found.status for found in judge_choice(SKIPPED)] == [WARNING]


def test_each_wrong_setting_is_told_with_what_was_probably_meant() -> None:
    wrong = SettingsSeen("downdraft.toml", (WrongValue("no a", "node.slots"), WrongValue("no b")))
    found = judge_settings(wrong)
    assert [one.status for one in found] == [PROBLEM, PROBLEM, OK]
    assert found[0].remedy == "did you mean node.slots?"
    unknown = judge_settings(SettingsSeen("", unknown_variables=(WrongValue("DOWNDRAFT_X", ""),)))
    assert [one.status for one in unknown] == [OK, WARNING]


def test_a_long_list_is_cut_short() -> None:
    assert listed(["a"]) == "a"
    assert listed(str(number) for number in range(7)) == "0, 1, 2, 3, 4 and 2 more"
