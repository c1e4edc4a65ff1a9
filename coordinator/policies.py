"""The cluster's policy in the hands of the leader: read at takeover, followed, shown and set."""

import structlog
from msgspec import to_builtins
from msgspec.structs import replace

from broker import keys
from broker.errors import Deposed
from broker.standing import Changes, Found
from coordinator import strategies
from coordinator.speeds import Speeds
from coordinator.term import Term
from schemas import codec
from schemas import subjects as s
from schemas.control import ErrorReply, PolicyReply, PolicySet, PolicySetReply
from schemas.errors import PolicyInvalid
from schemas.ids import ADMIN_CALLER
from schemas.oddity import Oddity
from schemas.origins import OTHERS
from schemas.policy import Policy, policy_of

log = structlog.get_logger()

OPERATORS_ONLY = "only operators may set the policy: ask with an operator's credentials"


async def read(term: Term) -> None:
    """Take what stands, before anything is placed. Raises Unanswered."""
    _take(term, await keys.read(term.connection, s.POLICY_KEY))


async def follow_policy(term: Term) -> None:
    """Follow each change for the length of the term."""

    def changed(changes: Changes) -> None:
        if s.POLICY_KEY in changes:
            _take(term, changes[s.POLICY_KEY])

    await keys.follow(term.connection, (s.POLICY_KEY,), changed)


def _take(term: Term, found: Found | None) -> None:
    book = term.policies
    before = book.revision
    book.take(found)
    if book.revision == before:
        return
    if not book.is_followed:
        term.oddities[Oddity.POLICY_UNREADABLE] += 1
        log.error("the policy can't be read", revision=book.revision, problem=book.problem)
        return
    log.info("following the policy", revision=book.revision, strategy=book.policy.strategy)
    if book.problem:
        log.warning("not all of the policy is known here: upgrade this coordinator", problem=book.problem)


async def show(term: Term, caller: str) -> PolicyReply:
    """The verb `policy`."""
    book, shown = term.policies, term.policies.policy
    if caller != ADMIN_CALLER:
        shown = replace(shown, owners={who: its for who, its in shown.owners.items() if who in (caller, OTHERS)})
    return PolicyReply(
        policy=to_builtins(shown),
        revision=book.revision,
        strategies=strategies.names(),
        problem=book.problem or term.desk.planner.trouble,
        is_unreadable=bool(book.problem),
    )


async def change(term: Term, caller: str, body: bytes) -> PolicySetReply | ErrorReply:
    """The verb `policy-set`. Raises BrokerError."""
    if caller != ADMIN_CALLER:
        return ErrorReply(OPERATORS_ONLY)
    asked = codec.decode(body, PolicySet)
    if asked.deadline is not None and term.now() > asked.deadline:
        return ErrorReply("too late: the request's own deadline has passed")
    book = term.policies
    try:
        policy = _checked(asked)
    except PolicyInvalid as error:
        return PolicySetReply(ok=False, said=str(error), where=error.where, revision=book.revision)
    if not term.holds():
        raise Deposed("the lease has run out")
    wanted = codec.encode(policy)
    revision = await keys.write(term.connection, s.POLICY_KEY, wanted, expected=asked.revision)
    if revision is None:
        found = await keys.read(term.connection, s.POLICY_KEY)
        if found is None or found.revision > book.revision:  # who asks again at once shall be shown this one
            _take(term, found)
        said = f"another change came between: the policy stands at revision {book.revision} now; read it and ask again"
        return PolicySetReply(ok=False, said=said, is_conflict=True, revision=book.revision)
    log.info("the policy was set", revision=revision, based_on=asked.revision)
    if revision > book.revision:  # else a later one was heard meanwhile
        _take(term, Found(wanted, revision))
    return PolicySetReply(ok=True, said=f"set: revision {revision}", revision=revision)


def _checked(asked: PolicySet) -> Policy:
    """What is asked for, where it can be followed here. Raises PolicyInvalid."""
    policy = policy_of(asked.policy)
    strategies.strategy_of(policy, Speeds())
    return policy
