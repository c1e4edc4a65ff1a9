"""`watch`: a live view of what runs, redrawn on a terminal, lines elsewhere."""

from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from datetime import UTC, datetime

import anyio
import msgspec
import structlog
from rich.console import Console, Group
from rich.live import Live

from broker.cluster import Client, Refused
from broker.follow import NOW, OUTCOMES, Follower
from broker.listen import Heard, listening
from schemas import codec
from schemas import subjects as s
from schemas.control import StatsReply, Steer
from schemas.event import AnyEvent
from schemas.filter import Standing, TaskFilter
from schemas.heartbeat import Heartbeat
from schemas.lifecycle import State
from schemas.view import TaskView
from tools import lines
from tools.board import Board
from tools.finding import live_tasks
from tools.looking import print_json

log = structlog.get_logger()

REDRAW_S = 0.25
LINE_EVERY_S = 2.0
"""Without a terminal: a line says how things stand, at most so often and only if it says something new."""
ASK_EVERY_S = 2.0
STRANGERS_EVERY_S = 5.0
STRANGERS_MAX = 2000
"""Running tasks whose names are asked for at once."""

RUNNING = TaskFilter(states=(Standing.ACTIVE, Standing.ASSIGNED))


class Watching:
    """Keeps a board up to date."""

    def __init__(self, client: Client, board: Board, on_end: Callable[[TaskView], None]) -> None:
        self._client = client
        self._board = board
        self._on_end = on_end

    async def run(self, ready: Callable[[], None]) -> None:
        """Listen until cancelled; `ready` is called once everything is listened to. Raises Refused."""
        client, board = self._client, self._board
        if not client.may_watch:
            raise Refused(
                "a producer's credentials see only their own tasks, through `downdraft ls` and `downdraft show`; "
                "to watch the cluster use an operator's or a viewer's"
            )
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(
                client.progress(lambda progress: board.moved(progress, anyio.current_time()))
            )
            await stack.enter_async_context(listening(client.connection, s.HEARTBEATS_ALL, self._hear_beat))
            follower: Follower | None = None
            if client.may_read_log:
                follower = await stack.enter_async_context(client.follow(NOW, kinds=("queued", OUTCOMES)))
            else:
                await stack.enter_async_context(client.events(lambda event, _sequence: self._happened(event)))
            tasks = await stack.enter_async_context(anyio.create_task_group())
            tasks.start_soon(self._notice_the_broker)
            if follower is not None:
                tasks.start_soon(self._follow, follower)
            if client.may_ask:
                tasks.start_soon(self._ask_what_is_queued)
                tasks.start_soon(self._meet_strangers)
            ready()

    def _happened(self, event: AnyEvent) -> None:
        if (view := self._board.happened(event, anyio.current_time())) is not None:
            self._on_end(view)

    async def _follow(self, follower: Follower) -> None:
        async for found in follower.events():
            self._happened(found.event)

    def _hear_beat(self, heard: Heard) -> None:
        try:
            self._board.beat(codec.decode(heard.data, Heartbeat), anyio.current_time())
        except msgspec.MsgspecError as error:
            log.debug("a heartbeat can't be read", subject=heard.subject, problem=str(error))

    async def _notice_the_broker(self) -> None:
        while True:
            if self._client.connection.is_connected:
                self._board.found(anyio.current_time())
            else:
                self._board.lost(anyio.current_time())
            await anyio.sleep(REDRAW_S)

    async def _ask_what_is_queued(self) -> None:
        while True:
            try:
                reply = await self._client.ask("stats", Steer(), StatsReply)
                self._board.queued = reply.states.get(State.QUEUED, 0)
            except Refused:
                self._board.queued = None  # nobody leads just now
            await anyio.sleep(ASK_EVERY_S)

    async def _meet_strangers(self) -> None:
        """Learn the names and tags of what ran before we came."""
        while True:
            if self._board.has_strangers:
                met = 0
                try:
                    async for view in live_tasks(self._client, RUNNING):
                        self._board.know(view.task, view.name, view.tags)
                        met += 1
                        if met == STRANGERS_MAX:
                            break
                except Refused as error:
                    log.debug("names are not known", problem=str(error))
            await anyio.sleep(STRANGERS_EVERY_S if self._board.has_strangers else REDRAW_S)


async def watch_all(client: Client, tasks: Iterable[str], tags: Iterable[str], *, as_json: bool) -> None:
    """Show it until cancelled."""
    board = Board(datetime.now(), anyio.current_time(), tasks, tags)
    console = Console(highlight=False)
    is_live = console.is_terminal and not console.is_dumb_terminal and not as_json
    plain = not is_live and not as_json

    def on_end(view: TaskView) -> None:
        if plain:
            console.print(lines.ended(view).plain, markup=False, soft_wrap=True)

    watching = Watching(client, board, on_end)
    ready = anyio.Event()
    async with anyio.create_task_group() as group:
        group.start_soon(watching.run, ready.set)
        await ready.wait()
        if is_live:
            await _redraw(board, console)
        elif as_json:
            await _print_snapshots(board)
        else:
            await _print_lines(board, console)


async def _redraw(board: Board, console: Console) -> None:
    """On the terminal's other screen: nothing of it stays, whatever the window's size was meanwhile."""

    def drawn() -> Group:
        # One column is left free: some terminals wrap as soon as the last one is written.
        return Group(*board.draw(console.height, console.width - 1, anyio.current_time()))

    with Live(drawn(), console=console, auto_refresh=False, screen=True, vertical_overflow="crop") as live:
        while True:
            await anyio.sleep(REDRAW_S)
            live.update(drawn(), refresh=True)


async def _print_snapshots(board: Board) -> None:
    while True:
        print_json({"time": datetime.now(UTC), **board.snapshot(anyio.current_time())})
        await anyio.sleep(LINE_EVERY_S)


async def _print_lines(board: Board, console: Console) -> None:
    said = ""
    while True:
        now = anyio.current_time()
        # The seconds it has been away are no news.
        line = "broker away, reconnecting …" if board.away_since is not None else f"{board.head(now)}; {board.tally()}"
        if line != said:
            console.print(line, markup=False, soft_wrap=True)
            said = line
        await anyio.sleep(LINE_EVERY_S)
