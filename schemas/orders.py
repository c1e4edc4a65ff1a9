"""Orders about nodes: what an operator asks of the leading coordinator, and what became of it."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from schemas.errors import RequestInvalid
from schemas.nodes import NO_LIMIT, REASON_CHARS_MAX, SPEED_LIMIT_MIN, Slots
from schemas.options import SPEED_MAX
from schemas.settings import NodeId, NodeTag

NODES_MAX = 500
"""Nodes of one ask: each is a write to the bucket."""
Limit = Annotated[int, Meta(ge=NO_LIMIT, le=SPEED_MAX)]


class NodeOrder(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """cordon, uncordon and drain: nothing new goes to a node; what it holds goes on, or is given back (drain)."""

    nodes: Annotated[tuple[NodeId, ...], Meta(max_length=NODES_MAX)] = ()
    with_tag: NodeTag | None = None
    """All nodes that were heard and have this tag, beside those named."""
    reason: Annotated[str, Meta(max_length=REASON_CHARS_MAX)] = ""
    """Why, for people: of cordon and drain."""
    now: bool = False
    """drain: what runs is given back too, and goes on elsewhere."""
    force: bool = False
    """Nodes that were never heard are meant all the same: they are to come yet."""
    deadline: datetime | None = None
    """Not carried out after this moment."""


class NodeChange(NodeOrder, frozen=True, omit_defaults=True, kw_only=True):
    """configure: slots, tags, limits and pauses at run time. What is left out stays as it is."""

    slots: Slots | None = None
    own_slots: bool = False
    """Back to the node's own setting."""
    add_tags: tuple[NodeTag, ...] = ()
    remove_tags: tuple[NodeTag, ...] = ()
    own_tags: bool = False
    """Back to the node's own setting, before any is added or removed."""
    download_limit: Limit | None = None
    """Bytes a second over all its downloads; 0: no limit any more."""
    upload_limit: Limit | None = None
    """Bytes a second that its torrents may send; 0: no limit any more."""
    paused: bool | None = None
    """Stop what runs and let it go on later, there; or go on."""

    @property
    def is_empty(self) -> bool:
        """Nothing is to be set."""
        return self == NodeChange(**{field: getattr(self, field) for field in NodeOrder.__struct_fields__})

    def check(self) -> None:
        """Fields that each may stand and together can't be meant. Raises RequestInvalid."""
        if self.slots is not None and self.own_slots:
            raise RequestInvalid("own_slots", "can't go with slots: say one of the two")
        if both := set(self.add_tags) & set(self.remove_tags):
            raise RequestInvalid("remove_tags", f"can't be added as well: {', '.join(sorted(both))}")
        for field in ("download_limit", "upload_limit"):
            if NO_LIMIT < (getattr(self, field) or NO_LIMIT) < SPEED_LIMIT_MIN:
                raise RequestInvalid(field, f"is at least {SPEED_LIMIT_MIN} bytes a second, or {NO_LIMIT} for none")


class Ordered(Struct, frozen=True):
    """What became of the order for one node."""

    node: str
    ok: bool
    said: str
    """A sentence for people."""
    again: bool = False
    """As in `Steered`."""
    is_unknown: bool = False
    """No such node was heard, and nothing is decided about one."""


class OrderReply(Struct, frozen=True):
    results: tuple[Ordered, ...]
