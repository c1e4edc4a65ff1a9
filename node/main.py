"""The node process: lock, lanes, assignments, heartbeats, and a clean way out."""

from functools import partial
from pathlib import Path
from uuid import uuid4

import anyio
import structlog
from anyio import CapacityLimiter
from anyio.abc import TaskGroup

from broker import keys, payloads
from broker.binaries import find_aria2c
from broker.connection import Connection, connect
from broker.pulse import keep_pulse
from node.addresses import reach_of
from node.agent import Agent
from node.allotment import Allotment
from node.assignments import Assignments
from node.clearing import keep_room, sweep
from node.closing import Closer
from node.contact import Contact
from node.daemon import Daemon, Lane, torrent_options
from node.disk import Disk
from node.files import Store
from node.finished import Finished
from node.governor import Governor
from node.hands import Hands
from node.heart import Heart
from node.lane import LaneDriver
from node.lock import NodeLock, own_downloads, own_state_folder
from node.moving import Modes
from node.orders import InForce, Orders
from node.probe import new_session
from node.reader import Reader
from node.reporter import Reporter
from node.room import Marks
from node.serving import FileService
from node.sharekeeper import ShareKeeper
from node.upstream import Upstream, upstream_of
from node.workshop import Workshop
from schemas import subjects as s
from schemas.settings import Settings

log = structlog.get_logger()

LEAVE_WITHIN_S = 6.0
"""For stopping transfers and reporting them released; with aria2's own exit a clean end takes below 10 s."""
PROGRESS_EVERY_S = 1.0
COUNTED_WITHIN_S = 60.0
"""For counting a full download folder; one that takes longer has no room until it is counted."""
ORDERS_WITHIN_S = 5.0
"""A broker that does not answer keeps no node from its work: its own settings hold until it does."""
RPC_THREADS = 4
DISK_THREADS = 4
FINISHERS = 3
"""What one of them syncs the disk writes with what the others do; a thread is left for other work."""


async def run_node(settings: Settings, stop: anyio.Event, pulse: Path | None = None) -> None:
    """Run until `stop` is set, then give everything back. Raises NodeIdTaken, DownloadsTaken and their like.

    `pulse` is touched while the cluster hears of it and its aria2c work.
    """
    node = settings.node.id
    instance = uuid4().hex[:12]
    with own_state_folder(Path(settings.node.state), node, instance) as predecessors:
        async with anyio.create_task_group() as tasks:
            # Until there is something to give back, being told to stop just ends it.
            waiting = anyio.CancelScope()
            tasks.start_soon(_cancel_when, stop, waiting, tasks.cancel_scope)
            async with connect(settings.nats.url, settings.nats.creds, name=f"node {node}") as connection:
                lock = NodeLock(connection, node, instance, lost_after_s=settings.coordinator.node_lost_after_s)
                await lock.acquire(predecessors)
                waiting.cancel()
                try:
                    store = Store(
                        Path(settings.node.downloads), Modes.of(settings.node.file_mode, settings.node.folder_mode)
                    )
                    with own_downloads(store.downloads):
                        await _work(connection, settings, store, instance, lock, stop, pulse)
                finally:
                    with anyio.CancelScope(shield=True), anyio.move_on_after(1):
                        await lock.release()
    log.info("node left")


async def _cancel_when(stop: anyio.Event, unless: anyio.CancelScope, scope: anyio.CancelScope) -> None:
    """Cancel `scope` when told to stop, unless `unless` was cancelled before."""
    with unless:
        await stop.wait()
        scope.cancel()


async def _work(
    connection: Connection,
    settings: Settings,
    store: Store,
    instance: str,
    lock: NodeLock,
    stop: anyio.Event,
    pulse: Path | None,
) -> None:
    node = settings.node
    allotment = Allotment(store.downloads, node.disk) if node.disk else None
    if allotment is not None:
        with anyio.move_on_after(COUNTED_WITHIN_S):
            await allotment.count()
    upstream = upstream_of(node.upstream_proxy, node.no_proxy)
    disk = Disk(store.downloads, Path(node.state), Marks.of(node), allotment)
    await disk.look()
    assignments = Assignments(node.id, node.options)
    async with new_session() as http, anyio.create_task_group() as tasks:
        hands = Hands(DISK_THREADS)
        hands.start(tasks)
        workshop = Workshop(
            store,
            http,
            reach_of(node.allow_nets, upstream),
            hands,
            fetch_object=partial(payloads.get, connection),
            has_dht=bool(node.dht),
            keep_time=node.keep_time,
            sha256=node.sha256,
        )
        reporter = Reporter(connection, node.id)
        closer = Closer(node.id, reporter=reporter, assignments=assignments, workshop=workshop, disk=disk)
        agent = Agent(
            node.id,
            node.slots,
            reporter=reporter,
            closer=closer,
            workshop=workshop,
            disk=disk,
            tasks=tasks,
        )
        governor = Governor(is_ready=False)
        _start_lanes(settings, agent, tasks, governor, upstream)
        heart = Heart(connection, settings, instance, agent, disk, governor)
        await follow_orders(connection, settings, agent, heart, governor, tasks)
        reader = Reader(connection, node.id, assignments, agent, has_ended=reporter.has_ended)
        disk.tell = heart.beat
        tasks.start_soon(heart.run)
        tasks.start_soon(lock.keep)
        tasks.start_soon(keep_pulse, pulse, lambda: _gets_on(lock, agent))
        tasks.start_soon(reader.run)
        tasks.start_soon(Contact(lock, reader, agent).watch)
        tasks.start_soon(ShareKeeper(connection, node.id, governor).run)
        finishers = [agent.carrier.finish_small] * FINISHERS
        for work in (reporter.speak, *finishers, agent.carrier.report_completed):
            tasks.start_soon(work)
        tasks.start_soon(
            FileService(connection, node.id, Finished(store.downloads), lambda size: disk.placed(-size)).run
        )
        if allotment is not None:
            tasks.start_soon(allotment.keep_counted)
        tasks.start_soon(_publish_progress, agent)
        tasks.start_soon(keep_room, disk, agent, heart)
        tasks.start_soon(sweep, disk, agent, heart, workshop, reader, reporter)
        log.info("node ready", slots=agent.slots, tags=list(heart.tags), downloads=str(store.downloads))
        await stop.wait()
        log.info("leaving", held=len(agent.tasks()))
        heart.leaving = True
        await heart.beat()
        with anyio.move_on_after(LEAVE_WITHIN_S) as leaving:
            await agent.leave()
        if leaving.cancelled_caught:
            log.warning("left before everything was given back; the coordinator will notice", held=len(agent.tasks()))
        await heart.beat()
        tasks.cancel_scope.cancel()


def _gets_on(lock: NodeLock, agent: Agent) -> bool:
    """Whether the cluster knows of it, and each aria2c that it wants runs."""
    return lock.sure_until > anyio.current_time() and not any(lane.trouble for lane in agent.lanes.values())


async def follow_orders(
    connection: Connection, settings: Settings, agent: Agent, heart: Heart, governor: Governor, tasks: TaskGroup
) -> None:
    """Obey what operators decide about this node, from before it begins anything: `nodes.<id>` in the bucket."""

    def obey(now: InForce) -> None:
        governor.limit(now.download_limit, now.upload_limit)
        agent.obey(now.slots, begins=now.begins)
        agent.pause(is_paused=now.paused)
        heart.tags = now.tags
        tasks.start_soon(heart.beat)

    orders = Orders(settings.node, obey)
    own = partial(keys.follow, own=True)
    tasks.start_soon(own, connection, (s.node_settings_key(settings.node.id),), orders.take)
    with anyio.move_on_after(ORDERS_WITHIN_S):
        await orders.known.wait()


def _start_lanes(
    settings: Settings, agent: Agent, tasks: TaskGroup, governor: Governor, upstream: Upstream | None
) -> None:
    binary = find_aria2c(settings.node.aria2_binary)
    state, downloads = Path(settings.node.state), Path(settings.node.downloads)
    limiter = CapacityLimiter(RPC_THREADS)
    for lane in Lane:
        options = torrent_options(settings.node) if lane is Lane.TORRENT else {}
        daemon = Daemon(
            lane,
            binary,
            state=state,
            downloads=downloads,
            slots=settings.node.slots,
            options=options,
            upstream=upstream,
        )
        agent.lanes[lane] = LaneDriver(
            daemon, limiter, agent.hear, stall_timeout_s=settings.node.stall_timeout_s, governor=governor
        )
        tasks.start_soon(agent.lanes[lane].run)


async def _publish_progress(agent: Agent) -> None:
    while True:
        await anyio.sleep(PROGRESS_EVERY_S)
        await agent.publish_progress()
