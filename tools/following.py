"""`events`: print what happens, or happened, and run a command for each outcome."""

import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from typing import NamedTuple

import anyio
from rich.console import Console

from broker.cluster import Client
from broker.follow import NOW, expand
from schemas.errors import DowndraftError
from schemas.event import AnyEvent, Finished
from tools.hooks import Hooks, hooking
from tools.looking import event_line, print_json

LIVE_AHEAD = 10_000
"""Events kept for a slow reader whose credentials allow no going back."""


class Wanted(NamedTuple):
    """What is asked for."""

    tasks: tuple[str, ...]
    kinds: tuple[str, ...]
    since: datetime | None
    follow: bool
    """Go on after what is stored; without `since` always so."""
    stop_after: int
    """End after so many; 0: never."""
    as_json: bool
    quiet: bool
    command: list[str]
    """To run for each outcome; empty: none."""


class FellBehind(DowndraftError):
    """Events came faster than they were used, and can't be read again."""


async def print_events(client: Client, wanted: Wanted) -> bool:
    """Print each event, until there are enough, or for ever. False where a command failed. Raises Refused."""
    seen = 0
    console = Console(highlight=False, soft_wrap=True)
    hooks: Hooks | None = None
    async with AsyncExitStack() as stack:
        if wanted.command:
            hooks = await stack.enter_async_context(hooking(wanted.command))
        events = await stack.enter_async_context(_source(client, wanted))
        async for event in events:
            if wanted.as_json:
                print_json(event)
            elif not wanted.quiet:
                console.print(event_line(event))
                sys.stdout.flush()
            if hooks is not None and isinstance(event, Finished):
                await hooks.start(event)
            seen += 1
            if seen == wanted.stop_after:
                break
    return hooks is None or not hooks.failed


@asynccontextmanager
async def _source(client: Client, wanted: Wanted) -> AsyncIterator[AsyncIterator[AnyEvent]]:
    if client.may_read_log or wanted.since is not None or not client.may_watch:
        async with client.follow(wanted.since or NOW, tasks=wanted.tasks, kinds=wanted.kinds) as follower:

            async def stored() -> AsyncIterator[AnyEvent]:
                is_away = False
                while wanted.follow or wanted.since is None or not follower.is_caught_up:
                    if (found := await follower.next()) is not None:
                        yield found.event
                    if client.connection.is_connected == is_away:  # it has changed
                        is_away = not is_away
                        _say("the broker is away, reconnecting …" if is_away else "the broker is back")

            yield stored()
        return
    async with _live(client, wanted) as events:
        yield events


@asynccontextmanager
async def _live(client: Client, wanted: Wanted) -> AsyncIterator[AsyncIterator[AnyEvent]]:
    """What a viewer may see: what happens while somebody listens."""
    kinds = expand(wanted.kinds)
    send, receive = anyio.create_memory_object_stream[AnyEvent](LIVE_AHEAD)

    def take(event: AnyEvent, _sequence: int) -> None:
        if (wanted.tasks and event.task not in wanted.tasks) or (kinds and event.kind not in kinds):
            return
        try:
            send.send_nowait(event)
        except anyio.WouldBlock:
            send.close()
        except (anyio.ClosedResourceError, anyio.BrokenResourceError):
            return

    async def events() -> AsyncIterator[AnyEvent]:
        async for event in receive:
            yield event
        raise FellBehind(
            f"more than {LIVE_AHEAD:,} events came before they could be used; with an operator's credentials "
            "none would be lost"
        )

    async with client.events(take, wanted.tasks[0] if len(wanted.tasks) == 1 else None):
        yield events()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - for people, beside what is printed
