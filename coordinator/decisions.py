"""What operators decided about the nodes at run time: the bucket's `nodes.<id>`, as a leader knows it."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import msgspec
import structlog

from broker.standing import Changes, Found
from schemas import codec
from schemas import subjects as s
from schemas.nodes import NodeWishes

log = structlog.get_logger()

NOTHING = NodeWishes()
ALL_NODES = s.node_settings_key("*")
_PREFIX = s.node_settings_key("")


class Decisions:
    """The wishes about each node; of most there are none."""

    def __init__(self, tell: Callable[[str, NodeWishes | None], None]) -> None:
        """`tell` is called with each change: a node, and what is wished of it now."""
        self._wishes: dict[str, NodeWishes] = {}
        self._tell = tell

    def __repr__(self) -> str:
        return f"<Decisions about {len(self._wishes)} nodes>"

    def of(self, node: str) -> NodeWishes:
        return self._wishes.get(node, NOTHING)

    def __contains__(self, node: str) -> bool:
        return node in self._wishes

    def all(self) -> Mapping[str, NodeWishes]:
        """By node; those about which nothing is decided are left out."""
        return MappingProxyType(self._wishes)

    def take(self, changes: Changes) -> None:
        """Values of the bucket that have changed."""
        for key, found in changes.items():
            node = key.removeprefix(_PREFIX)
            wishes = wishes_of(node, found)
            if wishes == self.of(node):
                continue
            if wishes == NOTHING:
                del self._wishes[node]
            else:
                self._wishes[node] = wishes
            log.info("decided about a node", node=node, wishes=codec.encode(wishes).decode())
            self._tell(node, self._wishes.get(node))


def wishes_of(node: str, found: Found | None) -> NodeWishes:
    """What a value says; one that can't be read says nothing, and is logged."""
    if found is None:
        return NOTHING
    try:
        return codec.decode(found.body, NodeWishes)
    except msgspec.MsgspecError as error:
        log.warning("what is decided about a node can't be read", node=node, problem=str(error))
        return NOTHING
