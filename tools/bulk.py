"""Submitting many requests from an input file, and waiting for them to end."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from typing import Any, NamedTuple
from uuid import uuid4

import anyio
from msgspec.structs import replace
from rich.console import Console, Group, RenderableType
from rich.text import Text

from broker.cluster import Client, NotSubmitted, Prepared
from broker.errors import BrokerError, Unanswered
from broker.publisher import Publisher, publishing
from schemas import codec
from schemas.lifecycle import State
from schemas.repeats import repeatable_id
from schemas.sizes import format_size
from schemas.view import TaskView
from tools import lines
from tools.inputfile import BadLine, Entry, LineInvalid, Reader, to_request
from tools.looking import COLOURS
from tools.pieces import pieces, size_of
from tools.submitting import accepted, complain, drawn, said_when_interrupted
from tools.waiting import Waiting, waiting

ROWS_MAX = 10
"""Bars of running downloads below the overall one."""
PRINT_EVERY_S = 0.1
LISTED_MAX = 20
"""Those that did not complete are named at the end, up to so many."""


class Bulk(NamedTuple):
    """What is asked for."""

    file: str
    """A path, or `-` for standard input."""
    defaults: Mapping[str, Any]
    """Fields of a request, for every entry."""
    owner: str | None
    id_prefix: str | None
    wait: bool
    as_json: bool
    quiet: bool


class Sent(NamedTuple):
    """A request on its way."""

    line: int
    prepared: Prepared


class Submission:
    """How far it has come."""

    def __init__(self, client: Client, bulk: Bulk, one: Waiting | None) -> None:
        self.accepted = 0
        self.refused = 0
        self.bytes_read = 0
        self.has_all = False
        """Whether everything was read and answered."""
        self.waiting = one
        self._client = client
        self._bulk = bulk
        self._prefix = bulk.id_prefix or f"run-{uuid4().hex[:12]}"
        """By it, a run that was interrupted is repeated safely, also where nobody thought of it before."""
        self._bytes_all = size_of(bulk.file)
        self._began = anyio.current_time()
        self._lines: list[str] = []

    async def run(self) -> None:
        """Read, check and send it all. Raises CantRead, NotSubmitted where the broker stays away."""
        reader = Reader()
        publisher: Publisher[Sent] | None = None
        try:
            async with publishing(
                self._client.connection, stored=self._stored, refused=self._refused_by_broker, full=self._full
            ) as publisher:
                async for piece in pieces(self._bulk.file):
                    self.bytes_read += len(piece)
                    await self._send_all(publisher, reader.feed(piece))
                await self._send_all(publisher, reader.end())
                await publisher.settle()
        except Unanswered as error:
            unsure = sorted(sent.line for sent in publisher.unsettled) if publisher is not None else []
            raise NotSubmitted(
                f"{error}: {self.accepted} requests are submitted, of {len(unsure)} it is not known "
                f"(lines {unsure[0]} to {unsure[-1]}). {self.how_to_go_on()}"
                if unsure
                else str(error)
            ) from error
        self.has_all = True

    def how_to_go_on(self) -> str:
        return (
            f"Repeat the command with --id-prefix {self._prefix}: what was accepted before stays the same task, "
            "and is not downloaded twice."
        )

    async def _send_all(self, publisher: Publisher[Sent], found: list[Entry | BadLine]) -> None:
        for one in found:
            if isinstance(one, BadLine):
                self._refuse(one.line, one.reason)
                continue
            try:
                sent = Sent(one.line, self._prepare(one))
            except LineInvalid as error:
                self._refuse(error.bad.line, error.bad.reason)
                continue
            if self.waiting is not None:
                self.waiting.expect(sent.prepared, perhaps_over=self._may_be_old(one))
            await publisher.put(sent, sent.prepared.subject, sent.prepared.body)

    def _may_be_old(self, entry: Entry) -> bool:
        return self._bulk.id_prefix is not None or any(option.name == "id" for option in entry.options)

    def _prepare(self, entry: Entry) -> Prepared:
        """Raises LineInvalid."""
        request = to_request(entry, self._bulk.defaults)
        if request.id is None:
            request = replace(request, id=repeatable_id(self._prefix, request))
        try:
            return self._client.prepare(request, self._bulk.owner, is_checked=True)
        except NotSubmitted as error:
            raise LineInvalid(entry.line, str(error)) from error

    def _refuse(self, line: int, reason: str) -> None:
        self.refused += 1
        complain(f"line {line}: {reason}")

    def _refused_by_broker(self, sent: Sent, error: BrokerError) -> None:
        if self.waiting is not None:
            self.waiting.forget(sent.prepared.task)
        self._refuse(sent.line, str(error))

    def _full(self, wait_s: float) -> None:
        complain(f"the inbox is full, trying again in {wait_s:g} s: it empties as the coordinator claims")

    def _stored(self, sent: Sent) -> None:
        self.accepted += 1
        if self.waiting is not None or (self._bulk.quiet and not self._bulk.as_json):
            return
        prepared = sent.prepared
        self._lines.append(
            codec.encode(accepted(prepared.task, prepared.request, sent.line)).decode()
            if self._bulk.as_json
            else prepared.task
        )

    def ended(self, view: TaskView) -> None:
        if self._bulk.as_json:
            self._lines.append(codec.encode(view).decode())
        elif not self._bulk.quiet:
            self._lines.append(lines.ended(view).plain)

    async def keep_printing(self) -> None:
        """Print what there is now and then: a line each would cost more than submitting it."""
        while True:
            await anyio.sleep(PRINT_EVERY_S)
            self.print_now()

    def print_now(self) -> None:
        waiting_lines, self._lines = self._lines, []
        if waiting_lines:
            print("\n".join(waiting_lines), flush=True)  # noqa: T201 - printing is what this is for

    def draw(self, rows: int, columns: int) -> RenderableType:
        """The whole view, at most `rows` high."""
        seconds = max(0.1, anyio.current_time() - self._began)
        shown: list[Text] = []
        if not self.has_all:
            said = f"{self.accepted:,} submitted, {self.accepted / seconds:,.0f}/s"
            said += f", {self.refused:,} refused" if self.refused else ""
            shown.append(_overall(said, self.bytes_read, self._bytes_all, "", columns))
        one = self.waiting
        if one is not None:
            said = f"{one.done:,} of {one.total:,} done"
            failed = one.done - one.outcomes[State.COMPLETED]
            said += f", {failed:,} not completed" if failed else ""
            speed = f"{format_size(one.bytes_per_s)}/s"
            shown.append(_overall(said, one.done, max(one.total, 1), speed, columns))
            running = sorted(one.moving.values(), key=lambda moving: moving.progress.task)
            for moving in running[:ROWS_MAX]:
                name = one.left.get(moving.progress.task, moving.progress.task)
                shown.append(lines.transfer(moving.progress, name, columns))
            if len(running) > ROWS_MAX:
                shown.append(lines.cut(Text(f"… and {len(running) - ROWS_MAX:,} more", style="dim"), columns))
        return Group(*shown[:rows])

    def report(self) -> None:
        """The end, for people, on standard error."""
        seconds = max(0.001, anyio.current_time() - self._began)
        said = f"submitted {self.accepted:,}, refused {self.refused:,}"
        one = self.waiting
        if one is None:
            complain(f"{said} in {seconds:.1f} s ({self.accepted / seconds:,.0f}/s)")
            return
        others = list(one.others)
        for view in others[:LISTED_MAX]:
            complain(lines.ended(view).plain)
        if (more := one.done - one.outcomes[State.COMPLETED] - len(others[:LISTED_MAX])) > 0:
            complain(f"… and {more:,} more")
        counts = ", ".join(f"{one.outcomes[state]:,} {state}" for state in COLOURS if state in one.outcomes)
        complain(
            f"{said}: {counts or 'none ended'}; {format_size(one.bytes)} in {seconds:.1f} s "
            f"({one.bytes / seconds / 1e6:.1f} MB/s)"
        )


def _overall(said: str, done: float, total: float, speed: str, columns: int) -> Text:
    bar_width = max(0, min(lines.BAR_WIDE, columns - len(said) - len(speed) - 2))
    return lines.cut(Text(f"{said} ").append_text(lines.bar(done, total, bar_width)).append(f" {speed}"), columns)


async def submit_many(client: Client, bulk: Bulk) -> int:
    """The exit code: 2 if a line was refused, else 1 if not everything that was waited for completed, else 0."""
    async with AsyncExitStack() as stack:
        one = None
        if bulk.wait:
            one = await stack.enter_async_context(waiting(client, lambda view: submission.ended(view)))
        submission = Submission(client, bulk, one)
        stack.enter_context(said_when_interrupted(lambda: _interrupted(submission)))
        await stack.enter_async_context(drawn(submission.draw, as_json=bulk.as_json))
        stack.callback(submission.print_now)
        tasks = await stack.enter_async_context(anyio.create_task_group())
        tasks.start_soon(submission.keep_printing)
        await submission.run()
        if one is not None:
            await one.until_all_ended()
        tasks.cancel_scope.cancel()
    if not bulk.quiet:
        submission.report()
    if submission.refused:
        return 2
    return 0 if submission.waiting is None or submission.waiting.all_completed else 1


def _interrupted(submission: Submission) -> str:
    if not submission.has_all:
        return f"\ninterrupted: {submission.accepted:,} requests are submitted. {submission.how_to_go_on()}"
    one = submission.waiting
    assert one is not None
    return (
        f"\ninterrupted: {len(one.left):,} tasks go on without being waited for. "
        "See them with `downdraft watch`, follow their ends with `downdraft events --type finished`."
    )


async def check_all(bulk: Bulk) -> int:
    """Check every entry and submit nothing. The exit code: 2 if a line would be refused."""
    reader, good, bad = Reader(), 0, 0

    async def everything() -> AsyncIterator[Entry | BadLine]:
        async for piece in pieces(bulk.file):
            for found in reader.feed(piece):
                yield found
        for found in reader.end():
            yield found

    async for found in everything():
        try:
            if isinstance(found, BadLine):
                raise LineInvalid(*found)
            to_request(found, bulk.defaults)
            good += 1
        except LineInvalid as error:
            bad += 1
            complain(str(error))
    Console(highlight=False, soft_wrap=True).print(f"{good:,} would be submitted, {bad:,} refused", markup=False)
    return 2 if bad else 0
