"""What a leader makes of the policy that stands, a bad one included."""

from broker.standing import Found
from coordinator.policybook import PolicyBook
from schemas import codec
from schemas.policy import OwnerPolicy, Policy

INSTALLED = ("least-loaded", "spread")
GOOD = Policy(owners={"alice": OwnerPolicy(weight=2)})


def found(policy: Policy, revision: int) -> Found:
    return Found(codec.encode(policy), revision)


def told() -> tuple[PolicyBook, list[Policy]]:
    changes: list[Policy] = []
    return PolicyBook(changes.append), changes


def test_without_a_policy_the_defaults_hold() -> None:
    book, changes = told()
    book.take(None, INSTALLED)
    assert (book.followed, book.revision, book.problem) == (Policy(), 0, "")
    assert changes == []


def test_each_policy_is_handed_on_once() -> None:
    book, changes = told()
    book.take(found(GOOD, 4), INSTALLED)
    book.take(found(GOOD, 4), INSTALLED)
    book.take(found(GOOD, 5), INSTALLED)
    assert changes == [GOOD]
    assert book.revision == 5


def test_a_policy_that_was_taken_away_leaves_the_defaults() -> None:
    book, changes = told()
    book.take(found(GOOD, 4), INSTALLED)
    book.take(None, INSTALLED)
    assert changes == [GOOD, Policy()]
    assert book.revision == 0


def test_the_last_good_one_holds_where_the_next_can_not_be_read() -> None:
    book, changes = told()
    book.take(found(GOOD, 4), INSTALLED)
    book.take(Found(b'{"newer":1}', 7), INSTALLED)
    assert (book.followed, book.revision, book.is_unreadable) == (GOOD, 7, True)
    assert changes == [GOOD]
    assert book.problem.startswith("revision 7 can't be read, the one before it holds: newer: there is no such field")


def test_the_defaults_hold_where_the_first_can_not_be_read() -> None:
    book, _ = told()
    book.take(Found(b"{damaged", 7), INSTALLED)
    assert book.followed == Policy()
    assert book.problem.startswith("revision 7 can't be read, its defaults hold: not JSON")


def test_a_good_one_after_a_bad_one_mends_it() -> None:
    book, _ = told()
    book.take(Found(b"{damaged", 7), INSTALLED)
    book.take(found(GOOD, 8), INSTALLED)
    assert (book.followed, book.problem, book.is_unreadable) == (GOOD, "", False)


def test_a_strategy_that_is_not_installed_here_is_replaced_and_the_rest_is_followed() -> None:
    book, changes = told()
    book.take(found(Policy(strategy="ours", owners=GOOD.owners), 4), INSTALLED)
    assert changes == [GOOD]
    assert book.stands.strategy == "ours"
    assert book.problem == (
        "strategy: 'ours' is not installed where this coordinator runs; there are: least-loaded, spread; "
        "placing by least-loaded"
    )
    assert not book.is_unreadable
