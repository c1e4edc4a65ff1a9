"""The gateway process: connect, keep in step, serve."""

from datetime import UTC, datetime
from pathlib import Path

import anyio
import structlog

from broker import keys
from broker.cluster import Client
from broker.connection import Connection, connect
from broker.credentials import read_identity
from broker.roles import Role
from gateway.app import serve_app
from gateway.aria2rpc.notices import Notices
from gateway.keybook import KeyBook
from gateway.listening import serve
from gateway.readmodel.model import ReadModel
from gateway.service import Gateway
from gateway.webhooks.office import WebhookOffice
from schemas import codec
from schemas import subjects as s
from schemas.apikey import ApiKey, Scope, digest_of, read_secret
from schemas.errors import SettingInvalid
from schemas.ids import DEFAULT_OWNER
from schemas.settings import GatewaySettings, Settings
from schemas.webhook import networks

log = structlog.get_logger()

PING_EVERY_S = 1.5
"""Clients and load balancers want to know within five seconds that nobody answers; of gateways there are few."""
LOOK_WITHIN_S = 3.0
"""For a leader to tell something. One that is frozen holds its lease for longer; a client is told to ask again."""


async def run_gateway(settings: Settings, stop: anyio.Event) -> None:
    """Serve until `stop` is set. Raises NotConnected, PermissionRefused, SettingInvalid."""
    chosen = settings.gateway
    async with (
        connect(settings.nats.url, settings.nats.creds, name="gateway", ping_every_s=PING_EVERY_S) as connection,
        anyio.create_task_group() as tasks,
    ):
        book = KeyBook()
        await tasks.start(book.follow, connection)
        await _store_first_key(connection, chosen)
        model = await ReadModel.opened(connection, chosen)
        tasks.start_soon(model.run)
        identity = read_identity(Path(settings.nats.creds)) if settings.nats.creds else None
        client = Client(connection, Role.GATEWAY, DEFAULT_OWNER, look_within_s=LOOK_WITHIN_S)
        gateway = Gateway(chosen, client, book, model, identity.name if identity is not None else Role.GATEWAY)
        tasks.start_soon(gateway.hub.run)
        await tasks.start(gateway.webhooks.follow, connection)
        allowed = networks(chosen.webhook_nets)
        tasks.start_soon(WebhookOffice(connection, gateway.hub, gateway.traits, gateway.webhooks, allowed).run)
        notices = Notices(gateway)
        tasks.start_soon(notices.run)
        tasks.start_soon(_count, gateway)

        async def told() -> None:
            await stop.wait()
            gateway.hub.close()  # or event streams would be waited for

        await serve(serve_app(gateway, notices), chosen, book, told)
        tasks.cancel_scope.cancel()


async def _count(gateway: Gateway) -> None:
    """What happens in the cluster, for metrics."""
    connection, happenings = gateway.client.connection, gateway.metrics.happenings
    with gateway.hub.listening(lambda kept: happenings.heard(kept.event, connection.clock.moment())):
        await anyio.sleep_forever()


async def _store_first_key(connection: Connection, settings: GatewaySettings) -> None:
    """The key of `gateway.key_file` opens everything; stored once, so that it can be revoked like any other."""
    if not settings.key_file:
        return
    try:
        secret = read_secret(Path(settings.key_file).read_text())
    except OSError as error:
        raise SettingInvalid(f"gateway.key_file: can't read {settings.key_file!r}: {error.strerror}") from error
    if secret is None:
        raise SettingInvalid(f"gateway.key_file: {settings.key_file!r} holds no API key (dd_…)")
    first = ApiKey(
        id=secret.id,
        owner=DEFAULT_OWNER,
        scopes=tuple(Scope),
        digest=digest_of(secret),
        created=datetime.now(UTC),
        note="first key",
    )
    # Only where there never was one under this id: what was revoked stays so.
    await keys.write(connection, s.api_key_key(secret.id), codec.encode(first), expected=0)
