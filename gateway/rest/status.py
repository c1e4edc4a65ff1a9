"""`GET /status`: the cluster at a glance, also while no coordinator leads."""

from collections import Counter

import anyio
from litestar import get
from msgspec import Struct

from broker.cluster import Refused
from gateway.access import ALONE
from gateway.readmodel.live import Speed
from gateway.rest.asking import Asked, client_of, gateway_of
from schemas import __version__
from schemas.apikey import Scope
from schemas.control import StatsReply, Steer, StoreUse


class NodesStatus(Struct, frozen=True, kw_only=True):
    """The nodes together."""

    heard: int = 0
    online: int = 0
    slots: int = 0
    """Downloads that the online ones can run at once."""
    running: int = 0
    versions: dict[str, int] = {}
    """How many run each version."""


class Status(Struct, frozen=True, kw_only=True):
    """The cluster at a glance."""

    version: str
    """Of this gateway."""
    broker_away: bool = False
    """The broker can't be reached: all that is told here is what this gateway still knows from before."""
    leader: str = ""
    """The coordinator that leads; empty where none answers. What it alone knows is null then."""
    term: int | None = None
    """Higher with each change of leader."""
    tasks: dict[str, int]
    """Tasks that the caller may see, by state; `paused` ones are counted in their state, too."""
    bytes_per_s: int = 0
    """What all nodes download now, whoever asked for it. This and all that follows is the whole cluster's."""
    speeds: tuple[Speed, ...] = ()
    """… and what they did in the last ten minutes, one figure every ten seconds, the oldest first."""
    nodes: NodesStatus
    inbox: int | None = None
    """Requests that are stored but not yet claimed."""
    oldest_queued_s: float | None = None
    """How long ago the oldest queued task was submitted."""
    recent_s: int | None = None
    """The length of the window that `recent` counts, up to now."""
    recent: dict[str, int] | None = None
    """Outcomes in that window."""
    stores: tuple[StoreUse, ...] = ()
    """How full the streams are."""
    cooling: dict[str, float] = {}
    """Origins that asked to be left alone, and for how many seconds more nothing is begun from them."""


@get("/status", opt={"scope": Scope.READ, ALONE: True}, tags=["status"])
async def show_status(request: Asked) -> Status:
    """Counts, speed, nodes and versions, and who leads."""
    model, owners = gateway_of(request).model, request.user.owners
    tasks = {str(standing): count for standing, count in (await model.standings(owners)).items()}
    is_connected = gateway_of(request).client.connection.is_connected
    beats = [beat for beat in model.live.heard(anyio.current_time()) if not beat.leaving]
    status = Status(
        version=__version__,
        broker_away=not is_connected,
        tasks=tasks,
        bytes_per_s=sum(beat.bytes_per_s for beat in beats),
        speeds=model.speeds,
        nodes=NodesStatus(
            heard=len(model.heartbeats),
            online=len(beats),
            slots=sum(beat.slots for beat in beats),
            running=sum(beat.running for beat in beats),
            versions=dict(Counter(beat.version for beat in beats)),
        ),
    )
    if not is_connected:
        return status
    try:
        stats = await client_of(request).ask("stats", Steer(), StatsReply)
    except Refused:
        return status
    return with_leader(status, stats)


def with_leader(status: Status, stats: StatsReply) -> Status:
    """With what the leader knows: it tells silent nodes from those that are online. Pure."""
    told = {field: getattr(status, field) for field in Status.__struct_fields__}
    nodes = NodesStatus(
        heard=stats.nodes,
        online=stats.nodes_online,
        slots=stats.slots,
        running=stats.running,
        versions=status.nodes.versions,
    )
    return Status(
        **told
        | {
            "leader": stats.leader,
            "term": stats.epoch,
            "bytes_per_s": stats.bytes_per_s,
            "nodes": nodes,
            "inbox": stats.inbox,
            "oldest_queued_s": stats.oldest_queued_s,
            "recent_s": stats.recent_s,
            "recent": stats.recent,
            "stores": stats.stores,
            "cooling": stats.cooling,
        }
    )


ROUTES = [show_status]
