"""Waiting for a condition instead of sleeping."""

import inspect
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar, overload

import anyio

T = TypeVar("T")


@overload
async def eventually(
    condition: Callable[[], Coroutine[Any, Any, T | None]],
    *,
    within_s: float = 10.0,
    every_s: float = 0.02,
    what: str = "",
) -> T: ...
@overload
async def eventually(
    condition: Callable[[], T | None], *, within_s: float = 10.0, every_s: float = 0.02, what: str = ""
) -> T: ...
async def eventually(
    condition: Callable[[], Any], *, within_s: float = 10.0, every_s: float = 0.02, what: str = ""
) -> Any:
    """Poll `condition` until it is true and return its value; fail with what it last was."""
    last: Any = None
    with anyio.move_on_after(within_s):
        while True:
            value = condition()
            last = await value if inspect.isawaitable(value) else value
            if last:
                return last
            await anyio.sleep(every_s)
    raise AssertionError(f"not within {within_s:g} s: {what or inspect.getsource(condition).strip()} (last: {last!r})")


async def stays(condition: Callable[[], bool], *, for_s: float, what: str = "") -> None:
    """Fail as soon as `condition` is false within `for_s`: for what must *not* happen."""
    end = anyio.current_time() + for_s
    while anyio.current_time() < end:
        assert condition(), what or inspect.getsource(condition).strip()
        await anyio.sleep(0.02)
