"""Which tasks have what a filter asks for, and in which order they stand: sets of line numbers, in memory.

A set of a million takes some hundred kilobytes, and two of them are intersected in a tenth of a millisecond: that, and
that adding to one takes a tenth of a microsecond, is why there are no tables for this.

The order is that of their keys. Lines are numbered as they come, which is nearly that order: so they are kept in
blocks, each with the least and the greatest key in it, and a page looks at the few blocks that may hold its tasks.
"""

import heapq
from array import array
from collections.abc import Iterator, Sequence
from typing import TypeAlias

from pyroaring import BitMap64

Ids: TypeAlias = BitMap64
"""Of 64 bits: a busy cluster uses up 32 within a month."""

BLOCK_BITS = 12
BLOCK = 1 << BLOCK_BITS
"""Lines in one block: 4,096, which are sorted in a millisecond."""
LOWEST, HIGHEST = -(1 << 63), (1 << 63) - 1


class _Block:
    """Keys of the lines of one block."""

    __slots__ = ("count", "high", "keys", "low")

    def __init__(self) -> None:
        self.keys = array("q", bytes(8 * BLOCK))
        self.count = 0
        self.low, self.high = HIGHEST, LOWEST


class Index:
    """Of the lines of one store."""

    def __init__(self) -> None:
        self.everything: Ids = BitMap64()
        self._found: dict[int, Ids | int] = {}
        """By term. A set is large beside a number, and of many terms there is but one task."""
        self._blocks: dict[int, _Block] = {}

    def __repr__(self) -> str:
        return f"<Index of {len(self.everything)} tasks, {len(self._found)} terms, {len(self._blocks)} blocks>"

    def add(self, line: int, key: int, terms: Sequence[int]) -> None:
        """A line that is new."""
        number, at = line >> BLOCK_BITS, line & (BLOCK - 1)
        block = self._blocks.get(number)
        if block is None:
            block = self._blocks[number] = _Block()
        block.keys[at] = key
        block.count += 1
        block.low, block.high = min(block.low, key), max(block.high, key)
        self.everything.add(line)
        self.tie(line, terms)

    def discard(self, line: int, terms: Sequence[int]) -> None:
        """A line that is gone."""
        number = line >> BLOCK_BITS
        block = self._blocks[number]
        block.count -= 1
        if not block.count:
            del self._blocks[number]
        self.everything.discard(line)
        self.untie(line, terms)

    def tie(self, line: int, terms: Sequence[int]) -> None:
        """It is found by these, too."""
        found = self._found
        for term in terms:
            known = found.get(term)
            if known is None:
                found[term] = line
            elif isinstance(known, int):
                if known != line:
                    found[term] = BitMap64((known, line))
            else:
                known.add(line)

    def untie(self, line: int, terms: Sequence[int]) -> None:
        """It is not found by these any more."""
        for term in terms:
            known = self._found.get(term)
            if isinstance(known, int):
                if known == line:
                    del self._found[term]
            elif known is not None:
                known.discard(line)
                if not known:
                    del self._found[term]

    def ids(self, term: int) -> Ids:
        """Not to be changed."""
        known = self._found.get(term)
        if known is None:
            return BitMap64()
        return BitMap64((known,)) if isinstance(known, int) else known

    def matching(self, groups: Sequence[Sequence[int]]) -> Ids:
        """The lines that have a term of each group. Not to be changed."""
        sets = [
            self.ids(group[0]) if len(group) == 1 else BitMap64.union(BitMap64(), *map(self.ids, group))
            for group in groups
        ]
        if not sets:
            return self.everything
        return sets[0] if len(sets) == 1 else BitMap64.intersection(*sets)

    def key(self, line: int) -> int:
        return self._blocks[line >> BLOCK_BITS].keys[line & (BLOCK - 1)]

    def walk(self, members: Ids, *, is_down: bool, low: int, high: int) -> Iterator[tuple[int, int]]:
        """Those whose keys are between these two, both included, in order: key and line. Equals in no order."""
        sign = -1 if is_down else 1
        blocks = sorted(
            (-block.high if is_down else block.low, number)
            for number, block in self._blocks.items()
            if block.low <= high and block.high >= low
        )
        heap: list[tuple[int, int, Iterator[tuple[int, int]]]] = []
        for edge, number in blocks:
            yield from _until(heap, edge, sign)
            lines = iter(self._sorted(members, number, sign, low, high))
            if (first := next(lines, None)) is not None:
                heapq.heappush(heap, (*first, lines))
        yield from _until(heap, None, sign)

    def count(self, members: Ids, low: int, high: int) -> int:
        """How many of them have keys between these two."""
        if (low, high) == (LOWEST, HIGHEST):
            return len(members)
        total = 0
        for number, block in self._blocks.items():
            start = number << BLOCK_BITS
            if block.low >= low and block.high <= high:
                total += members.range_cardinality(start, start + BLOCK)
            elif block.low <= high and block.high >= low:
                total += len(self._sorted(members, number, 1, low, high))
        return total

    def _sorted(self, members: Ids, number: int, sign: int, low: int, high: int) -> list[tuple[int, int]]:
        block, start = self._blocks[number], number << BLOCK_BITS
        keys = block.keys
        some = members & BitMap64(range(start, start + BLOCK))
        if block.low >= low and block.high <= high:
            found = [(sign * keys[line - start], line) for line in some]
        else:
            found = [(sign * keys[line - start], line) for line in some if low <= keys[line - start] <= high]
        found.sort()
        return found


def _until(
    heap: list[tuple[int, int, Iterator[tuple[int, int]]]], edge: int | None, sign: int
) -> Iterator[tuple[int, int]]:
    """What comes before anything that is not in the heap yet."""
    while heap and (edge is None or heap[0][0] < edge):
        value, line, lines = heap[0]
        if (following := next(lines, None)) is None:
            heapq.heappop(heap)
        else:
            heapq.heapreplace(heap, (*following, lines))
        yield sign * value, line
