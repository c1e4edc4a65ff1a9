"""What a node says of itself every two seconds, and of each running download about once a second."""

from msgspec import Struct

ALL = "*"
"""Stands for all downloads where else an origin is named."""
RUNNING_PHASES = frozenset({"active", "seeding", "verifying", "reporting"})
"""In which a task is at work: `active`, as people see it."""


class Held(Struct, frozen=True):
    """A task a node holds: what the coordinator compares with its table."""

    task: str
    attempt: int
    phase: str
    """A phase of the node's session: waiting, probing, active, seeding, paused, interrupted, verifying, reporting …"""


class Heartbeat(Struct, frozen=True, omit_defaults=True, kw_only=True):
    node: str
    instance: str
    """A nonce of this process: tells a restarted node from the one before."""
    beat: int
    """Counts up within an instance, so that an overtaken heartbeat is known as such."""
    version: str
    slots: int
    running: int
    waiting: int
    tags: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    bytes_per_s: int = 0
    cpu_percent: float = 0.0
    memory_bytes: int = 0
    """Resident memory of the node and its aria2 children."""
    disk_free_bytes: int = 0
    """As the file system tells: partial files count as used, whoever they belong to."""
    disk_promised_bytes: int = 0
    """What the tasks it holds will still take, as far as their sizes are known."""
    disk_low_bytes: int | None = None
    """Its low mark: never filled beyond by plan. 0 where an older version does not say."""
    disk_capacity_bytes: int = 0
    """What its downloads may take up in all: the file system, or as set; 0 where an older version does not say."""
    bandwidth: int = 0
    """Bytes a second it is said to have (`node.bandwidth`); 0: nobody said."""
    limit_bytes_per_s: int | None = None
    """What it keeps to now as its share of the cluster's bandwidth; None: no limit."""
    own_limit_bytes_per_s: int | None = None
    """What an operator lets it download in a second, beside its share; None: no limit."""
    upload_limit_bytes_per_s: int | None = None
    """What an operator lets it send in a second; None: no limit."""
    paused: bool = False
    """An operator paused it: nothing runs."""
    share: int = 0
    """The revision of the share (`shares.<id>`) that it keeps to; 0 for none."""
    origins: dict[str, int] = {}
    """Bytes a second from each origin of which it has a share."""
    is_alone: bool = False
    """It was without the broker for so long that it keeps to less, until its share is written anew."""
    held_back: tuple[str, ...] = ()
    """Which of its shares it uses up: those origins', and ALL for the one over all its downloads."""
    partial_bytes: int = 0
    """On the disk in partial files of tasks that it does not hold: kept a while in case they come back."""
    own_slots: int | None = None
    """Of its own settings, where others are set at run time: `slots` and `tags` are those that hold now."""
    own_tags: tuple[str, ...] | None = None
    trouble: str = ""
    """Why it takes no tasks, a sentence for people; empty where nothing is wrong."""
    held: tuple[Held, ...] = ()
    leaving: bool = False
    """The last one before a clean exit."""


class Progress(Struct, frozen=True, omit_defaults=True, kw_only=True):
    task: str
    attempt: int
    node: str
    bytes_done: int
    bytes_total: int
    """0 while unknown."""
    bytes_per_s: int
    connections: int = 0
    phase: str = "active"
