"""Disk that is spoken for before its node knows."""

from coordinator.promises import BEATS, Promises


def test_what_was_placed_under_a_heartbeat_counts_until_the_node_counts_it() -> None:
    promises = Promises()
    promises.make("a", "i1", 5, 100)
    promises.make("a", "i1", 5, 10)
    promises.make("a", "i1", 6, 1)
    assert [promises.at("a", "i1", beat) for beat in (5, 6, 5 + BEATS, 6 + BEATS)] == [111, 111, 1, 0]


def test_each_node_has_its_own() -> None:
    promises = Promises()
    promises.make("a", "i1", 5, 100)
    assert promises.at("b", "i1", 5) == 0
    assert promises.at("a", "i1", 5) == 100


def test_a_new_process_counts_for_itself() -> None:
    promises = Promises()
    promises.make("a", "i1", 500, 100)
    assert promises.at("a", "i2", 1) == 0
    assert repr(promises) == "<Promises to 0 nodes>"


def test_an_unknown_size_promises_nothing() -> None:
    promises = Promises()
    promises.make("a", "i1", 5, 0)
    assert repr(promises) == "<Promises to 0 nodes>"
