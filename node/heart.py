"""The node's heartbeat: what it is, what it holds and how it fares."""

import anyio
import psutil
import structlog

from broker.connection import Connection
from broker.errors import Unanswered
from node.agent import Agent
from node.disk import Disk
from node.governor import Governor
from schemas import __version__, codec
from schemas import subjects as s
from schemas.heartbeat import Heartbeat
from schemas.request import NOOP
from schemas.settings import Settings

log = structlog.get_logger()


class Heart:
    """Beats for one node process."""

    def __init__(
        self,
        connection: Connection,
        settings: Settings,
        instance: str,
        agent: Agent,
        disk: Disk,
        governor: Governor | None = None,
    ) -> None:
        self._connection = connection
        self._settings = settings.node
        self._interval_s = settings.coordinator.heartbeat_interval_s
        can = settings.node.capabilities
        self._capabilities = (*can, NOOP) if settings.coordinator.allow_noop else can
        self.tags = settings.node.tags
        """Those that hold now."""
        self._instance = instance
        self._agent = agent
        self._disk = disk
        self._governor = governor or Governor()
        self.partial_bytes = 0
        """In partials of tasks that are not here."""
        self._beat = 0
        self.leaving = False
        self._process = psutil.Process()

    async def run(self) -> None:
        """Beat until cancelled."""
        while True:
            await self.beat()
            await anyio.sleep(self._interval_s)

    async def beat(self) -> None:
        """One heartbeat; none while the broker is away, for an old one would only mislead."""
        if not self._connection.is_connected:
            return
        self._beat += 1
        lanes = self._agent.lanes.values()
        held, room = self._agent.held(), self._disk.room
        running = self._agent.running
        kept = self._governor.kept(anyio.current_time())
        beat = Heartbeat(
            node=self._settings.id,
            instance=self._instance,
            beat=self._beat,
            version=__version__,
            slots=self._agent.slots,
            running=running,
            waiting=len(held) - running,
            tags=self.tags,
            own_slots=self._settings.slots if self._agent.slots != self._settings.slots else None,
            own_tags=self._settings.tags if self.tags != self._settings.tags else None,
            capabilities=tuple(self._capabilities),
            bandwidth=self._settings.bandwidth,
            bytes_per_s=sum(lane.bytes_per_s for lane in lanes),
            cpu_percent=psutil.cpu_percent(),
            memory_bytes=self._memory([lane.pid for lane in lanes if lane.pid is not None]),
            disk_free_bytes=room.free_bytes if room.is_writable else 0,
            disk_promised_bytes=sum(one.left for one in self._agent.unfinished()),
            disk_capacity_bytes=room.capacity_bytes,
            disk_low_bytes=self._disk.marks.low,
            limit_bytes_per_s=kept.limit,
            own_limit_bytes_per_s=kept.own_limit,
            upload_limit_bytes_per_s=kept.upload_limit,
            paused=self._agent.is_paused,
            share=kept.revision,
            is_alone=kept.is_alone,
            origins=kept.origins,
            held_back=kept.held_back,
            partial_bytes=self.partial_bytes,
            trouble=room.trouble or next((lane.trouble for lane in lanes if lane.trouble), ""),
            held=held,
            leaving=self.leaving,
        )
        try:
            await self._connection.publish(s.heartbeat(self._settings.id), codec.encode(beat))
        except Unanswered as error:
            log.debug("heartbeat not sent", problem=str(error))

    def _memory(self, children: list[int]) -> int:
        total = int(self._process.memory_info().rss)
        for pid in children:
            try:
                total += int(psutil.Process(pid).memory_info().rss)
            except psutil.Error:
                continue  # it is being replaced just now
        return total
