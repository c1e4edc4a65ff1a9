"""Whom a node asks for the peers of a torrent: those of its trackers and web seeds to which it may go."""

from collections.abc import Sequence

import anyio
import structlog

from node.addresses import Unresolved
from node.asking import Asker
from node.failures import Verdict
from schemas.task import FailureClass

log = structlog.get_logger()

UDP = "udp://"
"""aria2 asks such trackers only where it takes part in the DHT."""
TRACKERS = ("http://", "https://", UDP)
WEB_SEEDS = ("http://", "https://", "ftp://")

Tiers = Sequence[Sequence[str]]


class Trackers:
    """What a torrent names is checked before aria2 sees it: it may name any address, of this node's network too."""

    def __init__(self, asker: Asker, *, has_dht: bool) -> None:
        self._asker = asker
        self._has_dht = has_dht
        self._left_out: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"<Trackers of {len(self._left_out)} tasks>"

    async def usable(self, task: str, tiers: Tiers) -> list[list[str]]:
        """The trackers to which this node goes, in their tiers."""
        kept = await self._kept(tiers, TRACKERS if self._has_dht else TRACKERS[:-1])
        self._left_out[task] = sum(map(len, tiers)) - sum(map(len, kept))
        if self._left_out[task]:
            log.info("trackers are left out", task=task, count=self._left_out[task])
        return kept

    async def web_seeds(self, uris: Sequence[str]) -> list[str]:
        """Those to which this node goes."""
        return [uri for tier in await self._kept([uris], WEB_SEEDS) for uri in tier]

    def nobody(self, task: str, tiers: Tiers, seeds: Sequence[str], *, is_private: bool) -> Verdict | None:
        """Why nobody could ever be found who has it; None where somebody may be."""
        if tiers or seeds or (self._has_dht and not is_private):
            return None
        count = self._left_out.get(task, 0)
        named = f"this node goes to none of its {count} trackers" if count else "it names no tracker"
        more = "" if is_private or self._has_dht else ", and node.dht, by which others are found, is not set here"
        return Verdict(FailureClass.NODE, "no-trackers", f"nobody can be asked for this torrent: {named}{more}")

    def told(self, task: str) -> str:
        """The end of a sentence on peers that were not found."""
        left_out = self._left_out.get(task)
        return f"; this node does not go to {left_out} of its trackers" if left_out else ""

    def forget(self, task: str) -> None:
        """Its attempt is over."""
        self._left_out.pop(task, None)

    async def _kept(self, tiers: Tiers, schemes: tuple[str, ...]) -> list[list[str]]:
        usable: set[str] = set()

        async def judge(uri: str) -> None:
            try:
                if uri.lower().startswith(schemes) and uri.isprintable() and await self._asker.refusal(uri) is None:
                    usable.add(uri)
            except (ValueError, Unresolved):
                return

        async with anyio.create_task_group() as tasks:
            for uri in {uri for tier in tiers for uri in tier}:
                tasks.start_soon(judge, uri)
        return [kept for tier in tiers if (kept := [uri for uri in tier if uri in usable])]
