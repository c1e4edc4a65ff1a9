"""The wire alone: plain nats-py, JSON and subjects; nothing of ours is imported for the talking."""

import asyncio
import hashlib
import json
import random

import nats

from tests.harness.processes import Up
from tests.harness.waiting import eventually
from tests.integration.node.origin import Origin


async def test_a_bare_publish_is_a_complete_submission_and_a_bare_subscriber_sees_it_through(
    cluster: Up, origin: Origin
) -> None:
    body = random.Random(1).randbytes(3_000_000)
    origin.files["file.bin"] = body
    seen: list[tuple[str, dict[str, object]]] = []

    async def hear(msg) -> None:  # type: ignore[no-untyped-def]
        seen.append((msg.subject, json.loads(msg.data)))

    viewer = await nats.connect(cluster.url, user_credentials=cluster.creds("viewer"))
    producer = await nats.connect(cluster.url, user_credentials=cluster.creds("producer"))
    try:
        await viewer.subscribe("downloads.events.>", cb=hear)
        await viewer.subscribe("downloads.progress.>", cb=hear)
        await viewer.flush()
        await producer.publish("downloads.requests", json.dumps({"uris": [origin.url("slow/file.bin")]}).encode())
        await producer.flush()
        await eventually(lambda: any("finished" in subject for subject, _ in seen), within_s=30)
    finally:
        await asyncio.gather(viewer.close(), producer.close())

    kinds = []
    for subject, message in seen:
        _, family, task, *_ = subject.split(".")
        assert len(task) == 16
        kinds.append("progress" if family == "progress" else str(message["type"]))
    # Two write: what the coordinator says and what the node says may overtake each other.
    for writer in (("queued", "assigned"), ("queued", "started", "progress", "finished.completed")):
        order = [kinds.index(kind) for kind in writer]
        assert order == sorted(order), kinds
    _, finished = seen[kinds.index("finished.completed")]
    assert finished["bytes"] == len(body)
    assert finished["digest"] == f"sha-256={hashlib.sha256(body).hexdigest()}"
    stored = cluster.downloads(str(finished["node"])) / str(finished["path"])
    assert stored.name == "file.bin"
    assert stored.read_bytes() == body


async def test_a_subscriber_that_counts_sequences_sees_no_gap(cluster: Up, origin: Origin) -> None:
    origin.files["f"] = b"x" * 1000
    sequences: list[tuple[int, int]] = []

    async def hear(msg) -> None:  # type: ignore[no-untyped-def]
        sequences.append((int(msg.headers["Nats-Sequence"]), int(msg.headers["Nats-Last-Sequence"])))

    viewer = await nats.connect(cluster.url, user_credentials=cluster.creds("viewer"))
    try:
        await viewer.subscribe("downloads.events.>", cb=hear)
        await viewer.flush()
        for _ in range(5):
            await cluster.arun("submit", origin.url("file/f"))
        await eventually(lambda: len(sequences) >= 20, within_s=20)
        numbers = [number for number, _ in sequences]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    finally:
        await viewer.close()
