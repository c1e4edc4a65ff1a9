"""What a leader makes of the policy that stands, a bad one included."""

from broker.standing import Found
from coordinator.policybook import PolicyBook
from schemas import codec
from schemas.policy import OwnerPolicy, Policy

GOOD = Policy(owners={"alice": OwnerPolicy(weight=2)})


def found(policy: Policy, revision: int) -> Found:
    return Found(codec.encode(policy), revision)


def told() -> tuple[PolicyBook, list[Policy]]:
    changes: list[Policy] = []
    return PolicyBook(changes.append), changes


def test_without_a_policy_the_defaults_hold() -> None:
    book, changes = told()
    book.take(None)
    assert (book.policy, book.revision, book.problem) == (Policy(), 0, "")
    assert changes == []


def test_each_policy_is_handed_on_once() -> None:
    book, changes = told()
    book.take(found(GOOD, 4))
    book.take(found(GOOD, 4))
    book.take(found(GOOD, 5))
    assert changes == [GOOD]
    assert book.revision == 5


def test_a_policy_that_was_taken_away_leaves_the_defaults() -> None:
    book, changes = told()
    book.take(found(GOOD, 4))
    book.take(None)
    assert changes == [GOOD, Policy()]
    assert book.revision == 0


def test_the_last_good_one_holds_where_the_next_can_not_be_read() -> None:
    book, changes = told()
    book.take(found(GOOD, 4))
    book.take(Found(b'{"strategy":7}', 7))
    assert (book.policy, book.revision, book.is_followed) == (GOOD, 7, False)
    assert changes == [GOOD]
    assert book.problem.startswith("revision 7 can't be read, the one before it holds: strategy: must be the name")


def test_of_a_newer_versions_policy_what_is_known_is_followed() -> None:
    book, changes = told()
    book.take(Found(b'{"newer":1,"owners":{"alice":{"weight":2,"nice":true}}}', 7))
    assert changes == [GOOD]
    assert book.is_followed
    assert book.problem == "revision 7 is of a newer version: all is followed but newer, owners.alice.nice"
    book.take(found(GOOD, 8))
    assert book.problem == ""


def test_the_defaults_hold_where_the_first_can_not_be_read() -> None:
    book, _ = told()
    book.take(Found(b"{damaged", 7))
    assert book.policy == Policy()
    assert book.problem.startswith("revision 7 can't be read, the defaults hold: not JSON")


def test_a_good_one_after_a_bad_one_mends_it() -> None:
    book, _ = told()
    book.take(Found(b"{damaged", 7))
    book.take(found(GOOD, 8))
    assert (book.policy, book.problem) == (GOOD, "")
