"""What every route works with: the cluster, the keys, the read model, what happens."""

import anyio

from broker.cluster import Client
from gateway.aria2rpc.office import Office
from gateway.counting import Counting
from gateway.eventfilter import TraitBook
from gateway.fresh import Fresh
from gateway.hub import Hub
from gateway.keybook import KeyBook
from gateway.metrics import Metrics
from gateway.rates import Rates
from gateway.readmodel.model import ReadModel
from gateway.webhooks.book import WebhookBook
from schemas.settings import GatewaySettings


class Gateway:
    """One gateway process."""

    def __init__(
        self, settings: GatewaySettings, client: Client, keys: KeyBook, model: ReadModel, writer: str = "gateway"
    ) -> None:
        self.settings = settings
        self.client = client
        self.keys = keys
        self.model = model
        self.writer = writer
        """The name of its credentials: the last part of what it writes."""
        self.office = Office()
        self.fresh = Fresh(model)
        self.rates = Rates(settings.key_requests_per_s)
        self.metrics = Metrics()
        self.scraping = anyio.Lock()
        self.look_again_at = float("-inf")
        """When what `/metrics` tells of the cluster is too old; by the event loop's clock."""
        self.hub = Hub(client.connection)
        self.traits = TraitBook(model)
        self.webhooks = WebhookBook()
        self.streams = Counting()
        """Event streams, by key."""
        self.transfers = Counting()
        """Files being sent, by key."""

    def __repr__(self) -> str:
        return f"<Gateway {self.keys!r} {self.model!r} {self.hub!r}>"
