"""Torrents of one lane that have every byte: those that are to be given to others, and those that should end. Pure."""

from node.transfers import Addition, Status, Transfer

END_WITHIN_S = 3.0
"""aria2 tells its trackers that it has all, and that it goes; where they don't answer that is not waited for."""
NO_SEEDING = "0"
"""`seed-time` of what ends when it is whole."""


class Seeders:
    """Whole torrents, with the moment since which they are."""

    def __init__(self) -> None:
        self._meant: set[str] = set()
        """To be given to others when they are whole."""
        self._whole: dict[str, float] = {}

    def __repr__(self) -> str:
        return f"<Seeders {len(self._whole)} whole>"

    def begin(self, addition: Addition) -> None:
        """aria2 gets it."""
        self._whole.pop(addition.gid, None)
        if addition.torrent and addition.options.get("seed-time", NO_SEEDING) != NO_SEEDING:
            self._meant.add(addition.gid)
        else:
            self._meant.discard(addition.gid)

    def saw(self, task: str, transfer: Transfer, now: float) -> bool:
        """What a look found; True where it has just become whole and is to be given to others."""
        is_whole = transfer.seeder and transfer.status is Status.ACTIVE and not transfer.is_verifying
        if not is_whole or task in self._whole:
            return False
        self._whole[task] = now
        return task in self._meant

    def is_whole(self, task: str) -> bool:
        return task in self._whole

    def overdue(self, now: float) -> list[str]:
        """Those that should have ended by themselves."""
        return [task for task, since in self._whole.items() if task not in self._meant and now - since > END_WITHIN_S]

    def forget(self, task: str) -> None:
        """aria2 does not have it any more."""
        self._whole.pop(task, None)
        self._meant.discard(task)

    def forget_all(self) -> None:
        """aria2 is another one."""
        self._whole.clear()
        self._meant.clear()
