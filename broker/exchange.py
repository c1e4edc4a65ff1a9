"""Many requests at once over one inbox: what makes a coordinator fast is asking for a batch and waiting once.

A request of its own costs a future, a timer and a random inbox each; here a batch shares one of each.
"""

from collections.abc import Sequence
from contextlib import suppress
from itertools import count
from typing import NamedTuple

import anyio
import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

NO_RESPONDERS = "503"


class Ask(NamedTuple):
    subject: str
    body: bytes
    headers: dict[str, str] | None = None


class Reply(NamedTuple):
    """What came back: a message, or why there is none."""

    msg: Msg | None
    problem: str = ""


class _Batch:
    """Answers as they come, in the order of the questions."""

    def __init__(self, size: int) -> None:
        self.replies: list[Reply | None] = [None] * size
        self.left = size
        self.done = anyio.Event()

    def answer(self, index: int, reply: Reply) -> None:
        if self.replies[index] is None:
            self.replies[index] = reply
            self.left -= 1
            if self.left == 0:
                self.done.set()


class Exchange:
    """The asking side of one connection."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._prefix = ""
        self._opening = anyio.Lock()
        self._tokens = count(1)
        self._waiting: dict[str, tuple[_Batch, int]] = {}

    def __repr__(self) -> str:
        return f"<Exchange {len(self._waiting)} unanswered>"

    async def _open(self) -> None:
        """Listen for answers: when first needed, for a viewer may not listen at all."""
        async with self._opening:
            if not self._prefix:
                prefix = f"{self._client.new_inbox()}."
                await self._client.subscribe(f"{prefix}*", cb=self._answered)
                self._prefix = prefix

    async def ask_all(self, asks: Sequence[Ask], timeout_s: float, *, again_s: float | None = None) -> list[Reply]:
        """Send all, wait for all answers at most so long; one reply each, in their order.

        `again_s`: what has no answer by then is sent once more, and so on: for what may safely be done twice, and is
        lost where a server dies or elects a leader. The first answer counts, whichever try it is to.
        """
        if not asks:
            return []
        if not self._prefix:
            await self._open()
        batch = _Batch(len(asks))
        tokens = [str(next(self._tokens)) for _ in asks]
        try:
            for index, (token, ask) in enumerate(zip(tokens, asks, strict=True)):
                self._waiting[token] = batch, index
                try:
                    await self._client.publish(ask.subject, ask.body, self._prefix + token, ask.headers)
                except nats.errors.Error as error:
                    del self._waiting[token]
                    batch.answer(index, Reply(None, str(error) or type(error).__name__))
            with anyio.move_on_after(timeout_s):
                while batch.left:
                    with anyio.move_on_after(again_s):
                        await batch.done.wait()
                    await self._send_again([(t, a) for t, a in zip(tokens, asks, strict=True) if t in self._waiting])
        finally:
            if batch.left:
                for token in tokens:
                    self._waiting.pop(token, None)
        return [reply or Reply(None, "no answer in time") for reply in batch.replies]

    async def _send_again(self, unanswered: Sequence[tuple[str, Ask]]) -> None:
        for token, ask in unanswered:
            with suppress(nats.errors.Error):  # an earlier try may still be answered
                await self._client.publish(ask.subject, ask.body, self._prefix + token, ask.headers)

    async def _answered(self, msg: Msg) -> None:
        found = self._waiting.pop(msg.subject[len(self._prefix) :], None)
        if found is None:
            return  # too late
        batch, index = found
        if msg.headers and msg.headers.get("Status") == NO_RESPONDERS:
            batch.answer(index, Reply(None, "no responders available for request"))
        else:
            batch.answer(index, Reply(msg))
