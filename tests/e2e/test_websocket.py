"""A cluster behind a websocket, which needs what a command otherwise leaves unloaded."""

import json
from pathlib import Path

import anyio

from broker import embedded, topology
from broker.credentials import Keyring
from broker.roles import Role
from schemas.settings import BrokerSettings
from tests.harness.broker import Broker
from tests.harness.processes import COMMAND, environment


async def test_a_command_reaches_the_broker_through_a_websocket(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path / embedded.KEYS)
    keyring.ensure()
    with embedded.lay_out(tmp_path).open("a") as conf:
        conf.write('\nwebsocket { host: "127.0.0.1", port: -1, no_tls: true }\n')
    broker = Broker(tmp_path, await embedded.start(tmp_path, port=0), keyring)
    try:
        async with broker.connected(Role.COORDINATOR) as connection:
            await topology.ensure_patiently(connection, BrokerSettings())
        [ports] = tmp_path.glob("nats-server_*.ports")
        url = json.loads(ports.read_text())["websocket"][0]
        done = await anyio.run_process(
            [*COMMAND, "submit", "https://a.example/f", "--server", url, "--creds", broker.creds(Role.OPERATOR)],
            cwd=tmp_path,
            env=environment(),
            check=False,
        )
        assert (done.returncode, len(done.stdout.strip())) == (0, 16), done
    finally:
        await broker.server.stop()
