"""Reading the books of a drill: from the log, the table, the inbox and the nodes' disks."""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from broker.cluster import Client
from broker.table import MARKER
from schemas import subjects as s
from schemas.event import Finished
from schemas.ids import TASK_ID
from schemas.request import STAGING_NAME
from tools.drill.books import Disk, Entry
from tools.drill.wares import Nature, Ware, digest


async def outcomes(client: Client) -> list[Entry]:
    """Every outcome in the log, oldest first. Raises ApiRefused, Unanswered."""
    async with client.follow(0, kinds=("finished",)) as follower:
        return [
            Entry(found.sequence, found.event) async for found in follower.stored() if isinstance(found.event, Finished)
        ]


async def rows_left(client: Client) -> tuple[str, ...]:
    """The tasks that stand in the table. Raises ApiRefused, Unanswered."""
    info = await client.connection.api(f"STREAM.INFO.{s.TASKS_STREAM}", {"subjects_filter": s.TASKS_TREE})
    tasks = {s.parse_task(subject).task for subject in info["state"].get("subjects") or {}}
    return tuple(sorted(tasks - {MARKER}))


async def requests_left(client: Client) -> int:
    """How many requests are in the inbox. Raises ApiRefused, Unanswered."""
    info = await client.connection.api(f"STREAM.INFO.{s.REQUESTS_STREAM}")
    return int(info["state"]["messages"])


def disk(downloads: Path, nodes: Iterable[str]) -> Disk:
    """What the nodes have, read from the disk. Blocks."""
    digests: dict[str, str] = {}
    partials = 0
    for node in nodes:
        folder = downloads / node
        for file in folder.rglob("*"):
            relative = file.relative_to(folder)
            if relative.parts[0] == STAGING_NAME:
                partials += len(relative.parts) == 2 and bool(TASK_ID.fullmatch(file.name))
            elif file.is_file():
                with file.open("rb", buffering=0) as opened:
                    digests[f"{node}/{relative.as_posix()}"] = hashlib.file_digest(opened, "sha256").hexdigest()
    return Disk(digests, partials)


def served(seed: int, wanted: Iterable[Ware]) -> Mapping[str, str]:
    """What the origin serves under each name, as SHA-256 in hex. Takes a while: call it in a thread."""
    return {ware.name: digest(seed, ware) for ware in wanted if ware.nature is not Nature.MISSING}
