"""The object store of payloads: bounded, checked, and the same that the NATS tools use."""

import os

import msgspec
import pytest
from nats.js import JetStreamContext

from broker import payloads
from broker.errors import PermissionRefused
from broker.payloads import CHUNK_BYTES, OBJECT_BYTES_MAX, PayloadMissing
from broker.roles import Role
from schemas import subjects as s
from tests.harness.broker import Broker

CONTENT = os.urandom(3 * CHUNK_BYTES + 7)


@pytest.mark.parametrize("role", [Role.PRODUCER, Role.OPERATOR, Role.GATEWAY])
async def test_what_a_producer_stored_a_node_reads(broker: Broker, role: Role) -> None:
    async with broker.connected(role) as who, broker.connected(Role.NODE, "node-1") as node:
        await payloads.put(who, "a.torrent", b"before")
        await payloads.put(who, "a.torrent", CONTENT)
        assert await payloads.get(node, "a.torrent") == CONTENT


async def test_the_tools_of_nats_store_and_read_the_same_objects(broker: Broker) -> None:
    async with broker.connected(Role.ADMIN) as admin:
        store = await JetStreamContext(admin.client).object_store(s.PAYLOADS)
        await store.put("theirs", CONTENT)
        assert await payloads.get(admin, "theirs") == CONTENT
        await payloads.put(admin, "ours", CONTENT)
        assert (await store.get("ours")).data == CONTENT
        await store.delete("theirs")
        with pytest.raises(PayloadMissing, match="was deleted"):
            await payloads.get(admin, "theirs")


async def test_what_is_not_there_or_not_whole_is_said_to_be_missing(broker: Broker) -> None:
    async with broker.connected(Role.ADMIN) as admin:
        with pytest.raises(PayloadMissing, match="no object 'nothing'"):
            await payloads.get(admin, "nothing")
        await payloads.put(admin, "cut", CONTENT)
        first = await admin.api(
            f"STREAM.MSG.GET.{s.PAYLOADS_STREAM}", {"seq": 1, "next_by_subj": s.payload_chunks("*")}
        )
        await admin.api(f"STREAM.MSG.DELETE.{s.PAYLOADS_STREAM}", {"seq": first["message"]["seq"]})
        with pytest.raises(PayloadMissing, match="is not whole"):
            await payloads.get(admin, "cut")


async def test_an_object_that_is_called_by_another_content_is_refused(broker: Broker) -> None:
    async with broker.connected(Role.ADMIN) as admin:
        name = payloads.name_of(CONTENT, ".torrent")
        await payloads.put(admin, name, b"another")
        with pytest.raises(PayloadMissing, match="is not what its name says"):
            await payloads.get(admin, name)


async def test_more_than_a_payload_may_have_is_neither_stored_nor_read(broker: Broker) -> None:
    async with broker.connected(Role.ADMIN) as admin:
        with pytest.raises(PayloadMissing, match="more than"):
            await payloads.put(admin, "large", bytes(OBJECT_BYTES_MAX + 1))
        said = {"name": "large", "bucket": s.PAYLOADS, "nuid": "x", "size": OBJECT_BYTES_MAX + 1, "chunks": 1}
        await admin.store(s.payload_meta("large"), msgspec.json.encode(said))
        with pytest.raises(PayloadMissing, match="at most"):
            await payloads.get(admin, "large")
        # One that says less than it has: it is read no further than it may be.
        said |= {"size": 5, "chunks": 200}
        await admin.store(s.payload_meta("large"), msgspec.json.encode(said))
        for _ in range(OBJECT_BYTES_MAX // (512 << 10) + 1):
            await admin.store(s.payload_chunks("x"), bytes(512 << 10))
        with pytest.raises(PayloadMissing, match="larger than it says"):
            await payloads.get(admin, "large")


async def test_a_producer_reads_no_object(broker: Broker) -> None:
    with pytest.raises((PermissionRefused, BaseExceptionGroup)):
        async with broker.connected(Role.PRODUCER, "ann") as ann:
            await payloads.put(ann, "a", CONTENT)
            await payloads.get(ann, "a")
