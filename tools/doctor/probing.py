"""One probe: bounded in time, and whatever goes wrong in it is a fact like any other."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio
import anyio.to_thread

from broker.errors import PermissionRefused
from tools.doctor.facts import Known, Missing, Trouble

LOOK_WITHIN_S = 5.0
"""For what lies on this machine: a hung network drive must not hold up the rest."""

T = TypeVar("T")


async def bounded(work: Callable[[], Awaitable[T]], within_s: float, what: str) -> Known[T]:
    """What `work` finds; Missing where it fails, is refused, or takes longer than `within_s`."""
    try:
        with anyio.fail_after(within_s):
            return await work()
    except PermissionRefused:
        return Missing(Trouble.REFUSED, f"these credentials may not look at {what}")
    except TimeoutError:
        return Missing(Trouble.FAILED, f"{what}: no answer within {within_s:g} s")
    except Exception as error:  # one failing probe must not hide what the others find
        return Missing(Trouble.FAILED, f"{what}: {error or type(error).__name__}")


async def looked(work: Callable[[], T], what: str) -> Known[T]:
    """`bounded` for work that blocks; it is left behind where it hangs."""
    return await bounded(lambda: anyio.to_thread.run_sync(work, abandon_on_cancel=True), LOOK_WITHIN_S, what)
