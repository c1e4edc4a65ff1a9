"""Subjects: wildcards, transforms, and an index that finds the few of many that a filter means."""

import re
from collections.abc import Iterator
from functools import lru_cache

_WILDCARD = re.compile(r"\{\{wildcard\((\d+)\)\}\}")


@lru_cache(maxsize=16_384)
def tokens(subject: str) -> tuple[str, ...]:
    return tuple(subject.split("."))


def has_wildcard(subject: str) -> bool:
    return any(token in ("*", ">") for token in tokens(subject))


def matches(pattern: str, subject: str) -> bool:
    """Whether a subject without wildcards falls under a pattern."""
    wanted, given = tokens(pattern), tokens(subject)
    if wanted[-1] == ">":
        if len(given) < len(wanted):
            return False
        wanted = wanted[:-1]
    elif len(wanted) != len(given):
        return False
    return all(want in ("*", got) for want, got in zip(wanted, given, strict=False))


def overlap(one: str, other: str) -> bool:
    """Whether some subject falls under both patterns."""
    for left, right in zip(tokens(one), tokens(other), strict=False):
        if ">" in (left, right):
            return True
        if left != right and "*" not in (left, right):
            return False
    return len(tokens(one)) == len(tokens(other))


def transformed(source: str, destination: str, subject: str) -> str | None:
    """What a stream makes of a subject; None where the source does not match it."""
    if not matches(source, subject):
        return None
    pattern, given = tokens(source), tokens(subject)
    stars = [got for want, got in zip(pattern, given, strict=False) if want == "*"]
    result = _WILDCARD.sub(lambda found: stars[int(found[1]) - 1], destination)
    if pattern[-1] == ">":
        result = ".".join((*tokens(result)[:-1], *given[len(pattern) - 1 :]))
    return result


class SubjectIndex:
    """A set of subjects that finds those under a pattern by its rarest literal token."""

    def __init__(self) -> None:
        self._subjects: dict[str, None] = {}
        self._by_token: dict[str, dict[str, None]] = {}

    def __len__(self) -> int:
        return len(self._subjects)

    def add(self, subject: str) -> None:
        if subject not in self._subjects:
            self._subjects[subject] = None
            for token in tokens(subject):
                self._by_token.setdefault(token, {})[subject] = None

    def discard(self, subject: str) -> None:
        if subject in self._subjects:
            del self._subjects[subject]
            for token in set(tokens(subject)):
                del self._by_token[token][subject]

    def under(self, pattern: str) -> Iterator[str]:
        """The subjects that fall under a pattern, oldest first."""
        candidates = self._subjects
        for token in tokens(pattern):
            if token in ("*", ">"):
                continue
            known = self._by_token.get(token, {})
            if len(known) < len(candidates):
                candidates = known
        return (subject for subject in tuple(candidates) if matches(pattern, subject))
