"""A leader's view of the cluster's policy: what stands, and why it can't be read. Pure."""

from collections.abc import Callable

from broker.standing import Found
from schemas.errors import PolicyInvalid
from schemas.policy import Policy, decode_policy


class PolicyBook:
    """Holds the last policy that could be read: a bad one must not stop a leader, nor undo what was asked before."""

    def __init__(self, changed: Callable[[Policy], None] = lambda policy: None) -> None:
        """`changed` is told each policy that holds from then on."""
        self.policy = Policy()
        self.revision = 0
        """Of what was set last, even if it can't be read; 0: nothing."""
        self.problem = ""
        """Why what was set last can't be read: a sentence for people; empty where it can."""
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
        self.problem = ""
        try:
            policy = decode_policy(body) if body else Policy()
        except PolicyInvalid as error:
            kept = "the defaults hold" if self.policy == Policy() else "the one before it holds"
            self.problem = f"revision {self.revision} can't be read, {kept}: {error}"
            return
        if policy != self.policy:
            self.policy = policy
            self._changed(policy)
