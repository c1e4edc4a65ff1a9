"""Streams saved to files and brought back, by the broker's own snapshots: with sequences, times and consumers.

Laid out as the NATS tools lay out theirs, `<folder>/<stream>/backup.json` and `stream.tar.s2`, so that
`nats account restore` reads ours and we read what `nats account backup` wrote.
"""

import json
from pathlib import Path
from typing import Any

import anyio
from msgspec import Struct
from nats.aio.msg import Msg

from broker.connection import REQUEST_TIMEOUT_S, Connection
from broker.errors import STREAM_NOT_FOUND, ApiRefused, BrokerError, Unanswered
from schemas import subjects as s

IN_ORDER = (s.REQUESTS_STREAM, s.TASKS_STREAM, s.EVENTS_STREAM, s.BUCKET_STREAM, s.PAYLOADS_STREAM)
"""A task moves from the inbox to the table to the log, and so does the saving: what moves on meanwhile is saved twice,
and the rules see that it is done once. In another order it could be missed."""
CHUNK_BYTES = 128 << 10
QUIET_AFTER_S = 30.0
"""A snapshot that brings nothing for so long has failed: the broker sends on as soon as a piece is acknowledged."""
CHECK_WITHIN_S = 600.0
"""Before it answers, the broker reads a whole stream and compares checksums."""
HEARD_OF_WITHIN_S = 10.0
"""Servers of one cluster tell each other within milliseconds who listens for what; overloaded ones take longer."""
AGAIN_AFTER_S = 0.1
META, DATA = "backup.json", "stream.tar.s2"
PART = ".part"


class BackupFailed(BrokerError):
    """A stream could not be saved, or not be brought back."""


class Saved(Struct, frozen=True):
    """What became of one stream."""

    stream: str
    messages: int
    bytes: int
    """Of the file."""
    was_there: bool = False
    """An earlier try had brought it back."""


async def save(connection: Connection, stream: str, folder: Path) -> Saved | None:
    """Write a stream into `folder`/<stream>, whole or not at all; None where there is no such stream.

    Raises BackupFailed, ApiRefused, Unanswered.
    """
    into = folder / stream
    into.mkdir(parents=True, exist_ok=True)
    pieces = _Pieces(into / (DATA + PART))
    inbox = connection.client.new_inbox()
    subscription = await connection.client.subscribe(inbox, cb=pieces.take)
    try:
        asked = {"deliver_subject": inbox, "no_consumers": False, "jsck": True, "chunk_size": CHUNK_BYTES}
        told = await connection.api(f"STREAM.SNAPSHOT.{stream}", asked, timeout_s=CHECK_WITHIN_S)
        await pieces.all()
    except ApiRefused as error:
        if error.code == STREAM_NOT_FOUND:
            return None
        raise
    finally:
        with anyio.CancelScope(shield=True), anyio.move_on_after(1):
            await subscription.unsubscribe()
        size = pieces.close()
    (into / (META + PART)).write_text(json.dumps({"config": told["config"], "state": told["state"]}, indent=1))
    for name in (DATA, META):
        (into / (name + PART)).replace(into / name)
    return Saved(stream, int(told["state"]["messages"]), size)


async def bring_back(connection: Connection, stream: str, folder: Path, replicas: int | None = None) -> Saved | None:
    """Make a stream from `folder`/<stream> that must not exist; None where none is saved there.

    `replicas`: another number of copies than it had. Raises BackupFailed, ApiRefused, Unanswered.
    """
    meta, data = folder / stream / META, folder / stream / DATA
    if not meta.exists():
        return None
    said = _read(meta)
    if replicas is not None:
        said["config"]["num_replicas"] = replicas
    told = await connection.api(f"STREAM.RESTORE.{stream}", said)
    size = 0
    with data.open("rb") as file:
        while piece := file.read(CHUNK_BYTES):
            size += len(piece)
            answer = await hand_over(connection, told["deliver_subject"], piece)
            if answer.data:
                _raise_for(stream, json.loads(answer.data))
    answer = await hand_over(connection, told["deliver_subject"], timeout_s=CHECK_WITHIN_S)
    ended: dict[str, Any] = json.loads(answer.data)
    _raise_for(stream, ended)
    found, wanted = int(ended["state"]["messages"]), int(said["state"]["messages"])
    expires = said["config"].get("max_age") or said["config"].get("allow_msg_ttl")
    if found != wanted and not expires:
        raise BackupFailed(f"{stream}: {wanted} messages were saved, and {found} came back")
    return Saved(stream, found, size)


async def hand_over(
    connection: Connection, subject: str, piece: bytes = b"", timeout_s: float = REQUEST_TIMEOUT_S
) -> Msg:
    """Have a piece taken, the empty one last. Raises Unanswered.

    Of three servers another may be the one that takes it, and the one that is asked hears of that only a moment after
    it has promised so: what nobody was there to take is handed over again.
    """
    begun = anyio.current_time()
    while True:
        try:
            return await connection.request(subject, piece, timeout_s=timeout_s)
        except Unanswered as error:
            if "no responders" not in str(error) or anyio.current_time() > begun + HEARD_OF_WITHIN_S:
                raise
        await anyio.sleep(AGAIN_AFTER_S)


def _read(meta: Path) -> dict[str, Any]:
    try:
        said: dict[str, Any] = json.loads(meta.read_text())
        return {"config": said["config"], "state": said["state"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BackupFailed(f"{str(meta)!r} does not describe a stream: {error}") from error


def _raise_for(stream: str, answer: dict[str, Any]) -> None:
    if problem := answer.get("error"):
        raise BackupFailed(f"{stream}: the broker does not take it: {problem.get('description', problem)}")


class _Pieces:
    """A snapshot as it comes, acknowledged piece by piece; an empty one is the end."""

    def __init__(self, file: Path) -> None:
        self._file = file.open("wb")
        self._size = 0
        self._ended = anyio.Event()
        self._problem = ""

    async def take(self, msg: Msg) -> None:
        if not msg.data:
            status = (msg.headers or {}).get("Status", "")
            self._problem = (msg.headers or {}).get("Description", status) if status not in ("", "204") else ""
            self._ended.set()
            return
        try:
            self._size += self._file.write(msg.data)
        except OSError as error:
            self._problem = str(error)
            self._ended.set()
            return
        if msg.reply:
            await msg.respond(b"")

    async def all(self) -> None:
        """Return when the last one is there. Raises BackupFailed, Unanswered."""
        while not self._ended.is_set():
            before = self._size
            with anyio.move_on_after(QUIET_AFTER_S):
                await self._ended.wait()
            if self._size == before and not self._ended.is_set():
                raise Unanswered(f"the snapshot brought nothing for {QUIET_AFTER_S:g} s")
        if self._problem:
            raise BackupFailed(f"the snapshot broke off: {self._problem}")

    def close(self) -> int:
        self._file.close()
        return self._size


async def existing(connection: Connection) -> dict[str, dict[str, Any]]:
    """The streams that there are, with their states. Raises ApiRefused, Unanswered."""
    found = {}
    for stream in IN_ORDER:
        try:
            info = await connection.api(f"STREAM.INFO.{stream}")
        except ApiRefused as error:
            if error.code != STREAM_NOT_FOUND:
                raise
        else:
            found[stream] = info["state"]
    return found


def brought_back(stream: str, state: dict[str, Any], folder: Path) -> Saved | None:
    """What an earlier try has done, where nothing was written to a stream since; None where it is another one.

    The broker makes a stream when it has all of it. Raises BackupFailed.
    """
    meta, data = folder / stream / META, folder / stream / DATA
    if not meta.exists() or _read(meta)["state"]["last_seq"] != state["last_seq"]:
        return None
    return Saved(stream, state["messages"], data.stat().st_size, was_there=True)
