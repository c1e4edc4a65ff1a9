"""Judging the coordinator, the nodes, and what waits in the queue. Pure."""

from collections import Counter
from urllib.parse import urlsplit

from broker.lease import Holder
from coordinator.filters import DISK_LOW_BYTES
from schemas.control import NodeView, PolicyReply, StatsReply, TaskView
from schemas.heartbeat import Heartbeat
from schemas.lifecycle import Desired
from schemas.oddity import FALSE, LATE, UNREADABLE, WORDS
from schemas.settings import NodeSettings
from schemas.sizes import format_size
from tools.doctor.facts import Cluster, Known, Missing, QueueSeen, StatsSeen, Trouble
from tools.doctor.findings import Finding, listed, many, ok, problem, unchecked, warning
from tools.looking import PARTIALS_TOLD_FROM_BYTES, age

ANSWER_SLOW_S = 2.0
DISK_HIGH_BYTES = NodeSettings().disk_high
"""A heartbeat tells what is free, not of how much: a node that closed would not open with less."""
LATE_MIN = 20
LATE_SHARE = 0.05
"""Late reports, against the tasks that ended: each lost node and each change of leader leaves some."""
UNREADABLE_REMEDY = "its log names the subjects; do nodes or producers of another version write them?"


def judge_fleet(cluster: Cluster, version: str) -> list[Finding]:
    """`version` is that of this command."""
    found = [judge_leader(cluster.stats, cluster.lease)]
    if not isinstance(cluster.stats, Missing):
        reply = cluster.stats.reply
        found += [judge_reports(cluster.stats), judge_stores(reply), judge_policy(cluster.policy), judge_origins(reply)]
    if isinstance(cluster.nodes, Missing):
        return [*found, _not_asked("nodes.online", cluster.nodes), _not_asked("queue.placeable", cluster.queue)]
    found += judge_nodes(cluster.nodes, version)
    return [*found, judge_queue(cluster.queue, cluster.nodes)]


def _not_asked(check: str, missing: Known[object]) -> Finding:
    """What only the leader could tell is no problem of its own."""
    why = missing.why if isinstance(missing, Missing) else "it is not known which nodes there are"
    return unchecked(check, Missing(Trouble.SKIPPED, why))


def judge_leader(stats: Known[StatsSeen], lease: Known[Holder | None]) -> Finding:
    check = "leader.answers"
    if not isinstance(stats, Missing):
        leader = f"{stats.reply.leader} leads (term {stats.reply.epoch}), answered in {stats.took_s * 1000:.0f} ms"
        if stats.took_s > ANSWER_SLOW_S:
            return warning(check, leader, "its machine, or the broker's disk, is overloaded: look at both")
        return ok(check, leader)
    if stats.trouble is not Trouble.FAILED:
        return unchecked(check, stats, "operator.creds may ask it" if stats.trouble is Trouble.REFUSED else "")
    if isinstance(lease, Missing):
        return problem(check, stats.why, "start one with `downdraft coordinator`, or look into its log")
    if lease is None or lease.released:
        said = "no coordinator leads: downloads go on, but nothing is claimed or placed"
        return problem(check, said, "start one with `downdraft coordinator`, or look into the log of the one that ran")
    where = f"{lease.name} on {lease.host} (pid {lease.pid})"
    remedy = "it may be taking over: ask again in some seconds; if this stays, look into its log and restart it"
    return problem(check, f"{where} holds the lease but does not answer", remedy)


def judge_reports(stats: StatsSeen) -> Finding:
    """By kind: what no sound node sends is a warning at once, what every lost node leaves behind only in numbers."""
    check = "leader.reports"
    reply = stats.reply
    if not reply.oddities:
        if unread := reply.undecodable:  # a coordinator of an older version does not tell the kinds
            return warning(check, f"{many(unread, 'message')} could not be read", UNREADABLE_REMEDY)
        return ok(check, "every report could be read, and counted")
    said = "; ".join(f"{reply.oddities[kind]} {words}" for kind, words in WORDS.items() if reply.oddities.get(kind))
    if any(reply.oddities.get(kind) for kind in UNREADABLE):
        return warning(check, said, UNREADABLE_REMEDY)
    if any(reply.oddities.get(kind) for kind in FALSE):
        remedy = "no sound node says such things: its log names the node; check its version and who has its credentials"
        return warning(check, said, remedy)
    late = sum(reply.oddities.get(kind, 0) for kind in LATE)
    ended = sum(reply.outcomes.values())
    if late >= LATE_MIN and late > LATE_SHARE * ended:
        return warning(check, said, "nodes report late: look into their logs, and at their connection to the broker")
    return ok(check, said)


def judge_policy(policy: Known[PolicyReply]) -> Finding:
    """Whether the leader follows all that operators asked for."""
    check = "leader.policy"
    if isinstance(policy, Missing):
        return unchecked(check, policy)
    if policy.is_unreadable:
        remedy = "bring the coordinators to the version that wrote it, or replace it: downdraft policy set --file"
        return problem(check, policy.problem, remedy)
    if policy.problem:
        remedy = "install what is missing where coordinators run, or choose another: downdraft policy set strategy=…"
        return problem(check, policy.problem, remedy)
    return ok(check, f"revision {policy.revision} is followed" if policy.revision else "none is set: defaults hold")


def judge_stores(reply: StatsReply) -> Finding:
    """Whether the broker refuses the leader's writes; how full each stream is, is judged by its own figures."""
    check = "leader.stores"
    refusing = [store.stream for store in reply.stores if store.is_refusing]
    if not refusing:
        return ok(check, "the broker takes what it writes")
    remedy = (
        "make room: raise the limit of the stream that is full (see its finding), or the server's max_file_store, or "
        "free its disk. Nothing accepted is lost, and nobody need restart anything"
    )
    return problem(check, f"{listed(refusing)} full: the broker refuses the leader's writes", remedy)


def judge_origins(reply: StatsReply) -> Finding:
    """Origins that nothing is begun from because they asked for time."""
    check = "origins.cooling"
    if not reply.cooling:
        return ok(check, "no origin asks to be left alone")
    longest = sorted(reply.cooling.items(), key=lambda one: (-one[1], one[0]))
    said = listed([f"{origin} for {age(left_s)} more" for origin, left_s in longest])
    remedy = (
        "nothing, they are asked again by themselves; if it happens often, allow fewer downloads from them at once "
        "(`origins` in the policy)"
    )
    return warning(check, f"asked to be left alone: {said}", remedy)


def judge_nodes(nodes: tuple[NodeView, ...], version: str) -> list[Finding]:
    online = [view for view in nodes if view.online]
    offline = [view.node for view in nodes if not view.online]
    start = "start it, or look into its log; its tasks go elsewhere meanwhile"
    if not nodes:
        return [problem("nodes.online", "no node has been heard", "start one with `downdraft node`")]
    if not online:
        return [problem("nodes.online", f"none: {listed(offline)} offline", start)]
    return [
        warning("nodes.online", f"{listed(offline)} offline, {len(online)} online", start)
        if offline
        else ok("nodes.online", f"{len(online)} online"),
        _judge_closed(online),
        _judge_disks(online),
        _judge_versions(online, version),
    ]


def _judge_closed(online: list[NodeView]) -> Finding:
    """Nodes that take no tasks because somebody decided so, or because they failed what others finish."""
    check = "nodes.open"
    closed = [_closed(view) for view in online if view.wishes.is_closed]
    aside = [f"{view.node}: {view.set_aside}" for view in online if view.set_aside and not view.wishes.is_closed]
    said = [f"cordoned or drained: {listed(closed)}"] if closed else []
    if len(closed) == len(online):
        return problem(check, f"no node takes tasks; {said[0]}", "let them take tasks again: `downdraft uncordon NODE`")
    if not aside:
        return ok(check, "; ".join(said) or "none is cordoned, drained or set aside")
    remedy = (
        "look at that machine's line and disk, and into its log. It is tried again by itself, with one task; "
        "at once after `downdraft uncordon NODE`"
    )
    return warning(check, "; ".join([f"set aside: {listed(aside)}", *said]), remedy)


def _closed(view: NodeView) -> str:
    return f"{view.node} ({view.wishes.reason})" if view.wishes.reason else view.node


def _judge_disks(online: list[NodeView]) -> Finding:
    check = "nodes.disk"
    beats = [view.heartbeat for view in online]
    troubled = [f"{beat.node}: {beat.trouble}" for beat in beats if beat.trouble]
    full = [_free(beat) for beat in beats if beat.disk_free_bytes < _low_mark(beat)]
    low = [_free(beat) for beat in beats if beat.disk_free_bytes < max(_low_mark(beat), _high_mark(beat))]
    remedy = "delete or move finished files there (`downdraft rm --files`), or add disk"
    partials = sum(beat.partial_bytes for beat in beats)
    is_much = partials >= PARTIALS_TOLD_FROM_BYTES
    kept = f"; {format_size(partials)} in partial files without a task" if is_much else ""
    if troubled:
        otherwise = "where it can't be written, mend it; where aria2c does not start, look into that node's log"
        return problem(check, f"given no tasks: {listed(troubled)}{kept}", f"{remedy}; {otherwise}")
    if full:
        return problem(check, f"full, and given no more tasks: {listed(full)}{kept}", remedy)
    if low:
        return warning(check, f"nearly full: {listed(low)}{kept}", remedy)
    return ok(check, f"at least {format_size(min(beat.disk_free_bytes for beat in beats))} free on each{kept}")


def _low_mark(beat: Heartbeat) -> int:
    return DISK_LOW_BYTES if beat.disk_low_bytes is None else beat.disk_low_bytes


def _high_mark(beat: Heartbeat) -> int:
    """Of a small disk, or a small part of one, much less is plenty."""
    return min(DISK_HIGH_BYTES, beat.disk_capacity_bytes // 10 or DISK_HIGH_BYTES)


def _free(beat: Heartbeat) -> str:
    return f"{beat.node} ({format_size(beat.disk_free_bytes)})"


def _judge_versions(online: list[NodeView], version: str) -> Finding:
    check = "nodes.version"
    others = [f"{view.node} ({view.heartbeat.version})" for view in online if view.heartbeat.version != version]
    if others:
        said = f"of another version than this command ({version}): {listed(others)}"
        return warning(check, said, "they understand each other, but bring them to one version")
    return ok(check, f"{version} everywhere")


def judge_queue(queue: Known[QueueSeen], nodes: tuple[NodeView, ...]) -> Finding:
    """Whether each queued task asks only for what some online node has."""
    check = "queue.placeable"
    if isinstance(queue, Missing):
        return _not_asked(check, queue)
    taking = [view for view in nodes if view.online and not view.wishes.is_closed]
    online = [(set(_tags(view)), set(view.heartbeat.capabilities)) for view in taking]
    if not online:
        return _not_asked(check, Missing(Trouble.SKIPPED, "no node that is online takes tasks"))
    due = [task for task in queue.queued if task.desired is Desired.RUN and not task.due_in_s]
    asked = Counter(_wants(task) for task in due)
    hopeless = {
        wants: count
        for wants, count in asked.items()
        if not any(set(wants[0]) <= tags and wants[1] in can for tags, can in online)
    }
    looked = f"the first {len(queue.queued)}" if queue.more else f"{len(queue.queued)}"
    if not hopeless:
        return ok(check, f"{looked} queued tasks: some node can run each" if queue.queued else "nothing is queued")
    said = f"{sum(hopeless.values())} of {looked} queued tasks ask for what no node that takes tasks has"
    lacking = listed(f"{_named(wants)} ({count})" for wants, count in hopeless.items())
    return warning(check, f"{said}: {lacking}", "start a node that has it (--tag), or cancel them")


def _tags(view: NodeView) -> tuple[str, ...]:
    return view.heartbeat.tags if view.wishes.tags is None else view.wishes.tags


def _wants(task: TaskView) -> tuple[tuple[str, ...], str]:
    """A task's tags and the protocol it needs, as placing sees them."""
    scheme = urlsplit(task.uris[0]).scheme.lower() if task.uris else "http"
    return tuple(sorted(task.tags)), "http" if scheme == "https" else scheme


def _named(wants: tuple[tuple[str, ...], str]) -> str:
    tags, capability = wants
    asked = [f"tag {' and '.join(tags)}"] if tags else []
    return " with ".join([*asked, *([capability] if capability != "http" or not tags else [])])
