"""`GET /metrics`: what stands is looked up for each scrape, at most every few seconds."""

import anyio
import structlog
from litestar import Response, get
from litestar.datastructures import State
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from broker import health
from broker.errors import BrokerError
from gateway.access import ALONE, SCOPE
from gateway.metrics import of_nodes, of_reading, of_streams, of_tasks
from gateway.service import Gateway
from schemas import subjects as s
from schemas.apikey import Scope

log = structlog.get_logger()

STREAMS = (s.REQUESTS_STREAM, s.TASKS_STREAM, s.EVENTS_STREAM)
FRESH_FOR_S = 2.0
"""Several scrapers, or a hasty one, don't ask the broker more often."""
REST = 20
"""With a million tasks in the queue a look takes long: it is no more than a twentieth of the gateway's time."""


@get("/metrics", opt={SCOPE: Scope.READ, ALONE: True}, media_type="text/plain")
async def metrics(state: State) -> Response[bytes]:
    """Figures in Prometheus' format: of the whole cluster, whoever's tasks they are, and of this gateway."""
    gateway: Gateway = state.gateway
    async with gateway.scraping:
        began = anyio.current_time()
        if began >= gateway.look_again_at:
            await look(gateway)
            ended = anyio.current_time()
            gateway.look_again_at = ended + max(FRESH_FOR_S, REST * (ended - began))
    return Response(
        generate_latest(gateway.metrics.registry), headers={"Content-Type": CONTENT_TYPE_LATEST}, media_type=""
    )


async def look(gateway: Gateway) -> None:
    """Let the registry know how everything stands. What can't be learned of the broker is left out."""
    streams: list[health.Stream] = []
    connection = gateway.client.connection
    try:
        found = [await health.stream(connection, name) for name in STREAMS if connection.is_connected]
        streams = [stream for stream in found if stream is not None]
    except BrokerError as error:
        log.warning("the streams could not be looked at for metrics", problem=str(error))
    gateway.metrics.standing.tell(
        [
            *await of_tasks(gateway.model),
            *of_nodes(gateway.model.heartbeats.values()),
            *of_streams(streams),
            *of_reading(streams, gateway.hub.position),
        ]
    )
