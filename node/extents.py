"""How large each download is and how much of it is still to come, as far as the origin, aria2 or the request told."""

from collections.abc import Mapping

from msgspec.structs import replace

from node.lane import LaneDriver
from node.session import Session
from node.transfers import Transfer


class Extents:
    """Sizes of the sessions of one agent, in bytes; 0 while unknown."""

    def __init__(self, lanes: Mapping[str, LaneDriver]) -> None:
        self._lanes = lanes
        self._known: dict[str, int] = {}
        self._before: dict[str, int] = {}
        """Of tasks of several parts: what the whole ones have."""

    def __repr__(self) -> str:
        return f"<Extents of {len(self._known)} tasks>"

    def transfer(self, session: Session) -> Transfer | None:
        """What aria2 said of it last; of several parts, of all of them together."""
        transfer, before = self._told_by(session), self._before.get(session.task)
        if transfer is None or before is None:
            return transfer
        return replace(transfer, total=self.known(session.task), done=before + transfer.done)

    def present(self, session: Session) -> int:
        """Of the file that is downloaded now, the size or at least what came, as aria2 said last."""
        transfer = self._told_by(session)
        return max(transfer.total, transfer.done) if transfer else 0

    def told(self, task: str, size: int) -> None:
        """The origin told."""
        self._known[task] = size

    def parts(self, task: str, done: int, total: int) -> None:
        """Of several parts so much is whole; `total`: of all of them, 0 while unknown."""
        self._before[task], self._known[task] = done, total

    def growing(self, session: Session) -> Transfer | None:
        """Of a file whose origin does not tell its size, what aria2 said last; None for any other."""
        transfer = self.transfer(session)
        is_one = transfer is not None and not transfer.total and transfer.done > 0
        return transfer if is_one else None

    def keep(self, session: Session) -> None:
        """Remember the size, or the least it can be: aria2 is about to forget the download."""
        transfer = self.transfer(session)
        self._known[session.task] = max(self.size(session), transfer.done if transfer else 0)

    def known(self, task: str) -> int:
        """The size as told or kept."""
        return self._known.get(task, 0)

    def size(self, session: Session) -> int:
        """Of the whole file."""
        transfer, request = self.transfer(session), session.row.request
        asked = request.size_bytes if request else None
        return (transfer.total if transfer else 0) or self.known(session.task) or asked or session.row.size

    def left(self, session: Session) -> int:
        """Still to come."""
        transfer, present = self.transfer(session), self._told_by(session)
        known = self.size(session) - (transfer.done if transfer else self._before.get(session.task, 0))
        # The present part may be larger than was said of it.
        return max(0, known, present.total - present.done if present else 0)

    def _told_by(self, session: Session) -> Transfer | None:
        lane = self._lanes.get(session.lane)
        return lane.transfers.get(session.task) if lane else None

    def forget(self, task: str) -> None:
        self._known.pop(task, None)
        self._before.pop(task, None)
