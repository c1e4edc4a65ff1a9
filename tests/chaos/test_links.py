"""The harness itself: what makes lines bad must do so."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest

from tests.harness.hosts import Network
from tests.harness.link import Ends, Link, linked

QUICK_S = 0.5


@asynccontextmanager
async def echo() -> AsyncIterator[int]:
    """A server that sends back what it gets; its port."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while block := await reader.read(65536):
                writer.write(block)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def answered_in(ends: Ends, within_s: float = 5.0) -> float:
    """How long a message and its echo take. Raises TimeoutError."""
    began = anyio.current_time()
    ends[1].write(b"question")
    with anyio.fail_after(within_s):
        assert await ends[0].readexactly(8) == b"question"
    return anyio.current_time() - began


async def opened(link: Link) -> Ends:
    return await asyncio.open_connection("127.0.0.1", link.port)


async def test_a_delay_counts_both_ways() -> None:
    async with echo() as port, linked(port) as link:
        ends = await opened(link)
        assert await answered_in(ends) < QUICK_S
        link.delay_s = 0.3
        assert await answered_in(ends) >= 0.6


async def test_a_silent_link_holds_what_is_sent_and_gives_it_out_when_mended() -> None:
    async with echo() as port, linked(port) as link:
        ends = await opened(link)
        link.silence()
        with pytest.raises(TimeoutError):
            await answered_in(ends, within_s=QUICK_S)
        late = await opened(link)
        await link.mend()
        assert await ends[0].readexactly(8) == b"question"
        assert await answered_in(late) < QUICK_S


async def test_a_cut_link_breaks_and_refuses_until_it_is_mended() -> None:
    async with echo() as port, linked(port) as link:
        ends = await opened(link)
        await answered_in(ends)
        link.cut()
        with pytest.raises(ConnectionError):
            await ends[0].readexactly(1)
        with pytest.raises(ConnectionError):
            await opened(link)
        await link.mend()
        assert await answered_in(await opened(link)) < QUICK_S


async def test_a_host_that_is_cut_off_hears_nothing_and_goes_on_when_healed(hosts: Network) -> None:
    near, far = hosts.host(), hosts.host()
    async with echo() as port, linked(port, listen=near.listen) as link:
        there = far.open_socket()
        there.setblocking(False)
        await asyncio.get_running_loop().sock_connect(there, (near.address, link.port))
        ends = await asyncio.open_connection(sock=there)
        await answered_in(ends)
        far.cut()
        with pytest.raises(TimeoutError):
            await answered_in(ends, within_s=QUICK_S)
        far.heal()
        with anyio.fail_after(10):
            assert await ends[0].readexactly(8) == b"question"
        far.lose(30)
        took_s = [await answered_in(ends, within_s=20) for _ in range(20)]
        assert max(took_s) > 0.15, "some had to be sent again"
        ends[1].close()
