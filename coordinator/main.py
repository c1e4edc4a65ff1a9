"""The coordinator process."""

import os
import socket
from uuid import uuid4

import structlog

from broker import lookups
from broker.connection import connect
from broker.lease import Holder
from coordinator.lead import Coordinator
from schemas.settings import Settings

log = structlog.get_logger()


async def run_coordinator(settings: Settings, name: str = "") -> None:
    """Connect, then lead or stand by until cancelled."""
    lookups.abandon_at_the_end()
    instance = uuid4().hex[:12]
    name = name or f"coordinator-{instance[:6]}"
    holder = Holder(name=name, instance=instance, host=socket.gethostname(), pid=os.getpid())
    async with connect(settings.nats.url, settings.nats.creds, name=name) as connection:
        await Coordinator(connection, settings, holder).run()
