"""Waiting for tasks to end, one or a hundred thousand: by the log where it may be read, else by asking."""

from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import NamedTuple

import anyio

from broker.cluster import Client, Prepared, Refused
from broker.errors import Unanswered
from broker.eventlog import StoredEvent
from broker.follow import FILTERS_MAX, NOW, OUTCOMES, Follower
from schemas import heartbeat
from schemas.event import AnyEvent, Assigned, Finished, Retrying
from schemas.lifecycle import FINISHED, State
from schemas.subjects import EventSubject
from schemas.view import TaskView, ended

ASKED_AT_ONCE = 32
"""Questions in flight to the coordinator, from those who may not read the log."""
ASK_AGAIN_S = 0.5
"""Pause after a round of questions in which nothing had ended."""
LOOK_AGAIN_S = 0.5
STALE_AFTER_S = 5.0
"""Progress comes about once a second: what was not heard for so long is not shown as if it ran."""
FAILURES_KEPT = 50
"""How many of those that did not complete are kept by name for the end."""


class Moving(NamedTuple):
    """A transfer as it was last heard of."""

    progress: heartbeat.Progress
    heard_at: float


class Waiting:
    """What was submitted, what of it has ended and how; open it with `waiting`."""

    def __init__(self, client: Client, on_end: Callable[[TaskView], None]) -> None:
        self.left: dict[str, str] = {}
        """What to call each task that has not ended, by id."""
        self.outcomes: Counter[State] = Counter()
        self.bytes = 0
        self.others: deque[TaskView] = deque(maxlen=FAILURES_KEPT)
        """The latest of those that did not complete."""
        self.notes: dict[str, str] = {}
        """What happened last to each task, where just one is waited for."""
        self.moving: dict[str, Moving] = {}
        self._client = client
        self._on_end = on_end
        self._changed = anyio.Event()
        self._perhaps_over: deque[str] = deque()
        self._expected: set[str] = set()
        self._hoped_for: dict[str, str] = {}
        """The task that was hoped for, by the id of the one that its request becomes where it is rejected."""
        self._rejected_as: dict[str, str] = {}
        """The other way round."""

    def __repr__(self) -> str:
        return f"<Waiting for {len(self.left)}, {self.done} ended>"

    @property
    def total(self) -> int:
        return len(self._expected)

    @property
    def done(self) -> int:
        return self.outcomes.total()

    @property
    def bytes_per_s(self) -> int:
        self.forget_silent()
        return sum(moving.progress.bytes_per_s for moving in self.moving.values())

    @property
    def all_completed(self) -> bool:
        return not self.left and self.outcomes[State.COMPLETED] == self.done

    def expect(self, prepared: Prepared, *, perhaps_over: bool) -> None:
        """Wait for this task too. `perhaps_over`: it may be an old one that ended before."""
        task = prepared.task
        if task in self._expected:
            return  # the same entry twice is one task
        self._expected.add(task)
        self.left[task] = prepared.request.title
        rejected_as = self._rejected_as[task] = prepared.rejected_as
        self._hoped_for[rejected_as] = task
        if not self._client.may_read_log:
            self._perhaps_over.append(task)
        elif perhaps_over:
            self._perhaps_over.extend((task, rejected_as))

    def forget(self, task: str) -> None:
        """It was not submitted after all."""
        self._expected.discard(task)
        self._drop(task)
        if not self.left:
            self._changed.set()

    async def until_all_ended(self) -> None:
        while self.left:
            self._changed = anyio.Event()
            await self._changed.wait()

    def forget_silent(self) -> None:
        now = anyio.current_time()
        self.moving = {task: one for task, one in self.moving.items() if now - one.heard_at < STALE_AFTER_S}

    def moved(self, progress: heartbeat.Progress) -> None:
        if progress.task in self.left:
            self.moving[progress.task] = Moving(progress, anyio.current_time())

    async def follow(self, follower: Follower, *, noting: bool) -> None:
        """Take outcomes from the log as they are stored, for ever."""
        while True:
            found = await follower.next(wanted=self._is_wanted)
            if found is not None:
                if noting:
                    self._note(found.event)
                self._take(found)

    def _is_wanted(self, subject: EventSubject) -> bool:
        return self._is_left(subject.task)

    def _is_left(self, task: str) -> bool:
        """Whether this, or the task that was hoped for instead, has not ended."""
        return task in self.left or task in self._hoped_for

    def _take(self, found: StoredEvent) -> None:
        event = found.event
        if isinstance(event, Finished):
            self.end(self._hoped_for.get(event.task, event.task), ended(event))

    def _drop(self, task: str) -> bool:
        """Wait for it no longer; False if it was not waited for."""
        if self.left.pop(task, None) is None:
            return False
        del self._hoped_for[self._rejected_as.pop(task)]
        return True

    def end(self, task: str, view: TaskView) -> None:
        """Count an outcome, once."""
        if not self._drop(task):
            return
        self.moving.pop(task, None)
        self.notes.pop(task, None)
        self.outcomes[view.state] += 1
        self.bytes += view.bytes
        if view.state is not State.COMPLETED:
            self.others.append(view)
        self._on_end(view)
        if not self.left:
            self._changed.set()

    def _note(self, event: AnyEvent) -> None:
        if event.task not in self.left:
            return
        match event:
            case Assigned():
                self.notes[event.task] = f"on {event.node}"
            case Retrying():
                self.notes[event.task] = f"again in {event.next_in_s:.0f} s: {event.reason}"
            case _:
                self.notes[event.task] = event.kind

    async def look_up(self) -> None:
        """Look in the log for what ended before it was followed, many at once, for ever."""
        while True:
            batch = self._next_batch(FILTERS_MAX)
            try:
                if batch:
                    async with self._client.follow(0, tasks=batch, kinds=[OUTCOMES]) as follower:
                        async for found in follower.stored():
                            self._take(found)
            except Unanswered:
                self._perhaps_over.extendleft(reversed(batch))
                batch = []
            if not batch:
                await anyio.sleep(LOOK_AGAIN_S)

    async def ask(self) -> None:
        """Ask the coordinator about one batch after the other, for ever; those that still live come again later."""
        while True:
            batch = self._next_batch(ASKED_AT_ONCE)
            done = self.done
            async with anyio.create_task_group() as tasks:
                for task in batch:
                    tasks.start_soon(self._ask, task)
            self._perhaps_over.extend(task for task in batch if task in self.left)
            if self.done == done:
                await anyio.sleep(ASK_AGAIN_S)

    def _next_batch(self, count: int) -> list[str]:
        """Tasks that may have ended, each once, those that have left out."""
        batch: dict[str, None] = {}
        while self._perhaps_over and len(batch) < count:
            task = self._perhaps_over.popleft()
            if self._is_left(task):
                batch[task] = None
        return list(batch)

    async def _ask(self, task: str) -> None:
        try:
            view = (await self._client.show(task)).task
            if view is None and (rejected_as := self._rejected_as.get(task)) is not None:
                view = (await self._client.show(rejected_as)).task
        except Refused:
            return  # between two leaders; asked again soon
        if view is not None and view.state in FINISHED:
            self.end(task, view)


@asynccontextmanager
async def waiting(
    client: Client, on_end: Callable[[TaskView], None], *, only: Prepared | None = None
) -> AsyncIterator[Waiting]:
    """Wait for the length of the block; open it *before* submitting. `on_end` is called once for each outcome.

    `only`: what will be submitted, where it is just one: what happens to it is noted too.
    Raises Unanswered where the broker is away at the beginning; later it is waited for.
    """
    one = Waiting(client, on_end)
    async with AsyncExitStack() as stack:
        if client.may_watch:
            await stack.enter_async_context(client.progress(one.moved, only.task if only else None))
        follower = None
        if client.may_read_log:
            ids, kinds = ((only.task, only.rejected_as), ()) if only else ((), (OUTCOMES,))
            follower = await stack.enter_async_context(client.follow(NOW, tasks=ids, kinds=kinds))
        tasks = await stack.enter_async_context(anyio.create_task_group())
        if follower is not None:
            tasks.start_soon(lambda: one.follow(follower, noting=only is not None))
            tasks.start_soon(one.look_up)
        else:
            tasks.start_soon(one.ask)
        yield one
        tasks.cancel_scope.cancel()
