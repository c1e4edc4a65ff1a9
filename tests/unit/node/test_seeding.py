"""When a whole torrent is given to others, and when it should have ended."""

from node.seeding import END_WITHIN_S, Seeders
from node.transfers import Addition, Status, Transfer

TASK = "00000000000000aa"


def an_addition(seed_time: str) -> Addition:
    return Addition(gid=TASK, uris=[], options={"seed-time": seed_time}, torrent="ZGU=")


def a_transfer(*, seeder: bool, verified: int | None = None) -> Transfer:
    return Transfer(gid=TASK, status=Status.ACTIVE, total=9, done=9, speed=0, seeder=seeder, verified=verified)


def begun(seed_time: str = "0") -> Seeders:
    seeders = Seeders()
    seeders.begin(an_addition(seed_time))
    return seeders


def test_one_that_is_to_be_given_to_others_is_told_once() -> None:
    seeders = begun("5")
    assert [seeders.saw(TASK, a_transfer(seeder=seeder), 1.0) for seeder in (False, True, True)] == [False, True, False]
    assert seeders.overdue(1e6) == []


def test_one_that_is_not_should_have_ended_after_a_while() -> None:
    seeders = begun()
    assert not seeders.saw(TASK, a_transfer(seeder=True), 1.0)
    assert seeders.overdue(1.0 + END_WITHIN_S) == []
    assert seeders.overdue(1.1 + END_WITHIN_S) == [TASK]


def test_what_is_still_compared_with_its_digests_is_not_whole() -> None:
    seeders = begun()
    seeders.saw(TASK, a_transfer(seeder=True, verified=0), 1.0)
    assert not seeders.is_whole(TASK)


def test_one_that_begins_again_is_whole_no_more() -> None:
    seeders = begun()
    seeders.saw(TASK, a_transfer(seeder=True), 1.0)
    seeders.begin(an_addition("0"))
    assert not seeders.is_whole(TASK)
