"""What holds of a node now: its own settings, and over them what an operator decided at run time."""

from collections.abc import Callable

import anyio
import msgspec
import structlog
from msgspec import Struct, to_builtins

from broker.standing import Changes, Found
from schemas import codec
from schemas.nodes import NodeWishes
from schemas.settings import NodeSettings

log = structlog.get_logger()

NOTHING = NodeWishes()


class InForce(Struct, frozen=True, kw_only=True):
    """What a node goes by."""

    slots: int
    tags: tuple[str, ...]
    begins: bool
    """Whether it begins what it holds and has not begun: not while it is drained, for that is being taken back."""
    paused: bool = False
    """Nothing runs, and all that it holds stays."""
    download_limit: int | None = None
    """Bytes a second over all; None: no limit."""
    upload_limit: int | None = None


def in_force(settings: NodeSettings, wishes: NodeWishes) -> InForce:
    return InForce(
        slots=settings.slots if wishes.slots is None else wishes.slots,
        tags=settings.tags if wishes.tags is None else wishes.tags,
        begins=not wishes.draining,
        paused=wishes.paused,
        download_limit=wishes.download_limit,
        upload_limit=wishes.upload_limit,
    )


def read(found: Found | None) -> NodeWishes:
    """What the value of `nodes.<id>` says; one that can't be read says nothing, and is logged."""
    if found is None:
        return NOTHING
    try:
        return codec.decode(found.body, NodeWishes)
    except msgspec.MsgspecError as error:
        log.warning("what is decided about this node can't be read, its own settings hold", problem=str(error))
        return NOTHING


class Orders:
    """Keeps what is in force in step with the value of `nodes.<id>`."""

    def __init__(self, settings: NodeSettings, tell: Callable[[InForce], None]) -> None:
        """`tell` is called with each change of what is in force."""
        self.own = settings
        self.now = in_force(settings, NOTHING)
        self._tell = tell
        self.known = anyio.Event()
        """Set once it is known what stands, if anything."""

    def __repr__(self) -> str:
        return f"<Orders of {self.own.id}: {self.now}>"

    def take(self, changes: Changes) -> None:
        """The value has changed; there is one key."""
        for found in changes.values():
            wishes = read(found)
            before, self.now = self.now, in_force(self.own, wishes)
            if self.now != before:
                log.info("an operator decided otherwise", **to_builtins(self.now), reason=wishes.reason)
                self._tell(self.now)
        self.known.set()
