"""The cluster's policy as its users read and set it."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

from broker.cluster import PATIENCE, Client
from schemas.control import PolicyReply, PolicySet, PolicySetReply, Steer
from schemas.errors import DowndraftError, PolicyInvalid
from schemas.policy import policy_of

TRIES = 2
"""A change of some fields is made once more where another's came between."""

Values = dict[str, Any]
"""A policy as plain values, as it stands in JSON."""
Edit = Callable[[Values], Values]


class PolicyUnreadable(DowndraftError):
    """The policy that stands can't be read, so that single fields of it can't be changed."""


class PolicyConflict(DowndraftError):
    """Somebody else changed the policy meanwhile."""


class Changed(NamedTuple):
    before: Values
    after: Values
    revision: int
    """Of what stands in the end."""


async def read(client: Client) -> PolicyReply:
    """What stands, and what the leader makes of it. Raises Refused."""
    return await client.ask("policy", Steer(), PolicyReply)


async def change(
    client: Client, edit: Edit, *, whole: bool = False, based_on: int | None = None, dry_run: bool = False
) -> Changed:
    """Read the policy, edit it and set it; nothing is set where `dry_run`, or where nothing would change.

    `whole`: the edit leaves nothing of what stands. `based_on`: the revision it was made from, if not the one that
    stands. Raises PolicyInvalid, PolicyUnreadable, PolicyConflict, Refused.
    """
    for _ in range(TRIES):
        stands = await read(client)
        if stands.is_unreadable and not whole:
            raise PolicyUnreadable(f"{stands.problem}; bring the coordinators to its version, or replace it: --file")
        after = _checked(edit(stands.policy), stands.strategies)
        revision = stands.revision if based_on is None else based_on
        if dry_run or (after == stands.policy and not stands.is_unreadable):
            return Changed(stands.policy, after, stands.revision)
        deadline = datetime.now(UTC) + PATIENCE
        answer = await client.ask(
            "policy-set", PolicySet(policy=after, revision=revision, deadline=deadline), PolicySetReply
        )
        if answer.ok:
            return Changed(stands.policy, after, answer.revision)
        if not answer.is_conflict:
            raise PolicyInvalid("", answer.said)
        if whole:
            break
    raise PolicyConflict(answer.said)


def _checked(values: Values, strategies: tuple[str, ...]) -> Values:
    """What the leader would refuse is refused here, in the same words; nothing but sizes becomes another."""
    import msgspec

    policy = policy_of(values)
    if policy.strategy not in strategies:
        raise PolicyInvalid(
            "strategy", f"there is no {policy.strategy!r} where the coordinator runs; there are {', '.join(strategies)}"
        )
    checked: Values = msgspec.to_builtins(policy)
    return checked
