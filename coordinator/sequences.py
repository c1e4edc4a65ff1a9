"""A set of stream sequences in little memory: they lie close together, so a bit each will do. Pure."""

from collections.abc import Iterable, Iterator, MutableSet
from typing import Any

PAGE = 1024
"""Sequences whose bits share one number."""


class Sequences(MutableSet[int]):
    """A set of whole numbers from 0; a million in a row take 200 KiB, a lonely one 250 bytes."""

    def __init__(self, sequences: Iterable[int] = ()) -> None:
        self._pages: dict[int, int] = {}
        self._count = 0
        for sequence in sequences:
            self.add(sequence)

    def __repr__(self) -> str:
        return f"<Sequences, {self._count} of them>"

    def __contains__(self, sequence: Any) -> bool:
        page, bit = divmod(sequence, PAGE)
        return bool(self._pages.get(page, 0) >> bit & 1)

    def __iter__(self) -> Iterator[int]:
        for page, bits in sorted(self._pages.items()):
            yield from (page * PAGE + bit for bit in range(bits.bit_length()) if bits >> bit & 1)

    def __len__(self) -> int:
        return self._count

    def add(self, sequence: int) -> None:
        page, bit = divmod(sequence, PAGE)
        bits = self._pages.get(page, 0)
        if not bits >> bit & 1:
            self._pages[page] = bits | 1 << bit
            self._count += 1

    def discard(self, sequence: int) -> None:
        page, bit = divmod(sequence, PAGE)
        bits = self._pages.get(page, 0)
        if not bits >> bit & 1:
            return
        self._count -= 1
        if bits := bits ^ 1 << bit:
            self._pages[page] = bits
        else:
            del self._pages[page]
