"""One of several nodes of a machine that are started alike: replicas of one container.

They share a folder with credentials, a download folder and a state folder. Each takes a node id that no other runs
as, with sub-folders of its own; which one is which lasts in the state folder, not in the container.
"""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from broker import filelocks
from schemas.errors import DowndraftError
from schemas.settings import Settings

PREFIX, SUFFIX = "node-", ".creds"
"""As `downdraft keys` names the file of a node."""
CLAIM_FILE = "replica"


class NoIdLeft(DowndraftError):
    """Every node id that there are credentials for runs on this machine already."""

    exit_code = 3


class Replica(NamedTuple):
    node: str
    creds: Path


@contextmanager
def being_one_of(keys: Path, state: Path, host: str) -> Iterator[Replica]:
    """Be one of the nodes with credentials in `keys` for the length of the block; the claims lie in `state`.

    The one that `host` was before comes first, then the lowest number, so that what an earlier replica left is gone
    on with. Raises NoIdLeft.
    """
    found = {file.name.removeprefix(PREFIX).removesuffix(SUFFIX): file for file in keys.glob(f"{PREFIX}*{SUFFIX}")}
    for node in sorted(found, key=lambda node: (_claimed_by(state, node) != host, len(node), node)):
        descriptor = _claim(state, node, host)
        if descriptor is None:
            continue
        try:
            yield Replica(node, found[node])
        finally:
            os.close(descriptor)
        return
    raise NoIdLeft(
        f"all {len(found)} nodes with credentials in {str(keys)!r} run on this machine already: "
        "start fewer, or make more with `downdraft keys --node …`"
        if found
        else f"there are no credentials of nodes in {str(keys)!r}: `downdraft keys --node …` makes them"
    )


@contextmanager
def as_replica(
    keys: Path | None, settings: Settings, with_more: Callable[[dict[str, str]], Settings]
) -> Iterator[Settings]:
    """The settings of the node that this process is, held for the length of the block; `settings` where no keys are
    shared. `with_more` gives them with further values. Raises NoIdLeft.
    """
    if keys is None:
        yield settings
        return
    downloads, state = Path(settings.node.downloads), Path(settings.node.state)
    with being_one_of(keys, state, socket.gethostname()) as replica:
        yield with_more(
            {
                "node.id": replica.node,
                "nats.creds": str(replica.creds),
                "node.downloads": str(downloads / replica.node),
                "node.state": str(state / replica.node),
            }
        )


def _claimed_by(state: Path, node: str) -> str:
    try:
        return (state / node / CLAIM_FILE).read_text()
    except OSError:
        return ""


def _claim(state: Path, node: str, host: str) -> int | None:
    """The descriptor that holds the claim; None where another process has it."""
    folder = state / node
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(folder / CLAIM_FILE, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        filelocks.lock(descriptor)
    except OSError:
        os.close(descriptor)
        return None
    os.ftruncate(descriptor, 0)
    os.write(descriptor, host.encode())
    return descriptor
