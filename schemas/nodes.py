"""What is decided about one node at run time: values of the bucket, followed by the leader and the node."""

from typing import Annotated

from msgspec import Meta, Struct
from msgspec.structs import replace

from schemas.options import SPEED_MAX
from schemas.origins import entry_for
from schemas.settings import NodeTag

REASON_CHARS_MAX = 200
TAGS_MAX = 256
"""They go into every heartbeat."""
SPEED_LIMIT_MIN = 1024
"""Bytes a second: below, a connection's first bytes alone would take a minute."""
NO_LIMIT = 0
"""As a limit that is asked for: none any more."""
ALONE_AFTER_S = 60.0
"""A node that has been without the broker for so long counts as lost: what it had of a limit goes to others."""

Slots = Annotated[int, Meta(ge=1, le=1024)]
SpeedLimit = Annotated[int, Meta(ge=SPEED_LIMIT_MIN, le=SPEED_MAX)]


class NodeWishes(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Under `nodes.<id>`. What is None is left to the node's own settings."""

    cordoned: bool = False
    """Takes nothing new; what it holds goes on."""
    paused: bool = False
    """Takes nothing new, and nothing runs; what it holds stays there, and goes on later from where it was."""
    draining: bool = False
    """Takes nothing new and gives back what it has not begun; what runs is finished, unless `now`."""
    now: bool = False
    """Draining gives back what runs, too."""
    reason: Annotated[str, Meta(max_length=REASON_CHARS_MAX)] = ""
    """Why, in the operator's words."""
    slots: Slots | None = None
    tags: Annotated[tuple[NodeTag, ...], Meta(max_length=TAGS_MAX)] | None = None
    download_limit: SpeedLimit | None = None
    """Bytes a second over all its downloads, beside its share of the cluster's; None: no limit of its own."""
    upload_limit: SpeedLimit | None = None
    """Bytes a second that its torrents may send; None: no limit."""

    @property
    def is_closed(self) -> bool:
        """It is to take nothing new."""
        return bool(self.closed)

    @property
    def closed(self) -> str:
        """Why it is to take nothing new, in one word; empty where it is to."""
        return "draining" if self.draining else "paused" if self.paused else "cordoned" if self.cordoned else ""


class NodeShare(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Under `shares.<id>`: what a node may download in a second, as its share of the cluster's limits."""

    bytes_per_s: int | None = None
    """Over all its downloads; None: no limit."""
    origins: dict[str, int] = {}
    """From each of these origins (`host:port`) together."""
    others: dict[str, int] = {}
    """From each other origin that falls under one of these entries of the policy; the most exact one counts, 0 for no
    limit."""
    alone_bytes_per_s: int | None = None
    """Over all its downloads once it has been without the broker for a minute: its share goes to others then."""
    lapsed: bool = False
    """It was written after the node had been silent for so long that it must know itself to be alone."""
    epoch: int = 0
    """The term of the leader that wrote it."""

    def of(self, origin: str) -> int | None:
        """What may come from an origin; None: no limit."""
        if (own := self.origins.get(origin)) is not None:
            return own
        entry = entry_for(origin, self.others)
        return None if entry is None else self.others[entry] or None

    def alone(self) -> "NodeShare":
        """What is kept to without the broker."""
        total = self.bytes_per_s if self.alone_bytes_per_s is None else self.alone_bytes_per_s
        return replace(self, bytes_per_s=total, origins={})
