"""A site behind NAT: its nats-server is a leaf node, from the very files of docs/deploy/settings."""

import hashlib
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from broker import embedded, topology
from broker.connection import connect
from broker.credentials import LEAF_AUTH_CONF, LEAF_CREDS, Keyring
from broker.errors import BrokerError
from broker.roles import Role
from schemas import subjects as s
from schemas.event import Completed
from schemas.settings import BrokerSettings
from tests.chaos.cluster import free_port
from tests.harness.broker import Broker
from tests.harness.node import rig
from tests.harness.recorder import recording
from tests.integration.node.origin import serve

EXAMPLES = Path(__file__).parents[3] / "docs" / "deploy" / "settings"
BODY = bytes(range(256)) * 4096


class Site:
    """A cluster, and the server of a site that is its leaf node."""

    def __init__(self, hub: Broker, server: embedded.EmbeddedServer) -> None:
        self.hub = hub
        self.server = server


async def start_hub(folder: Path, leaf_port: int) -> Broker:
    keyring = Keyring(folder / embedded.KEYS)
    keyring.ensure()
    keyring.leaf("hub")
    embedded.lay_out(folder).rename(folder / "base.conf")
    conf = (EXAMPLES / "leaf-hub.conf").read_text().replace('include "nats.conf"', 'include "base.conf"')
    conf = re.sub(r"\n  tls \{.*\}", "", conf).replace("0.0.0.0:7422", f"127.0.0.1:{leaf_port}")
    (folder / embedded.CONF).write_text(conf)
    return Broker(folder, await embedded.start(folder, port=0), keyring)


async def start_leaf(folder: Path, hub: Broker, leaf_port: int) -> embedded.EmbeddedServer:
    keys = folder / embedded.KEYS
    keys.mkdir(parents=True)
    for name in (LEAF_AUTH_CONF, LEAF_CREDS):
        (keys / name).write_bytes((hub.keyring.folder / name).read_bytes())
    conf = (EXAMPLES / "site-behind-nat.conf").read_text()
    conf = conf.replace("tls://broker.example.org:7422", f"nats://127.0.0.1:{leaf_port}")
    (folder / embedded.CONF).write_text(conf)
    return await embedded.start(folder, port=0)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    leaf_port = free_port()
    hub = await start_hub(tmp_path / "hub", leaf_port)
    try:
        async with hub.connected(Role.COORDINATOR) as connection:
            await topology.ensure_patiently(connection, BrokerSettings())
        server = await start_leaf(tmp_path / "site", hub, leaf_port)
        try:
            yield Site(hub, server)
        finally:
            await server.stop()
    finally:
        await hub.server.stop()


async def test_a_node_of_a_site_downloads_for_the_cluster_and_hears_of_changes(site: Site, tmp_path: Path) -> None:
    async with serve() as origin, rig(site.hub, tmp_path, "cabin-1", url=site.server.url) as one:
        origin.files = {"one": BODY}

        outcome = await one.outcome(await one.submit(origin.url("file/one")))

        assert isinstance(outcome, Completed)
        assert outcome.node == "cabin-1"
        assert outcome.digest == f"sha-256={hashlib.sha256(BODY).hexdigest()}"
        assert (tmp_path / "downloads" / outcome.path).read_bytes() == BODY


async def test_nothing_crosses_from_a_site_but_what_nodes_may_do(site: Site) -> None:
    operator = site.hub.creds(Role.OPERATOR)
    request = b'{"uris": ["http://127.0.0.1/f"]}'
    async with recording(site.hub), connect(site.server.url, operator, name="thief", timeout_s=2) as thief:
        with pytest.raises(BrokerError):
            await thief.store(s.REQUESTS, request, {})

    async with connect(site.hub.url, operator, name="here", timeout_s=5) as here:
        assert await here.store(s.REQUESTS, request, {}) == 1  # the first that arrives
