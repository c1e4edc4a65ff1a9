"""What a request holds in confidence reaches the origin and nobody else: not events, logs, answers, process lists."""

import json
from collections.abc import Iterator

import nats
import psutil
import pytest

from tests.harness.processes import Up, running_up
from tests.harness.waiting import eventually
from tests.integration.node.origin import Origin

SECRET = "s3cr3t-value"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """One that logs all it can."""
    with running_up(tmp_path_factory.mktemp("cluster"), DOWNDRAFT_LOG_LEVEL="debug") as up:
        yield up


async def test_a_secret_is_nowhere_but_in_the_request_and_at_the_origin(cluster: Up, origin: Origin) -> None:
    origin.files["f"] = b"hello"
    heard: list[bytes] = []

    async def hear(msg) -> None:  # type: ignore[no-untyped-def]
        heard.append(msg.data)

    viewer = await nats.connect(cluster.url, user_credentials=cluster.creds("viewer"))
    producer = await nats.connect(cluster.url, user_credentials=cluster.creds("producer"))
    try:
        await viewer.subscribe("downloads.events.>", cb=hear)
        await viewer.flush()
        for path in ("file/f", "status/403", "status/401"):
            uri = f"http://user:{SECRET}@127.0.0.1:{origin.port}/{path}?token={SECRET}"
            request = {
                "uris": [uri],
                "id": path,
                "headers": {"Authorization": f"Bearer {SECRET}", "Cookie": f"session={SECRET}"},
                "options": {"http-passwd": SECRET},
                "max_attempts": 1,
            }
            await producer.publish("downloads.requests", json.dumps(request).encode())
        # One that is rejected, with the secret in what is wrong with it.
        await producer.publish("downloads.requests", json.dumps({"uris": [f"http://u:{SECRET}@[x/"]}).encode())
        await eventually(lambda: sum(b"finished." in data for data in heard) == 4, within_s=30)
    finally:
        await viewer.close()
        await producer.close()

    assert any(SECRET in asked.headers.get("Authorization", "") for asked in origin.asked), "the origin got it"
    told = b"\n".join(heard).decode()
    assert SECRET not in told
    assert "http://127.0.0.1" in told, "the address is still named"
    for name in ("coordinator", "node-1", "node-2"):
        assert SECRET not in cluster.log(name)
    assert SECRET not in (await cluster.arun("ls", "--json")).stdout
    assert not any(SECRET in " ".join(process.cmdline()) for process in _processes(cluster))


async def test_every_line_about_a_task_names_it_its_attempt_and_the_node(cluster: Up, origin: Origin) -> None:
    origin.files["f"] = b"hello"
    task = (await cluster.arun("submit", origin.url("file/f"), "--wait")).stdout.split()[0]
    view = await cluster.show(task)

    def lines() -> list[dict[str, object]]:
        return [
            line for text in cluster.log(view["node"]).splitlines() if (line := json.loads(text)).get("task") == task
        ]

    await eventually(lambda: len(lines()) >= 2)
    for line in lines():
        assert (line["attempt"], line["node"]) == (1, view["node"]), line
        assert {"event", "level", "timestamp", "process"} <= line.keys()


def _processes(cluster: Up) -> list[psutil.Process]:
    found = [psutil.Process(pid) for pid in cluster.info["pids"].values()]
    return found + [child for process in found for child in process.children(recursive=True)]
