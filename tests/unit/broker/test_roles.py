"""What the permission table must never allow, each property by its name."""

from itertools import chain

import pytest

from broker.roles import DEFAULT_PRODUCER, NAME, PERMISSIONS, Permissions, Role, inbox
from schemas import subjects as s
from schemas.event import KINDS

NOBODY_ELSE = "someone-else"
TASK = "00000000000000aa"
ROLES = list(PERMISSIONS)
SERVING = [Role.COORDINATOR, Role.ADMIN]
PUBLIC = [
    s.task("node-a", TASK),
    s.task("queued", TASK),
    "downloads.events.00000000000000aa.queued.c1",
    "downloads.events.00000000000000aa.finished.failed.c1",
    s.own_completion(TASK, "node-a"),
]
WRITTEN = [s.task_write("node-a", TASK), *(s.event_write(TASK, kind, "node-a") for kind in KINDS)]


def filled(patterns: tuple[str, ...], name: str = "node-a") -> list[list[str]]:
    """Patterns as the server fills them in for a user, split into tokens."""
    return [pattern.replace(NAME, name).split(".") for pattern in patterns]


def overlaps(one: list[str], other: list[str]) -> bool:
    """Whether any subject matches both patterns."""
    for mine, theirs in zip(one, other, strict=False):
        if ">" in (mine, theirs):
            return True
        if mine != theirs and "*" not in (mine, theirs):
            return False
    return len(one) == len(other)


def matches(pattern: str, subject: str) -> bool:
    """Whether a user may publish to exactly this subject, wildcards in it taken as letters."""
    [wanted], found = filled((pattern,)), subject.split(".")
    if wanted[-1] == ">":
        wanted, found = wanted[:-1], found[: len(wanted) - 1]
    return len(wanted) == len(found) and all(w in ("*", f) for w, f in zip(wanted, found, strict=True))


def may_publish(role: Role, subject: str) -> bool:
    return any(overlaps(pattern, subject.split(".")) for pattern in filled(PERMISSIONS[role].publish))


def may_hear(role: Role, subject: str) -> bool:
    return any(overlaps(pattern, subject.split(".")) for pattern in filled(PERMISSIONS[role].subscribe))


@pytest.mark.parametrize("subject", [*WRITTEN, "downloads.write.>"])
def test_nobody_but_admin_hears_what_is_written_before_it_is_stored(subject: str) -> None:
    assert [role for role in ROLES if may_hear(role, subject)] == [Role.ADMIN]


@pytest.mark.parametrize("subject", PUBLIC)
def test_nobody_but_the_coordinator_and_admin_publishes_public_names(subject: str) -> None:
    allowed = SERVING if subject.startswith("downloads.tasks.") else [Role.ADMIN]
    assert [role for role in ROLES if may_publish(role, subject)] == allowed


def test_nobody_but_the_coordinator_and_admin_writes_rows() -> None:
    assert [role for role in ROLES if may_publish(role, s.TASKS_WRITE_ALL)] == SERVING


def test_nobody_but_nodes_the_coordinator_the_gateway_and_admin_writes_events() -> None:
    writers = [role for role in ROLES if may_publish(role, s.EVENTS_WRITE_ALL)]
    assert set(writers) == {Role.NODE, Role.GATEWAY, *SERVING}


@pytest.mark.parametrize("kind", KINDS)
def test_a_gateway_only_takes_tasks_off_a_list(kind: str) -> None:
    assert may_publish(Role.GATEWAY, s.event_write(TASK, kind, "node-a")) == (kind == "dismissed")


@pytest.mark.parametrize("kind", KINDS)
def test_a_node_reports_facts_and_decides_nothing(kind: str) -> None:
    decided = {"queued", "assigned", "retrying", "prioritised", "dismissed"}
    decided |= {"finished.failed", "finished.cancelled", "finished.rejected"}
    assert may_publish(Role.NODE, s.event_write(TASK, kind, "node-a")) == (kind not in decided)


@pytest.mark.parametrize("kind", KINDS)
def test_a_node_writes_no_events_in_anothers_name(kind: str) -> None:
    assert not may_publish(Role.NODE, s.event_write(TASK, kind, "node-b"))


@pytest.mark.parametrize(
    "subject",
    [
        s.heartbeat("node-b"),
        s.progress(TASK, "node-b"),
        s.bucket_key(s.node_lock_key("node-b")),
        s.bucket_key(s.LEADER_KEY),
        s.control("admin", "cancel"),
        s.node_verb("node-a", "read"),
        s.node_verb("node-b", "read"),
        s.REQUESTS,
    ],
)
def test_a_node_speaks_for_no_other_node_and_neither_leads_nor_asks(subject: str) -> None:
    assert not may_publish(Role.NODE, subject)


@pytest.mark.parametrize("subject", [s.node_tasks("node-b"), s.TASKS_TREE, s.EVENTS_ALL, s.requests("ada")])
def test_a_node_sees_only_what_stands_with_it(subject: str) -> None:
    wanted = subject.split(".")
    for pattern in filled(PERMISSIONS[Role.NODE].subscribe):
        # Overlapping its own rows is fine; covering more than them is not.
        assert pattern == s.node_tasks("node-a").split(".") or not overlaps(pattern, wanted)
    assert not may_hear(Role.NODE, s.task("node-b", TASK))


@pytest.mark.parametrize("verb", ["DELETE", "UPDATE", "PURGE", "CREATE", "MSG.DELETE", "MSG.GET"])
@pytest.mark.parametrize("role", [Role.PRODUCER, Role.VIEWER, Role.NODE, Role.GATEWAY, Role.OPERATOR])
def test_only_the_coordinator_and_admin_touch_streams(role: Role, verb: str) -> None:
    assert not any(may_publish(role, f"$JS.API.STREAM.{verb}.{stream}") for stream in (s.TASKS_STREAM, s.EVENTS_STREAM))


@pytest.mark.parametrize("stream", [s.REQUESTS_STREAM, s.TASKS_STREAM, s.EVENTS_STREAM])
def test_an_operator_sees_how_full_a_stream_is_and_nothing_of_what_is_in_it(stream: str) -> None:
    assert may_publish(Role.OPERATOR, f"$JS.API.STREAM.INFO.{stream}")
    for verb in ("STREAM.MSG.GET", "DIRECT.GET"):
        assert not may_publish(Role.OPERATOR, f"$JS.API.{verb}.{stream}")
    assert not may_publish(Role.OPERATOR, f"$JS.API.DIRECT.GET.{s.TASKS_STREAM}.{s.task('node-a', TASK)}")
    assert not may_publish(Role.OPERATOR, f"$JS.API.DIRECT.GET.{s.REQUESTS_STREAM}.{s.REQUESTS}")


@pytest.mark.parametrize("verb", ["DELETE", "UPDATE", "PURGE"])
def test_even_the_coordinator_cannot_delete_change_or_empty_a_stream(verb: str) -> None:
    assert not may_publish(Role.COORDINATOR, f"$JS.API.STREAM.{verb}.{s.TASKS_STREAM}")


def test_the_coordinator_deletes_rows_and_nothing_else() -> None:
    deletes = "$JS.API.STREAM.MSG.DELETE."
    assert may_publish(Role.COORDINATOR, deletes + s.TASKS_STREAM)
    assert not any(may_publish(Role.COORDINATOR, deletes + name) for name in (s.REQUESTS_STREAM, s.EVENTS_STREAM))


def test_nobody_but_the_coordinator_and_admin_takes_the_lease() -> None:
    assert [role for role in ROLES if may_publish(role, s.bucket_key(s.LEADER_KEY))] == SERVING


def test_a_node_reads_the_table_only_through_a_consumer_of_its_own_rows() -> None:
    create = "$JS.API.CONSUMER.CREATE.TASKS"
    assert may_publish(Role.NODE, f"{create}.node-a.{s.node_tasks('node-a')}")
    assert not may_publish(Role.NODE, f"{create}.node-a")
    assert not may_publish(Role.NODE, f"{create}.node-a.{s.node_tasks('node-b')}")
    # A filter of all rows is one literal subject here: its `>` stands for itself.
    assert not any(matches(pattern, f"{create}.node-a.{s.TASKS_TREE}") for pattern in PERMISSIONS[Role.NODE].publish)
    assert not may_publish(Role.NODE, "$JS.API.CONSUMER.DURABLE.CREATE.TASKS.node-a")
    assert not may_publish(Role.NODE, f"$JS.API.DIRECT.GET.TASKS.{s.task('node-b', TASK)}")


def test_a_viewer_publishes_nothing() -> None:
    assert PERMISSIONS[Role.VIEWER].publish == ()


@pytest.mark.parametrize("subject", [s.REQUESTS, s.requests(NOBODY_ELSE), s.control(NOBODY_ELSE, "cancel")])
def test_a_producer_speaks_for_its_own_owner_only(subject: str) -> None:
    assert not may_publish(Role.PRODUCER, subject)


def test_only_the_default_owner_may_use_the_bare_subject() -> None:
    assert set(DEFAULT_PRODUCER.publish) - set(PERMISSIONS[Role.PRODUCER].publish) == {s.REQUESTS}


@pytest.mark.parametrize("role", [Role.PRODUCER, Role.NODE])
def test_owners_and_nodes_cannot_speak_as_admin(role: Role) -> None:
    assert not may_publish(role, s.control("admin", "clear"))


def test_secrets_in_rows_are_heard_by_their_node_and_admin_only() -> None:
    assert [role for role in ROLES if may_hear(role, s.task("node-a", TASK))] == [Role.NODE, Role.ADMIN]
    assert [role for role in ROLES if may_hear(role, s.requests("ada"))] == [Role.ADMIN]


@pytest.mark.parametrize("role", [role for role in ROLES if role is not Role.ADMIN])
def test_nobody_hears_anothers_replies(role: Role) -> None:
    others = [f"{inbox(other, NOBODY_ELSE)}.x" for other in ROLES]
    assert not any(may_hear(role, reply) for reply in others)


@pytest.mark.parametrize("role", [Role.PRODUCER, Role.NODE, Role.COORDINATOR, Role.GATEWAY, Role.OPERATOR])
def test_whoever_asks_can_hear_the_answer(role: Role) -> None:
    assert may_hear(role, f"{inbox(role, 'node-a')}.x")


def test_only_a_service_may_answer_whatever_reply_subject_it_is_given() -> None:
    assert [role for role, allowed in PERMISSIONS.items() if allowed.answers] == [Role.NODE, Role.COORDINATOR]


@pytest.mark.parametrize("verb", ["read", "delete"])
def test_files_are_asked_for_by_operator_gateway_and_admin_only(verb: str) -> None:
    asked = s.node_verb("node-a", verb)
    assert [role for role in ROLES if may_publish(role, asked)] == [Role.GATEWAY, Role.OPERATOR, Role.ADMIN]


def test_only_the_node_itself_and_admin_hear_who_asks_for_its_files() -> None:
    assert [role for role in ROLES if may_hear(role, s.node_verb("node-a", "read"))] == [Role.NODE, Role.ADMIN]
    assert not may_hear(Role.NODE, s.node_verb("node-b", "read"))


@pytest.mark.parametrize("role", [role for role in ROLES if role is not Role.ADMIN])
def test_no_permission_but_admins_covers_a_whole_tree(role: Role) -> None:
    allowed: Permissions = PERMISSIONS[role]
    for pattern in chain(allowed.publish, allowed.subscribe):
        assert pattern.split(".")[0] not in {">", "*"}
        assert pattern not in {"$JS.>", "$JS.API.>", "$KV.>", "downloads.>", "downloads.*"}
