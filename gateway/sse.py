"""Events as Server-Sent Events (WHATWG HTML, 9.2): one loop for each client, and nothing queued for any of them."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import anyio
import structlog
from msgspec import Struct

from gateway.eventfilter import EventFilter, TraitBook
from gateway.hub import Hub, Kept
from gateway.logreader import Gap, LogReader
from gateway.pouring import Write
from gateway.problems import ProblemError
from schemas import codec
from schemas.heartbeat import Progress

log = structlog.get_logger()

MEDIA_TYPE = "text/event-stream"
HEADERS = {
    "Cache-Control": "no-store",
    # Some proxies would collect the events otherwise.
    "X-Accel-Buffering": "no",
}
RETRY_MS = 1000
"""How soon a client that lost its stream comes back."""
HEARTBEAT_S = 15.0
"""A comment at least so often: whoever hears less has lost the connection."""
BATCH = 500
PART_BYTES = 64 << 10
GATHER_S = 0.1
"""What comes so shortly after another event goes with the next: 200 clients and 200 events a second would be 40,000
writes a second."""
SLOW_S = 10.0
"""A client that took nothing for so long is too slow; one that has fallen behind what is kept, after SLOWISH_S."""
SLOWISH_S = 1.0
POSITION_EVERY = 1000
"""Events that a client does not want, after which it is told how far it is all the same."""


class Position(Struct, frozen=True, tag_field="type", tag="position"):
    """How far the stream is: its id is what to resume from."""

    sequence: int


class Missing(Struct, frozen=True, tag_field="type", tag="gap"):
    """Events after one sequence, up to another, can't be read (any more)."""

    after: int
    until: int
    reason: str


class Dropped(Struct, frozen=True, tag_field="type", tag="dropped"):
    """The stream ends here, and why; it can be resumed."""

    reason: str


def frame(kind: str, data: bytes, sequence: int | None = None) -> bytes:
    """One event: `data` is JSON, which has no line ends."""
    name = f"id: {sequence}\nevent: {kind}\ndata: " if sequence is not None else f"event: {kind}\ndata: "
    return name.encode() + data + b"\n\n"


class LatestProgress:
    """What each transfer said last since it was asked for last."""

    def __init__(self) -> None:
        self._latest: dict[str, Progress] = {}

    def take(self, progress: Progress) -> None:
        self._latest[progress.task] = progress

    async def frames(self, wanted: EventFilter, book: TraitBook) -> list[bytes]:
        latest, self._latest = self._latest, {}
        return [
            frame("progress", codec.encode(progress))
            for task, progress in latest.items()
            if await wanted.wants_progress(task, book)
        ]


class EventStream:
    """What one client is told."""

    def __init__(
        self,
        write: Write,
        hub: Hub,
        reader: LogReader,
        wanted: EventFilter,
        book: TraitBook,
        check: Callable[[], Any],
    ) -> None:
        """`check` raises ProblemError once the client may not read any more."""
        self._write, self._hub, self._reader = write, hub, reader
        self._wanted, self._book, self._check = wanted, book, check
        self._told = reader.after
        self._was_live = False
        self._quiet_since = anyio.current_time()

    def __repr__(self) -> str:
        return f"<EventStream {self._reader!r}>"

    async def run(self, *, progress: bool) -> bool:
        """Until the client leaves, is too slow or may not read any more, or the process ends. Raises Stuck."""
        latest = LatestProgress()
        await self._send([f"retry: {RETRY_MS}\n\n".encode(), self._position()])
        while self._wanted.needs_book and not (self._book.is_ready or self._hub.is_closed or self._why_ended()):
            await self._send([])  # nothing is passed over because its task is not known yet
            await anyio.sleep(GATHER_S)
        with ExitStack() as stack:
            if progress:
                stack.enter_context(self._hub.progressing(latest.take))
            while not (why := self._why_ended()) and not self._hub.is_closed:
                self._was_live = not self._reader.is_behind
                await self._send([*await self._news(), *await latest.frames(self._wanted, self._book)])
                if self._reader.is_level:
                    await anyio.sleep(GATHER_S)
        if why:
            log.info("an event stream was ended", reason=why)
            await self._write(
                frame("dropped", codec.encode(Dropped(f"{why}; resume with Last-Event-ID: {self._told}")))
            )
        return True

    def _why_ended(self) -> str:
        if self._write.waited_s > SLOW_S:
            return f"nothing was read here for {SLOW_S:g} seconds"
        if self._was_live and self._reader.is_behind and self._write.waited_s > SLOWISH_S:
            return "events come faster than they are read here"
        try:
            self._check()
        except ProblemError as error:
            return str(error)
        return ""

    async def _news(self) -> list[bytes]:
        events = await self._reader.next(BATCH)
        frames = [self._gap(gap) for gap in self._reader.gaps()]
        frames += [self._frame(kept) for kept in events if await self._wanted.wants(kept.event, self._book)]
        if self._reader.after - self._told > POSITION_EVERY and not frames:
            frames.append(self._position())
        return frames

    def _gap(self, gap: Gap) -> bytes:
        """Its id is where the events after it begin, which may be on their way yet."""
        self._told = gap.until
        return frame("gap", codec.encode(Missing(gap.after, gap.until, gap.reason)), gap.until)

    def _frame(self, kept: Kept) -> bytes:
        self._told = kept.sequence
        return frame(kept.event.kind, kept.json, kept.sequence)

    def _position(self) -> bytes:
        self._told = self._reader.after
        return frame("position", codec.encode(Position(self._told)), self._told)

    async def _send(self, frames: list[bytes]) -> None:
        now = anyio.current_time()
        if not frames and now - self._quiet_since > HEARTBEAT_S:
            frames = [b": still here\n\n"]
        if frames:
            self._write.waited_s = 0.0
        part: list[bytes] = []
        size = 0
        for one in frames:
            part.append(one)
            size += len(one)
            if size > PART_BYTES:
                await self._write(b"".join(part))
                part, size = [], 0
        if part:
            await self._write(b"".join(part))
        if frames:
            self._quiet_since = now
