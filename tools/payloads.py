"""A torrent file of the user's: checked as the nodes will check it, and put where they can read it."""

import base64
from pathlib import Path

from broker import payloads
from broker.cluster import Client, NotSubmitted
from broker.errors import BrokerError
from node.torrentfile import TORRENT_BYTES_MAX, TorrentInvalid, read_torrent
from schemas.errors import DowndraftError
from schemas.payload import INLINE_BYTES_MAX, OBJECT


class FileUnusable(DowndraftError):
    """A file that was named on the command line can't be used."""

    exit_code = 2


def read_torrent_file(file: str) -> bytes:
    """Raises FileUnusable for what is no torrent."""
    try:
        with Path(file).open("rb") as opened:
            content = opened.read(TORRENT_BYTES_MAX + 1)
        read_torrent(content)
    except OSError as error:
        raise FileUnusable(f"can't read {file!r}: {error.strerror or error}") from error
    except TorrentInvalid as error:
        raise FileUnusable(f"{file!r} can't be used as a torrent: {error}") from error
    return content


def reference(content: bytes) -> str:
    """What a request says of it: the content itself, or the object that holds it."""
    if len(content) <= INLINE_BYTES_MAX:
        return base64.b64encode(content).decode()
    return OBJECT + payloads.name_of(content, ".torrent")


async def stored(client: Client, content: bytes) -> None:
    """Put into the object store what a request is too small for. Raises NotSubmitted."""
    if len(content) <= INLINE_BYTES_MAX:
        return
    try:
        await payloads.put(client.connection, payloads.name_of(content, ".torrent"), content)
    except BrokerError as error:
        raise NotSubmitted(f"the torrent could not be put into the object store: {error}") from error
