"""Judging the broker: reachable, new enough, roomy enough, its streams as declared and led. Pure."""

from broker.health import Account, Server, Stream
from broker.topology import ROW_BYTES_MAX
from coordinator.headroom import FULL_SHARE
from schemas import subjects as s
from schemas.sizes import format_size
from tools.doctor.facts import Cluster, DriftSeen, Known, Missing, StoreSeen, StreamSeen, Trouble
from tools.doctor.findings import Finding, listed, many, ok, problem, unchecked, warning
from tools.doctor.judge_machine import NATS_SERVER_MIN, version_of

HEADERS_BYTES = 4096
"""Room for the headers of a row's write."""
ROUND_TRIP_SLOW_S = 0.25
"""A task takes about ten of them."""
ROOM_LOW_SHARE = 0.6
ROOM_NONE_SHARE = 0.9
"""Of streams other than TASKS, which stop being written only when they are full."""
INBOX_SLOW_S = 30.0
INBOX_STUCK_S = 300.0
CLOCK_OFF_S = 2.0
CLOCK_WRONG_S = 30.0
"""Deadlines and not_before are set by this machine's clock, and kept by the broker's."""
TUNED = {"max_bytes", "max_age", "max_consumers", "storage", "num_replicas"}
"""What one may well set otherwise; the rules rest on the other fields."""
NOT_ALLOWED = (
    "use operator.creds or admin.creds; if they are: run `downdraft keys` of this version over the cluster's keys "
    "and restart the nats-server, which then lets operators look"
)


def judge_broker(cluster: Cluster) -> list[Finding]:
    if isinstance(cluster.server, Missing):
        if cluster.server.trouble is Trouble.REFUSED:
            return [problem("broker.reached", cluster.server.why, "name this cluster's own credentials with --creds")]
        remedy = "start it (`downdraft up`), or mend the address" if cluster.server.trouble is Trouble.FAILED else ""
        return [unchecked("broker.reached", cluster.server, remedy)]
    return [
        *_judge_server(cluster.server),
        judge_clock(cluster.clock_ahead_s),
        _judge_account(cluster.account),
        *_judge_store(cluster.store),
    ]


def _judge_server(server: Server) -> list[Finding]:
    wanted = ".".join(map(str, NATS_SERVER_MIN))
    trip = f"round trip {server.round_trip_s * 1000:.1f} ms"
    needs = ROW_BYTES_MAX + HEADERS_BYTES
    version = version_of(server.version)
    return [
        ok("broker.reached", trip)
        if server.round_trip_s < ROUND_TRIP_SLOW_S
        else warning("broker.reached", f"{trip}: every task takes about ten", "run Downdraft nearer to its broker"),
        ok("broker.version", f"nats-server {server.version}")
        if version is None or version >= NATS_SERVER_MIN
        else problem("broker.version", f"nats-server {server.version} is too old", f"install {wanted} or newer"),
        ok("broker.jetstream", "enabled")
        if server.has_jetstream
        else problem("broker.jetstream", "not enabled", "run nats-server with Downdraft's nats.conf"),
        ok("broker.payload", f"takes messages of {format_size(server.max_payload_bytes)}")
        if server.max_payload_bytes >= needs
        else problem(
            "broker.payload",
            f"takes messages of {format_size(server.max_payload_bytes)} at most, a row has up to {format_size(needs)}",
            "set `max_payload: 1MB` in nats.conf",
        ),
    ]


def judge_clock(ahead_s: Known[float]) -> Finding:
    check = "broker.clock"
    if isinstance(ahead_s, Missing):
        return unchecked(check, ahead_s)
    off = abs(ahead_s)
    said = f"this machine's clock is {off:.1f} s {'ahead of' if ahead_s > 0 else 'behind'} the broker's"
    remedy = "let both keep time (NTP): deadlines and not_before are off by as much"
    if off > CLOCK_WRONG_S:
        return problem(check, said, remedy)
    return warning(check, said, remedy) if off > CLOCK_OFF_S else ok(check, "this machine and the broker agree")


def _judge_account(account: Known[Account]) -> Finding:
    check = "broker.limits"
    if isinstance(account, Missing):
        return unchecked(check, account, NOT_ALLOWED if account.trouble is Trouble.REFUSED else "")
    shares = [
        used / limit
        for used, limit in ((account.on_disk, account.on_disk_max), (account.in_memory, account.in_memory_max))
        if limit > 0
    ]
    said = f"JetStream uses {format_size(account.on_disk)} on disk, {format_size(account.in_memory)} in memory"
    if not shares:
        return ok(check, f"{said}; the account has no limit")
    return _judge_share(check, max(shares), f"{said}, {max(shares):.0%} of the account's limit", "raise it")


def _judge_store(store: Known[StoreSeen]) -> list[Finding]:
    """Only a server of this machine tells: no finding where there is none."""
    if isinstance(store, Missing) or store.limit <= 0:
        return []
    share = store.used / store.limit
    said = f"the server uses {format_size(store.used)} of the {format_size(store.limit)} it allows itself"
    return [_judge_share("broker.store", share, said, "raise max_file_store in nats.conf, or add disk")]


def _judge_share(check: str, share: float, said: str, remedy: str, none: float = ROOM_NONE_SHARE) -> Finding:
    if share >= none:
        return problem(check, said, remedy)
    return warning(check, said, remedy) if share >= ROOM_LOW_SHARE else ok(check, said)


def judge_streams(cluster: Cluster) -> list[Finding]:
    """One finding for how full each stream is; one each for drift and leaders where all is well."""
    missing = [seen for seen in cluster.streams.values() if isinstance(seen, Missing)]
    if missing and len(missing) == len(cluster.streams):
        return [unchecked("streams.all", missing[0], NOT_ALLOWED if missing[0].trouble is Trouble.REFUSED else "")]
    found: list[Finding] = []
    for name, seen in cluster.streams.items():
        found += _judge_stream(name, seen)
    checks = {finding.check for finding in found}
    if "streams.drift" not in checks:
        found.append(ok("streams.drift", "configured as declared"))
    if "streams.leaders" not in checks:
        found.append(ok("streams.leaders", "each has its leader, and every follower is up to date"))
    return found


def _judge_stream(name: str, seen: Known[StreamSeen]) -> list[Finding]:
    check = f"streams.{name}"
    if isinstance(seen, Missing):
        return [unchecked(check, seen, "look into the log of nats-server: a stream without a leader does not answer")]
    if seen.stream is None:
        remedy = "restart a coordinator: it makes what is missing as it starts. What the stream held is lost"
        return [problem(check, "there is no such stream", remedy)]
    found = [_judge_room(check, seen.stream)]
    if name == s.REQUESTS_STREAM:
        found.append(_judge_inbox(seen.stream))
    found += [_judge_drift(name, drift) for drift in seen.drift]
    return found + _judge_leaders(seen.stream)


def _judge_room(check: str, stream: Stream) -> Finding:
    holds = f"{many(stream.messages, 'message')}, {format_size(stream.used_bytes)}"
    if stream.max_bytes <= 0:
        return ok(check, f"{holds}; no limit of bytes")
    share = stream.used_bytes / stream.max_bytes
    said = f"{holds}, {share:.0%} of {format_size(stream.max_bytes)}"
    larger = f"`nats stream edit {stream.name} --max-bytes …`, and the same in the setting"
    match stream.name:
        case s.TASKS_STREAM:
            stops = f"claiming stops at {FULL_SHARE:.0%}: let tasks end or `downdraft clear`; or {larger}"
            return _judge_share(check, share, said, f"{stops} broker.tasks_bytes_max", FULL_SHARE)
        case s.REQUESTS_STREAM:
            return _judge_share(
                check, share, said, f"a full inbox refuses producers: {larger} broker.requests_bytes_max"
            )
        case s.EVENTS_STREAM:
            return _judge_share(check, share, said, f"a full log stops every task: {larger} broker.events_bytes_max")
    return _judge_share(check, share, said, f"`nats stream edit {stream.name} --max-bytes …`")


def _judge_inbox(stream: Stream) -> Finding:
    check = "streams.inbox"
    if not stream.messages or stream.oldest_age_s < INBOX_SLOW_S:
        return ok(check, "requests are claimed as they come" if not stream.messages else f"{stream.messages} just came")
    said = f"{many(stream.messages, 'request')} unclaimed, the oldest for {stream.oldest_age_s:.0f} s"
    remedy = "a coordinator must lead, and TASKS have room: see the findings on both; its log says what it waits for"
    return (problem if stream.oldest_age_s >= INBOX_STUCK_S else warning)(check, said, remedy)


def _judge_drift(name: str, drift: DriftSeen) -> Finding:
    if drift.field in TUNED:
        remedy = "if that is meant, say so in the settings (broker.…) of coordinators and of doctor; else "
        return warning("streams.drift", drift.said, f"{remedy}`nats stream edit {name}`")
    remedy = f"put it back with `nats stream edit {name}`: tasks may be lost or done twice while it stands so"
    return problem("streams.drift", drift.said, remedy)


def _judge_leaders(stream: Stream) -> list[Finding]:
    check = "streams.leaders"
    if not stream.leader:
        remedy = "more than half of its servers must run: start those that are down"
        return [problem(check, f"{stream.name} has no leader: nothing can be written", remedy)]
    behind = [peer.name for peer in stream.followers if peer.offline or not peer.current]
    if behind:
        said = f"{stream.name}: {listed(behind)} {'is' if len(behind) == 1 else 'are'} away or behind"
        return [warning(check, said, "start that nats-server; until then one more failure stops the cluster")]
    wanted = int(stream.config.get("num_replicas", 1))
    if len(stream.followers) + 1 < wanted:
        said = f"{stream.name} has {len(stream.followers) + 1} of {wanted} replicas"
        return [warning(check, said, "start the servers that are missing")]
    return []
