"""Calls of one batch: one after the other, but for neighbours that have nothing to do with each other."""

from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Any, TypeVar

import anyio

AT_ONCE = 64
"""Calls of one batch that wait for their tasks together."""
PREFIX = "token:"
"""Before the secret, which is the first parameter."""
_POSITION_AT = {"aria2.addUri": 2, "aria2.addTorrent": 3, "aria2.addMetalink": 2}
"""Of the calls that add: the parameter that says where in the queue."""
_OF_ONE = frozenset(
    f"aria2.{verb}" for verb in ("pause", "forcePause", "unpause", "remove", "forceRemove", "removeDownloadResult")
)
T = TypeVar("T")
R = TypeVar("R")


def concern(method: str, params: Sequence[Any]) -> Hashable:
    """What a call is about: neighbours that are about different things may wait together. None: all before it come
    first, and all after it later. Pure."""
    if params and isinstance(params[0], str) and params[0].startswith(PREFIX):
        params = params[1:]
    if method in _OF_ONE:
        return str(params[0]).lower() if params else None
    if (position := _POSITION_AT.get(method)) is None or len(params) > position:
        return None
    options = params[position - 1] if len(params) == position else {}
    chosen = options.get("gid") if isinstance(options, dict) else None
    return str(chosen).lower() if chosen else object()


async def each(items: Sequence[T], about: Callable[[T], Hashable], work: Callable[[T], Awaitable[R]]) -> list[R]:
    """The results in the order of the items; what waits together was begun in that order."""
    results: dict[int, R] = {}
    limit = anyio.Semaphore(AT_ONCE)

    async def one(index: int) -> None:
        try:
            results[index] = await work(items[index])
        finally:
            limit.release()

    start = 0
    while start < len(items):
        meant = about(items[start])
        if meant is None:
            results[start] = await work(items[start])
            start += 1
            continue
        seen: set[Hashable] = set()
        async with anyio.create_task_group() as tasks:
            while start < len(items) and (meant := about(items[start])) is not None and meant not in seen:
                seen.add(meant)
                await limit.acquire()
                tasks.start_soon(one, start)
                start += 1
    return [results[index] for index in range(len(items))]
