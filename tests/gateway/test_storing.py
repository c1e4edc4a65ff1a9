"""A batch whose requests do not all find room in the inbox."""

from pathlib import Path

from broker import topology
from broker.cluster import Client
from broker.roles import Role
from gateway.rest.storing import FULL, store_all
from schemas.request import Request
from schemas.settings import BrokerSettings
from tests.harness.broker import running_broker

ROOM_BYTES = 20_000


async def test_what_finds_no_room_is_told_so_and_the_others_are_stored(tmp_path: Path) -> None:
    async with (
        running_broker(tmp_path / "broker", with_streams=False) as broker,
        broker.connected(Role.ADMIN) as admin,
        broker.connected(Role.GATEWAY) as connection,
    ):
        await topology.ensure_patiently(admin, BrokerSettings(requests_bytes_max=ROOM_BYTES))
        client = Client(connection, Role.GATEWAY, "default").on_behalf_of("ann")
        requests = [Request(uris=("http://h/f",), name="x" * 200, id=str(number)) for number in range(300)]
        prepared = {index: client.prepare(request) for index, request in enumerate(requests)}
        problems = await store_all(connection, prepared)
        stored = int((await admin.api("STREAM.INFO.REQUESTS"))["state"]["messages"])
    assert set(problems.values()) == {FULL}
    assert stored > 0
    assert len(problems) + stored == len(requests)
