"""What a lane tells of the transfers that it drives. Pure."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from node.failures import Verdict, classify
from node.session import Signal
from node.transfers import Status, Transfer


class News(NamedTuple):
    """What became of a task's transfer."""

    task: str
    signal: Signal
    verdict: Verdict | None = None
    """With `failed`."""
    done: int = 0
    """Bytes it had, with `failed`."""


Listener = Callable[[Sequence[News]], None]


def meaning_of(transfer: Transfer | None) -> tuple[Signal | None, Verdict | None]:
    """What a transfer's state says of its end; (None, None) while it goes on."""
    if transfer is None or transfer.status is Status.REMOVED:
        return Signal.VANISHED, None
    if transfer.status is Status.COMPLETE:
        return Signal.WHOLE, None
    if transfer.status is Status.ERROR:
        return Signal.FAILED, classify(transfer.error_code, transfer.error_message)
    return None, None
