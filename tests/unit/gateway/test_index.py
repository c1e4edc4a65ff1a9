"""The sets and the order that pages are made of, beside a plain list of the same lines."""

from itertools import groupby
from random import Random
from typing import NamedTuple

import pytest

from gateway.readmodel.index import BLOCK, HIGHEST, LOWEST, Index

LINES = 3 * BLOCK
TERMS = 10


class Line(NamedTuple):
    number: int
    key: int
    terms: tuple[int, ...]


def some(disorder: int) -> tuple[Index, dict[int, Line]]:
    """Lines whose keys are in order but for so much; some are gone again, and some were told of more than once."""
    dice = Random(disorder)
    index, known = Index(), {}
    for number in range(1, LINES):
        line = Line(number, number + dice.randint(0, disorder), tuple({dice.randrange(TERMS), -number}))
        index.add(*line)
        known[number] = line
    for number in dice.sample(range(1, LINES), LINES // 3):
        index.discard(number, known.pop(number).terms)
    for number in dice.sample(sorted(known), 100):
        index.tie(number, known[number].terms)
    return index, known


@pytest.mark.parametrize("is_down", [True, False])
@pytest.mark.parametrize("disorder", [0, 50, 2 * BLOCK], ids=["in order", "nearly", "hardly"])
def test_lines_come_in_the_order_of_their_keys(disorder: int, is_down: bool) -> None:
    index, known = some(disorder)
    for groups in ([], [[3]], [[3, 4, 5]], [[3], [4]]):
        members = index.matching(groups)
        expected = [
            line for line in known.values() if all(any(term in line.terms for term in group) for group in groups)
        ]
        assert set(members) == {line.number for line in expected}
        for low, high in ((LOWEST, HIGHEST), (BLOCK // 2, BLOCK + BLOCK // 2)):
            within = sorted((line.key for line in expected if low <= line.key <= high), reverse=is_down)
            walked = list(index.walk(members, is_down=is_down, low=low, high=high))
            assert [key for key, _ in walked] == within
            assert all(known[number].key == key for key, number in walked)
            assert len({number for _, number in walked}) == len(walked)
            assert index.count(members, low, high) == len(within)


def test_what_one_line_alone_has_is_found_and_forgotten() -> None:
    index, known = some(0)
    number = min(known)
    assert list(index.ids(-number)) == [number]
    index.untie(number + 1, (-number,))  # somebody else's
    assert list(index.ids(-number)) == [number]
    index.discard(number, known[number].terms)
    assert (list(index.ids(-number)), number in index.everything) == ([], False)


def test_blocks_without_lines_are_given_back() -> None:
    index, known = some(0)
    for line in known.values():
        index.discard(line.number, line.terms)
    assert repr(index) == "<Index of 0 tasks, 0 terms, 0 blocks>"


def test_equals_come_together() -> None:
    index = Index()
    for number in range(1, LINES):
        index.add(number, number % 7, ())
    walked = [key for key, _ in index.walk(index.everything, is_down=True, low=LOWEST, high=HIGHEST)]
    assert [key for key, _ in groupby(walked)] == [6, 5, 4, 3, 2, 1, 0]
