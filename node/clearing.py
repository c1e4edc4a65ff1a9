"""Keeps a node in step with its disk: gives back what can't stay, and deletes partial files that nobody needs."""

import time
from typing import NoReturn

import anyio
import structlog

from node.agent import Agent
from node.disk import Disk
from node.heart import Heart
from node.reader import Reader
from node.room import leaving, missing_bytes, strays
from node.workshop import Workshop

log = structlog.get_logger()

LOOK_EVERY_S = 2.0
"""With each heartbeat of the usual kind: what it tells is as new."""
WEIGH_EVERY_S = 30.0
"""How often partials are added up while there is room."""
NO_ROOM = "its disk has no room for this file"


async def keep_room(disk: Disk, agent: Agent, heart: Heart) -> NoReturn:
    """Look at the disk and give back what can't stay, until cancelled.

    Never sooner than with the next look: a task that is placed here all the same, for the heartbeat was lost, goes
    back and forth once in LOOK_EVERY_S, not as fast as messages fly.
    """
    while True:
        await anyio.sleep(LOOK_EVERY_S)
        room = await disk.look()
        away = leaving(room, agent.unfinished(), disk.marks)
        if away:
            log.warning("tasks are given back", tasks=len(away), problem=room.trouble or NO_ROOM)
            # First why, then the tasks: else they would be placed here again.
            await heart.beat()
        agent.give_back(away, room.trouble or NO_ROOM)


async def sweep(disk: Disk, agent: Agent, heart: Heart, workshop: Workshop, reader: Reader) -> NoReturn:
    """Add up the partials of tasks that are not here, and delete what is old or what room is needed of."""
    while True:
        # Before the first reading it is not known what is to be resumed here.
        if reader.has_read and disk.room.is_writable:
            try:
                heart.partial_bytes = await _sweep_once(disk, agent, workshop)
            except OSError as error:
                log.warning("partial files could not be looked at", problem=str(error))
        with anyio.move_on_after(WEIGH_EVERY_S):
            await anyio.sleep(LOOK_EVERY_S)
            while not disk.room.wants_room:
                await anyio.sleep(LOOK_EVERY_S)


async def _sweep_once(disk: Disk, agent: Agent, workshop: Workshop) -> int:
    """Bytes of unowned partials that are left. Raises OSError."""
    held = agent.tasks()
    unowned = [one for one in await workshop.partials() if one.task not in held]
    going = strays(unowned, now=time.time(), missing_bytes=missing_bytes(disk.room, disk.marks))
    await workshop.sweep(going, agent.tasks)
    await workshop.forget_missing(agent.tasks())
    gone = {one.task for one in going}
    return sum(one.bytes for one in unowned if one.task not in gone)
