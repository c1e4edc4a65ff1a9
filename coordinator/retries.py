"""How long a failed task waits and how often it is tried, by what went wrong: one table. Pure.

Waiting has full jitter: any time from nothing to the back-off, so that what failed together does not return together.
"""

from collections.abc import Iterable
from typing import NamedTuple

from schemas.event import AttemptFailed
from schemas.settings import CoordinatorSettings
from schemas.task import AttemptRecord, FailureClass

RETRY_AFTER_MAX_S = 3600.0
"""An origin may ask for more; then it is asked again after this."""
MOVES_MAX = 100
"""A task may be lost with its nodes or given back so often. They are at no fault of its own and use up no attempt; but
what ends every node that takes it must not go round for ever."""
LOSSES_FREE = 3
"""Moves after which a lost node is followed by a back-off too: such a task may well be why it was lost."""


class Policy(NamedTuple):
    """What one kind of failure gets."""

    back_off_times: float = 1.0
    """Times the back-off of the settings; 0: it is tried again at once."""
    cap_s: float = float("inf")
    """Never longer than this, whatever the settings allow."""
    tries_max: int | None = None
    """So many failures of this kind end the task, even where max_attempts allows more."""


PLAIN = Policy()
OVERLOADED = Policy(back_off_times=4.0)
"""An origin that asks for less gets more time, and what it asks for in Retry-After at least."""
UNLIKELY = Policy(tries_max=3)
"""Names that do not resolve and FTP refusals: mostly they stay so."""
ELSEWHERE = Policy(back_off_times=0.5, cap_s=30.0)
"""Another node is tried first: only a cluster of one needs the wait."""
WIPED = Policy(back_off_times=0.0, tries_max=3)
"""The node has deleted what was damaged: nothing to wait for. A digest that is wrong this often will stay wrong."""

BY_CODE: dict[str, Policy] = {
    "http-429": OVERLOADED,
    "http-503": OVERLOADED,
    "aria2-29": OVERLOADED,
    "aria2-19": UNLIKELY,
    "aria2-21": UNLIKELY,
}
"""Of transient failures."""
BY_CLASS: dict[FailureClass, Policy] = {
    FailureClass.NODE: ELSEWHERE,
    FailureClass.DAMAGED: WIPED,
    FailureClass.PERMANENT: Policy(tries_max=1),
}


def policy_of(failure: FailureClass | None, code: str) -> Policy:
    if failure is FailureClass.TRANSIENT:
        return BY_CODE.get(code, PLAIN)
    return BY_CLASS.get(failure, PLAIN) if failure is not None else PLAIN


def back_off_s(fact: AttemptFailed, failures: int, settings: CoordinatorSettings, dice: float) -> float:
    """Seconds until the next try. `failures`: how many there were before; `dice`: a random number from 0 to 1."""
    policy = policy_of(fact.failure, fact.code)
    longest_s = min(policy.cap_s, _doubled_s(settings, failures, policy.back_off_times))
    return max(dice * longest_s, min(fact.retry_after_s or 0.0, RETRY_AFTER_MAX_S))


def is_used_up(fact: AttemptFailed, past: Iterable[AttemptRecord]) -> bool:
    """Whether this was the last try that failures of its kind get. `past`: the attempts before."""
    policy = policy_of(fact.failure, fact.code)
    if policy.tries_max is None:
        return False
    alike = sum(one.failure is not None and policy_of(one.failure, one.code) is policy for one in past)
    return alike + 1 >= policy.tries_max


def after_loss_s(moves: int, settings: CoordinatorSettings, dice: float) -> float:
    """Seconds until a task is placed again whose node was lost. `moves`: how often it left one at no fault of its own.

    None at first: it was the node. One that is lost again and again takes its time.
    """
    if moves < LOSSES_FREE:
        return 0.0
    return dice * _doubled_s(settings, moves - LOSSES_FREE, 1.0)


def _doubled_s(settings: CoordinatorSettings, times: int, factor: float) -> float:
    return min(settings.retry_cap_s, factor * settings.retry_base_s * 2.0 ** min(times, 64))
