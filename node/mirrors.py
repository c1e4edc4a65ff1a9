"""Which of several addresses of one file are used, by what each said of it. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence

from node.probe import Probed
from schemas.event import Mirror
from schemas.redact import redact_uri

SILENT = "it did not answer"


def agreed_size(found: Mapping[str, Probed]) -> int | None:
    """The size that most of the addresses tell, of several that equally many do the first one's."""
    told = Counter(one.size for one in found.values() if one.is_file and one.size is not None)
    return told.most_common(1)[0][0] if told else None


def left_out(uris: Sequence[str], found: Mapping[str, Probed], size: int | None) -> dict[str, str]:
    """Addresses that are not used, each with the reason.

    Where that would leave nothing to download from, all are used but those to which this node does not go. `size`:
    what the file must have, in bytes; None: whatever most of them tell. Those that were not asked are used.
    """
    wanted = size if size is not None else agreed_size(found)
    refused = {uri: found[uri].refused for uri in uris if uri in found and found[uri].refused}
    problems = {uri: why for uri in uris if uri in found and (why := _problem(found[uri], wanted))} | refused
    return problems if len(problems) < len(uris) else refused


def refused_by_all(uris: Sequence[str], found: Mapping[str, Probed]) -> str:
    """Why this node goes to none of them; empty where it does to one."""
    refusals = [found[uri].refused for uri in uris if uri in found]
    return refusals[0] if len(refusals) == len(uris) and all(refusals) else ""


def results(uris: Sequence[str], problems: Mapping[str, str], size: int | None) -> tuple[Mirror, ...]:
    """What each of several addresses did for a file of `size` bytes, None where there is none.

    aria2 does not tell how many bytes came from where: they are known only where one address was used.
    """
    if len(uris) < 2:
        return ()
    is_alone = len(uris) - len(problems) == 1
    return tuple(
        Mirror(redact_uri(uri), 0 if uri in problems else size if is_alone else None, problems.get(uri, ""))
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
