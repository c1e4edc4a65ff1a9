"""Keeps a node in step with its disk: gives back what can't stay, and deletes partial files that nobody needs."""

import time
from collections.abc import Sequence
from typing import NoReturn

import anyio
import structlog

from node.agent import Agent
from node.disk import Disk
from node.heart import Heart
from node.reader import Reader
from node.reporter import Reporter
from node.room import LOOK_EVERY_S, SOON_S, Partial, is_near, leaving, missing_bytes, outgrowing, strays
from node.workshop import Workshop

log = structlog.get_logger()

WEIGH_EVERY_S = 30.0
"""How often partials are added up while there is room."""
SETTLED_MAX = 64
"""Placed files whose tasks' fates are asked for in one sweep."""
SETTLE_WITHIN_S = 5.0
"""For all of them: a broker that is away must not keep the disk from being swept."""
NO_ROOM = "its disk has no room for this file"


async def keep_room(disk: Disk, agent: Agent, heart: Heart) -> NoReturn:
    """Look at the disk and give back what can't stay, until cancelled.

    Never sooner than with the next look: a task that is placed here all the same, for the heartbeat was lost, goes
    back and forth once in LOOK_EVERY_S, not as fast as messages fly.
    """
    while True:
        await anyio.sleep(SOON_S if is_near(disk.room, agent.unfinished(), disk.marks) else LOOK_EVERY_S)
        room = await disk.look()
        agent.stop_oversized()
        held = agent.unfinished()
        if room.is_writable and (grown := outgrowing(room, held, disk.marks)):
            log.warning("downloads without a size outgrow the disk", tasks=len(grown), free_bytes=room.free_bytes)
            agent.outgrow(grown)
            continue  # there is room again once they are gone: nobody else need go
        away = leaving(room, held, disk.marks)
        if away:
            log.warning("tasks are given back", tasks=len(away), problem=room.trouble or NO_ROOM)
            # First why, then the tasks: else they would be placed here again.
            await heart.beat()
        agent.give_back(away, room.trouble or NO_ROOM)


async def sweep(
    disk: Disk, agent: Agent, heart: Heart, workshop: Workshop, reader: Reader, reporter: Reporter
) -> NoReturn:
    """Add up the partials of tasks that are not here, and delete what is old or what room is needed of."""
    while True:
        # Before the first reading it is not known what is to be resumed here.
        if reader.has_read and disk.room.is_writable:
            try:
                heart.partial_bytes = await _sweep_once(disk, agent, workshop, reporter)
            except OSError as error:
                log.warning("partial files could not be looked at", problem=str(error))
        with anyio.move_on_after(WEIGH_EVERY_S):
            await anyio.sleep(LOOK_EVERY_S)
            while not disk.room.wants_room:
                await anyio.sleep(LOOK_EVERY_S)


async def _sweep_once(disk: Disk, agent: Agent, workshop: Workshop, reporter: Reporter) -> int:
    """Bytes of unowned partials that are left. Raises OSError."""
    held = agent.tasks()
    unowned = [one for one in await workshop.partials() if one.task not in held]
    with anyio.move_on_after(SETTLE_WITHIN_S):
        await _settle([one for one in unowned if one.is_journalled][:SETTLED_MAX], agent, workshop, reporter)
    going = strays(unowned, now=time.time(), missing_bytes=missing_bytes(disk.room, disk.marks))
    await workshop.sweep(going, agent.tasks)
    await workshop.forget_missing(agent.tasks())
    gone = {one.task for one in going}
    return sum(one.bytes for one in unowned if one.task not in gone)


async def _settle(placed: Sequence[Partial], agent: Agent, workshop: Workshop, reporter: Reporter) -> None:
    """Files that got their places by a process that died, and whose tasks did not come back here.

    Where another's outcome stands the file is surplus; where it is this node's own, only the journal is.
    """
    for one in placed:
        # In this order: an outcome that stands never changes, while one that does not may come at any moment.
        if one.task in agent.tasks() or not await reporter.has_ended(one.task):
            continue
        if await reporter.is_own_completion(one.task):
            await workshop.wipe(one.task)
        else:
            log.info("a surplus file goes: its task ended elsewhere", task=one.task)
            await workshop.unplace(one.task)
