"""A TCP link that can be made bad: late, slow, dead silent, or cut. It stands between two processes; no root needed."""

import asyncio
import random
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import anyio
from anyio.abc import TaskGroup, TaskStatus
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

BLOCK_BYTES = 64 * 1024
BLOCKS_ON_THE_WAY = 64
"""What a link holds in each direction; then its sender has to wait."""
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER of a socket that is closed with an RST."""

Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Block = tuple[float, bytes]
"""What was read, and when it is due at the other end."""
Dial = Callable[[], Awaitable[Ends]]
Listen = Callable[[int], socket.socket]
"""Opens a listening socket at a port; 0: any."""


class Link:
    """Passes what connects to `port` on to its target; make it with `linked`. Every change holds from the next byte on.

    A silent link is one on which every packet is lost: connections stay open and nothing gets through, their end
    neither; after `mend` what was held goes on. A cut one breaks all connections and refuses new ones.
    """

    def __init__(self, dial: Dial, listen: Listen, tasks: TaskGroup, seed: int) -> None:
        self.delay_s = 0.0
        """One way."""
        self.jitter_s = 0.0
        """Up to so much more, at random; the order is kept."""
        self.bytes_per_s = 0
        """For each connection and direction; 0: as fast as it goes."""
        self.port = 0
        self.passed_bytes = 0
        self.opened = 0
        """Connections so far."""
        self._dial, self._listen = dial, listen
        self._tasks = tasks
        self._dice = random.Random(seed)
        self._heard = anyio.Event()
        self._heard.set()
        self._serving = anyio.CancelScope()
        self._open: set[asyncio.StreamWriter] = set()

    def __repr__(self) -> str:
        state = "cut" if self._serving.cancel_called else "open" if self._heard.is_set() else "silent"
        return f"<Link at {self.port}: {state}, {len(self._open) // 2} connections, {self.passed_bytes} bytes passed>"

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def silence(self) -> None:
        """From now on nothing gets through and nobody is told."""
        if self._heard.is_set():
            self._heard = anyio.Event()

    def cut(self) -> None:
        """Break what is open and refuse the rest."""
        self._serving.cancel()
        for writer in tuple(self._open):
            _reset(writer)

    async def mend(self) -> None:
        """Let through what is held, and accept connections again on the same port."""
        self._heard.set()
        if self._serving.cancel_called:
            await self.serve()

    async def serve(self) -> None:
        """Accept connections; returns once they are accepted."""
        self._serving = anyio.CancelScope()
        listener = self._listen(self.port)
        self.port = listener.getsockname()[1]
        await self._tasks.start(self._accept, listener, self._serving)

    async def _accept(
        self,
        listener: socket.socket,
        serving: anyio.CancelScope,
        *,
        task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
    ) -> None:
        def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._tasks.start_soon(self._pass_on, (reader, writer))

        server = await asyncio.start_server(connected, sock=listener)
        try:
            with serving:
                task_status.started()
                await anyio.sleep_forever()
        finally:
            server.close()

    async def _pass_on(self, near: Ends) -> None:
        self.opened += 1
        try:
            await self._heard.wait()
            far = await self._dial()
        except OSError:
            _reset(near[1])
            return
        writers = {near[1], far[1]}
        self._open |= writers
        try:
            async with anyio.create_task_group() as both:
                both.start_soon(self._pump, near[0], far[1], both.cancel_scope)
                both.start_soon(self._pump, far[0], near[1], both.cancel_scope)
        finally:
            self._open -= writers
            for writer in writers:
                writer.close()

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, both: anyio.CancelScope) -> None:
        """One direction until it ends; what breaks it breaks the other too."""
        send, receive = anyio.create_memory_object_stream[Block](BLOCKS_ON_THE_WAY)
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._read, source, send)
                with receive:
                    await self._write(receive, sink)
        except* OSError:
            for writer in tuple(self._open):
                if writer is sink:
                    _reset(writer)
            both.cancel()

    async def _read(self, source: asyncio.StreamReader, send: MemoryObjectSendStream[Block]) -> None:
        with send:
            while block := await source.read(BLOCK_BYTES):
                late_s = self.delay_s + self._dice.random() * self.jitter_s
                await send.send((anyio.current_time() + late_s, block))
            await send.send((anyio.current_time() + self.delay_s, b""))

    async def _write(
        self,
        receive: MemoryObjectReceiveStream[Block],
        sink: asyncio.StreamWriter,
    ) -> None:
        async for due, block in receive:
            await anyio.sleep(max(0.0, due - anyio.current_time()))
            await self._heard.wait()
            if not block:
                with suppress(OSError):
                    sink.write_eof()
                return
            sink.write(block)
            await sink.drain()
            self.passed_bytes += len(block)
            if self.bytes_per_s:
                await anyio.sleep(len(block) / self.bytes_per_s)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with an RST: whoever reads or writes there fails at once."""
    with suppress(OSError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()


def _listen_here(port: int) -> socket.socket:
    return socket.create_server(("127.0.0.1", port))


@asynccontextmanager
async def linked(
    port: int, *, dial: Dial | None = None, listen: Listen = _listen_here, at: int = 0, seed: int = 1
) -> AsyncIterator[Link]:
    """A good link to `port` of this machine, or to wherever `dial` connects, until it is made bad.

    It listens at port `at` (0: any) of this machine, or wherever `listen` does.
    """

    async def dial_target() -> Ends:
        return await asyncio.open_connection("127.0.0.1", port)

    async with anyio.create_task_group() as tasks:
        link = Link(dial or dial_target, listen, tasks, seed)
        link.port = at
        await link.serve()
        try:
            yield link
        finally:
            tasks.cancel_scope.cancel()
