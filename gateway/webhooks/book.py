"""The webhooks as the bucket has them: every replica follows it, and one of them delivers."""

import anyio
import msgspec
import structlog
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from broker import keys
from broker.connection import Connection
from broker.standing import Changes, Found
from schemas import codec
from schemas import subjects as s
from schemas.webhook import Webhook, WebhookState

log = structlog.get_logger()


REMOVED_FOR_S = 7 * 24 * 3600
"""What was taken away is remembered for so long, for those that were cut off meanwhile, and because a broker that is
killed brings back what a mark that has run out replaced: no more once some MiB were written to the bucket after it, by
the leases in less than a day. Ids are never used again, and the bucket is small: it must not fill with what is gone."""
SEEN_WITHIN_S = 5.0


async def take_away(connection: Connection, webhook_id: str, *, is_gone: bool = False) -> None:
    """Remove a webhook (`is_gone`: it is), and what is known of how it does. Raises BrokerError."""
    found = (s.webhook_key(webhook_id), s.webhook_state_key(webhook_id))
    for key in found[1:] if is_gone else found:
        await keys.write(connection, key, b"", expected=None, ttl_s=REMOVED_FOR_S)


def state_of(webhook: Webhook, found: Found | None) -> WebhookState:
    """How a webhook does. One that can't be read begins anew: events are sent again rather than left out."""
    if found is None or not found.body:
        return WebhookState(position=webhook.after)
    try:
        return codec.decode(found.body, WebhookState)
    except msgspec.MsgspecError as error:
        log.warning("how far a webhook is can't be read: it begins anew", webhook=webhook.id, problem=str(error))
        return WebhookState(position=webhook.after)


class WebhookBook:
    """The webhooks there are now."""

    def __init__(self) -> None:
        self.webhooks: dict[str, Webhook] = {}
        self.changed = anyio.Event()
        """Set, and replaced, with each change."""
        self.making = anyio.Lock()
        """Held from the count of what there is until one more is seen here."""

    def __repr__(self) -> str:
        return f"<WebhookBook of {len(self.webhooks)}>"

    async def until_seen(self, webhook_id: str) -> None:
        """Return once a webhook is known here, too; or soon."""
        with anyio.move_on_after(SEEN_WITHIN_S):
            while webhook_id not in self.webhooks:
                await self.changed.wait()

    def take(self, changes: Changes) -> None:
        """What stands in the bucket now."""
        for name, found in changes.items():
            webhook_id = name.rpartition(".")[2]
            self.webhooks.pop(webhook_id, None)
            if found is None or not found.body:
                continue
            try:
                self.webhooks[webhook_id] = codec.decode(found.body, Webhook)
            except msgspec.MsgspecError as error:
                log.warning("a webhook can't be read: nothing is sent to it", webhook=webhook_id, problem=str(error))
        self.changed.set()
        self.changed = anyio.Event()

    async def follow(self, connection: Connection, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Keep in step until cancelled; it has started once it knows every webhook."""
        await keys.follow(connection, (s.WEBHOOKS_KEYS,), self.take, task_status=task_status)
