"""Which replica delivers, and to whom: one at a time holds a lease, and runs a delivery for each webhook in use."""

from uuid import uuid4

import anyio
import structlog
from anyio import CancelScope
from msgspec.structs import replace

from broker import keys
from broker.connection import Connection
from broker.errors import BrokerError
from broker.lease import Holder, Lease
from gateway.eventfilter import TraitBook
from gateway.hub import Hub
from gateway.webhooks.book import WebhookBook, take_away
from gateway.webhooks.delivery import Delivery
from gateway.webhooks.posting import Poster, posting
from schemas import codec
from schemas import subjects as s
from schemas.webhook import Network, Webhook

log = structlog.get_logger()

LEASE_TTL_S = 5
"""If the replica that delivers dies, another one goes on so much later."""
ACQUIRE_EVERY_S = 2.0
RETRY_S = 2.0


class _Running:
    """A delivery under way."""

    def __init__(self, webhook: Webhook) -> None:
        self.webhook = webhook
        self.scope = CancelScope()
        self.ended = anyio.Event()


class WebhookOffice:
    """Delivers for all webhooks while this replica holds the lease."""

    def __init__(
        self, connection: Connection, hub: Hub, traits: TraitBook, book: WebhookBook, allowed: tuple[Network, ...]
    ) -> None:
        self._connection, self._hub, self._traits = connection, hub, traits
        self._book = book
        self._allowed = allowed
        self._holder = Holder("gateway", uuid4().hex)
        self._running: dict[str, _Running] = {}

    def __repr__(self) -> str:
        return f"<WebhookOffice {len(self._running)} deliveries>"

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            while not self._in_use():
                await self._book.changed.wait()
            lease = Lease(self._connection, s.WEBHOOK_LEASE_KEY, self._holder, ttl_s=LEASE_TTL_S, checked=True)
            try:
                if await lease.acquire() is None:
                    await self._deliver(lease)
            except BrokerError as error:
                log.debug("it is not known who delivers webhooks, trying again", problem=str(error))
            finally:
                with anyio.CancelScope(shield=True), anyio.move_on_after(2):
                    await lease.release()
            await anyio.sleep(ACQUIRE_EVERY_S)

    def _in_use(self) -> dict[str, Webhook]:
        return {name: webhook for name, webhook in self._book.webhooks.items() if not webhook.disabled}

    async def _deliver(self, lease: Lease) -> None:
        """As long as the lease is held, and there is something to deliver."""
        log.info("webhooks are delivered from here")
        async with posting(self._allowed) as poster, anyio.create_task_group() as tasks:
            tasks.start_soon(self._keep, lease, tasks.cancel_scope)
            while wanted := self._in_use():
                changed = self._book.changed
                await self._end_others(wanted)
                for name, webhook in wanted.items():
                    if name not in self._running:
                        self._running[name] = running = _Running(webhook)
                        tasks.start_soon(self._run_one, running, poster)
                await changed.wait()
            tasks.cancel_scope.cancel()

    async def _keep(self, lease: Lease, scope: CancelScope) -> None:
        while True:
            await anyio.sleep(lease.renew_in_s)
            if not await self._is_renewed(lease):
                log.info("webhooks are delivered from elsewhere now")
                scope.cancel()
                return

    async def _is_renewed(self, lease: Lease) -> bool:
        try:
            return await lease.renew()
        except BrokerError:
            return lease.is_held

    async def _end_others(self, wanted: dict[str, Webhook]) -> None:
        """Those that are not wanted any more, or otherwise; each has stored how far it is once it has ended."""
        others = [one for name, one in self._running.items() if wanted.get(name) != one.webhook]
        for one in others:
            one.scope.cancel()
        for one in others:
            await one.ended.wait()
            if one.webhook.id not in self._book.webhooks:
                await self._forget(one.webhook.id)

    async def _forget(self, webhook_id: str) -> None:
        """It stored how far it is as it ended, after it was removed."""
        try:
            await take_away(self._connection, webhook_id, is_gone=True)
        except BrokerError as error:
            log.debug("it stays stored how far a webhook was that is gone", webhook=webhook_id, problem=str(error))

    async def _run_one(self, running: _Running, poster: Poster) -> None:
        webhook = running.webhook
        try:
            with running.scope:
                while True:
                    try:
                        why = await Delivery(self._connection, self._hub, self._traits, poster, webhook).run()
                        await self._disable(webhook, why)
                        return
                    except BrokerError as error:
                        log.warning("a webhook waits for the broker", webhook=webhook.id, problem=str(error))
                        await anyio.sleep(RETRY_S)
        finally:
            self._running.pop(webhook.id, None)
            running.ended.set()

    async def _disable(self, webhook: Webhook, why: str) -> None:
        """Raises BrokerError."""
        log.warning("a webhook is disabled", webhook=webhook.id, problem=why)
        key = s.webhook_key(webhook.id)
        found = await keys.read(self._connection, key)
        if found is not None and codec.decode(found.body, Webhook) == webhook:
            body = codec.encode(replace(webhook, disabled=why))
            await keys.write(self._connection, key, body, expected=found.revision)
