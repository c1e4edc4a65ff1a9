"""A leader's view of the cluster's policy: what stands, and why it can't be read. Pure."""

from collections.abc import Callable

from broker.standing import Found
from schemas.errors import PolicyInvalid
from schemas.policy import Policy, Stands, stored_policy

SHOWN_MAX = 5
"""Names of one sentence."""


class PolicyBook:
    """Holds the last policy that could be read: a bad one must not stop a leader, nor undo what was asked before."""

    def __init__(self, changed: Callable[[Policy], None] = lambda policy: None) -> None:
        """`changed` is told each policy that holds from then on."""
        self.policy = Policy()
        self.revision = 0
        """Of what was set last, even if it can't be read; 0: nothing."""
        self.problem = ""
        """Why what was set last is not followed, or not whole: a sentence for people; empty where it is."""
        self.is_followed = True
        """Whether what was set last is, but for what a newer version put into it."""
        self._body = b""
        self._changed = changed

    def __repr__(self) -> str:
        return f"<PolicyBook revision {self.revision} {self.problem or 'holds'}>"

    def take(self, found: Found | None) -> None:
        """From now on this stands; None: nothing does, so that the defaults hold."""
        body, self.revision = found or Found(b"", 0)
        if body == self._body:
            return
        self._body = body
        try:
            policy, unknown = stored_policy(body) if body else Stands(Policy(), ())
        except PolicyInvalid as error:
            self.is_followed = False
            kept = "the defaults hold" if self.policy == Policy() else "the one before it holds"
            self.problem = f"revision {self.revision} can't be read, {kept}: {error}"
            return
        self.is_followed = True
        newer = f"revision {self.revision} is of a newer version: all is followed but {_few(unknown)}"
        self.problem = newer if unknown else ""
        if policy != self.policy:
            self.policy = policy
            self._changed(policy)


def _few(names: tuple[str, ...]) -> str:
    return ", ".join(names[:SHOWN_MAX]) + (f" and {len(names) - SHOWN_MAX} more" if len(names) > SHOWN_MAX else "")
