"""What a leader leaves written for the next one: placements under way that count against a limit, and who cools down.

Whoever leads takes the record over before it reads the table. From then on the one before can add nothing to it, so
that what it may still have in flight is what the record names.
"""

from collections.abc import Callable, Collection, Iterable
from typing import NoReturn

import anyio
import msgspec
import structlog

from broker import keys
from broker.connection import Connection
from broker.errors import BrokerError, Deposed
from schemas import codec
from schemas import subjects as s
from schemas.placing import Entry, PlacingRecord

log = structlog.get_logger()

COOLING_MAX = 1000
"""Origins that cool down at once and are remembered: the record is one message. Beyond it the soonest to end go."""
UNTIL_DIGITS = 3


def succeeded(record: PlacingRecord, epoch: int, term: str, now: float) -> PlacingRecord | None:
    """The record as a later term takes it over; None where it is a later term's already. `now` is broker time."""
    if record.epoch > epoch:
        return None
    return PlacingRecord(epoch=epoch, term=term, unsettled=record.unsettled, cooling=still(record.cooling, now))


def still(cooling: dict[str, float], now: float) -> dict[str, float]:
    """Those that cool down beyond `now`: at most COOLING_MAX, the ones that take longest."""
    left = sorted((until, origin) for origin, until in cooling.items() if until > now)
    return {origin: until for until, origin in left[-COOLING_MAX:]}


class Handover:
    """The record as one term keeps it. Many changes that come together share one write."""

    def __init__(self, connection: Connection, *, epoch: int, term: str, cooled: Callable[[str, float], None]) -> None:
        """`cooled` is told of each origin that cools down, and until when, broker time."""
        self._connection = connection
        self._epoch, self._term = epoch, term
        self._cooled = cooled
        self._revision = 0
        self._taken = False
        self.inherited: set[Entry] = set()
        """What an earlier leader may still be placing: nothing limited is placed before each of them is settled."""
        self._unsettled: set[Entry] = set()
        self._cooling: dict[str, float] = {}
        self._changes = 0
        self._to_keep = 0
        """The last change that somebody must see stored."""
        self._stored = 0
        """The last change that is."""
        self._writing = anyio.Lock()
        self._deposed = anyio.Event()
        self._why = ""

    def __repr__(self) -> str:
        return (
            f"<Handover {len(self._unsettled)} unsettled, {len(self.inherited)} inherited, {len(self._cooling)} cool>"
        )

    async def take_over(self) -> None:
        """Make the record this term's. Call it before the table is read. Raises Deposed, StoreFull, Unanswered."""
        while True:
            found = await keys.read(self._connection, s.PLACING_KEY)
            record = succeeded(_read(found.body if found else b""), self._epoch, self._term, self._now())
            if record is None:
                raise Deposed("a later term has the record of placements")
            self._revision = found.revision if found else 0
            self.inherited, self._cooling = set(record.unsettled), dict(record.cooling)
            if await self._write():
                self._taken = True
                break
        for origin, until in self._cooling.items():
            self._cooled(origin, until)
        if self.inherited:
            log.info("an earlier leader may have been placing", tasks=len(self.inherited))

    async def enter(self, entries: Collection[Entry]) -> None:
        """Write down placements before they are sent. Raises BrokerError: then none of them may be."""
        self._unsettled |= set(entries)
        self._changes += 1
        try:
            await self._store()
        except BrokerError:
            self.settled(entries)
            raise

    @property
    def unsettled(self) -> frozenset[Entry]:
        """Placements of this term whose fate is not known."""
        return frozenset(self._unsettled)

    def settled(self, entries: Iterable[Entry]) -> None:
        """What became of them is known. The record is put right with its next write: named too long does no harm."""
        self._unsettled.difference_update(entries)
        self.inherited.difference_update(entries)

    async def cool(self, origins: Iterable[str], until: float) -> None:
        """Nothing is begun from these before `until`, broker time; returns when that is stored. Raises BrokerError."""
        until = round(until, UNTIL_DIGITS)
        news = [origin for origin in origins if until > max(self._now(), self._cooling.get(origin, 0.0))]
        for origin in news:
            self._cooling[origin] = until
            self._cooled(origin, until)
        if news:
            self._cooling = still(self._cooling, self._now())
            self._changes += 1
            self._to_keep = self._changes
        if self._stored < self._to_keep:
            await self._store()

    def cooling(self) -> dict[str, float]:
        """Seconds left of each origin that cools down."""
        now = self._now()
        return {origin: round(until - now, 1) for origin, until in sorted(still(self._cooling, now).items())}

    async def until_deposed(self) -> NoReturn:
        """Raises Deposed once the record turns out to be another term's."""
        await self._deposed.wait()
        raise Deposed(self._why)

    async def _store(self) -> None:
        """Returns when every change so far is stored. Raises Deposed, StoreFull, ApiRefused, Unanswered.

        Where there was no room for the record when this term began, what it read of the table may be too old to count
        by: once there is room a term of its own reads it again.
        """
        wanted = self._changes
        async with self._writing:
            if not self._taken:
                await self.take_over()
                raise self._depose("there is room for the record of placements again: the table is read once more")
            while self._stored < wanted:
                if self._deposed.is_set():
                    raise Deposed(self._why)
                if not await self._write():
                    await self._own_or_deposed()

    async def _write(self) -> bool:
        """Store what there is; False where the record does not stand as this term knows it."""
        changes = self._changes
        record = PlacingRecord(
            epoch=self._epoch,
            term=self._term,
            write=changes,
            unsettled=tuple(sorted(self._unsettled | self.inherited)),
            cooling=still(self._cooling, self._now()),
        )
        revision = await keys.write(self._connection, s.PLACING_KEY, codec.encode(record), expected=self._revision)
        if revision is None:
            return False
        self._revision, self._stored = revision, changes
        return True

    async def _own_or_deposed(self) -> None:
        """What stands may be a write of this term whose answer was lost: then it goes on from there."""
        found = await keys.read(self._connection, s.PLACING_KEY)
        if found is None or _read(found.body).term != self._term:
            raise self._depose("another term has the record of placements")
        self._revision = found.revision

    def _depose(self, why: str) -> Deposed:
        self._why = why
        self._deposed.set()
        return Deposed(why)

    def _now(self) -> float:
        return self._connection.clock.now()


def _read(body: bytes) -> PlacingRecord:
    """A record; an empty one for what can't be read: whatever wrote it is no leader of this version."""
    if not body:
        return PlacingRecord()
    try:
        return codec.decode(body, PlacingRecord)
    except msgspec.MsgspecError as error:
        log.error("the record of placements can't be read; it is begun anew", problem=str(error))
        return PlacingRecord()
