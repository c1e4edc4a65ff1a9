"""A leader's view of the cluster's policy: the one it follows, and why not all that was set. Pure."""

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from broker.standing import Found
from schemas.errors import PolicyInvalid
from schemas.policy import Policy, decode_policy


class PolicyBook:
    """Holds the last policy that could be read: a bad one must not stop a leader, nor undo what was asked before."""

    def __init__(self, changed: Callable[[Policy], None] = lambda policy: None) -> None:
        """`changed` is told each policy that is followed from then on."""
        self.stands = Policy()
        """What was set, as far as it can be read."""
        self.followed = Policy()
        """What is done by it."""
        self.revision = 0
        """Of what was set last, even if it can't be read; 0: nothing."""
        self.problem = ""
        """Why not all that was set is followed: a sentence for people."""
        self.is_unreadable = False
        self._body = b""
        self._changed = changed

    def __repr__(self) -> str:
        return f"<PolicyBook revision {self.revision} {self.problem or 'followed'}>"

    def take(self, found: Found | None, strategies: Sequence[str]) -> None:
        """From now on this stands; None: nothing does, so that the defaults hold."""
        body, self.revision = found or Found(b"", 0)
        if body == self._body:
            return
        self._body = body
        self.is_unreadable, self.problem = False, ""
        try:
            self.stands = decode_policy(body) if body else Policy()
        except PolicyInvalid as error:
            self.is_unreadable = True
            kept = "its defaults hold" if self.stands == Policy() else "the one before it holds"
            self.problem = f"revision {self.revision} can't be read, {kept}: {error}"
            return
        followed = self.stands
        if followed.strategy not in strategies:
            self.problem = f"strategy: {not_installed(followed.strategy, strategies)}; placing by {Policy().strategy}"
            followed = replace(followed, strategy=Policy().strategy)
        if followed != self.followed:
            self.followed = followed
            self._changed(followed)


def not_installed(strategy: str, strategies: Sequence[str]) -> str:
    return f"{strategy!r} is not installed where this coordinator runs; there are: {', '.join(strategies)}"
