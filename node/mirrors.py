"""Which of several addresses of one file are used, by what each said of it. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence

from msgspec import Struct

from node.probe import Probed
from schemas.redact import redact_uri
from schemas.task import MIRROR_URI_CHARS_MAX, Mirror

SILENT = "it did not answer"


class Survey(Struct, frozen=True):
    """What was found out of several addresses before a download."""

    problems: Mapping[str, str] = {}
    """By address."""
    unused: frozenset[str] = frozenset()
    """Addresses that are left out."""


def agreed_size(found: Mapping[str, Probed]) -> int | None:
    """The size that most of the addresses tell, of several that equally many do the first one's."""
    told = Counter(one.size for one in found.values() if one.is_file and one.size is not None)
    return told.most_common(1)[0][0] if told else None


def surveyed(uris: Sequence[str], found: Mapping[str, Probed], size: int | None) -> Survey:
    """What to think of the addresses of a file that must have `size` bytes; None: whatever most of them tell.

    Those that were not asked are used. Where all have problems all are, but those to which this node does not go.
    """
    wanted = size if size is not None else agreed_size(found)
    refused = {uri: found[uri].refused for uri in uris if uri in found and found[uri].refused}
    problems = {uri: why for uri in uris if uri in found and (why := _problem(found[uri], wanted))} | refused
    return Survey(problems, frozenset(problems if len(problems) < len(uris) else refused))


def refused_by_all(uris: Sequence[str], found: Mapping[str, Probed]) -> str:
    """Why this node goes to none of them; empty where it does to one."""
    refusals = [found[uri].refused for uri in uris if uri in found]
    return refusals[0] if len(refusals) == len(uris) and all(refusals) else ""


def results(uris: Sequence[str], survey: Survey, size: int | None) -> tuple[Mirror, ...]:
    """What each of several addresses did for a file of `size` bytes, None where there is none.

    aria2 does not tell how many bytes came from where: they are known only where one address was used.
    """
    if len(uris) < 2:
        return ()
    is_alone = len(uris) - len(survey.unused) == 1
    used = size if is_alone else None
    return tuple(
        Mirror(
            uri=redact_uri(uri)[:MIRROR_URI_CHARS_MAX],
            bytes=0 if uri in survey.unused else used,
            problem=survey.problems.get(uri, ""),
        )
        for uri in uris
    )


def _problem(told: Probed, wanted: int | None) -> str:
    if told.status is None:
        return SILENT
    if not told.is_file:
        return f"it answered {told.status}"
    if None not in (told.size, wanted) and told.size != wanted:
        return f"its file has {told.size} bytes, not {wanted}"
    return ""
