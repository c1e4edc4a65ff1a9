"""The coordinator process."""

import os
import socket
from pathlib import Path
from uuid import uuid4

import anyio
import structlog

from broker import lookups
from broker.connection import connect
from broker.lease import Holder
from broker.pulse import keep_pulse
from coordinator.lead import Coordinator
from schemas.errors import SettingInvalid
from schemas.ids import WRITER
from schemas.settings import Settings

log = structlog.get_logger()


async def run_coordinator(settings: Settings, name: str = "", pulse: Path | None = None) -> None:
    """Connect, then lead or stand by until cancelled. `pulse` is touched while it does either.

    Raises SettingInvalid for a name by which nothing could be written.
    """
    if name and not WRITER.match(name):
        raise SettingInvalid(
            f"--name {name!r} must be one part of a subject: letters, digits, - and _, 63 at most; "
            "of a machine's name take what is before its first dot"
        )
    lookups.abandon_at_the_end()
    instance = uuid4().hex[:12]
    name = name or f"coordinator-{instance[:6]}"
    holder = Holder(name=name, instance=instance, host=socket.gethostname(), pid=os.getpid())
    async with (
        connect(settings.nats.url, settings.nats.creds, name=name) as connection,
        anyio.create_task_group() as tasks,
    ):
        coordinator = Coordinator(connection, settings, holder)
        tasks.start_soon(keep_pulse, pulse, coordinator.gets_on)
        await coordinator.run()
