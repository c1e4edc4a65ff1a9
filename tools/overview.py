"""`stats`: the cluster as a whole."""

from broker.cluster import Client
from schemas import subjects as s
from schemas.control import StatsReply, Steer, StoreUse
from schemas.lifecycle import Outcome, State
from schemas.oddity import WORDS, Oddity
from schemas.sizes import format_size
from tools.looking import COLOURS, age, print_json
from tools.tables import Cell, Column, print_table

STATS = (Column("what"), Column("count", right=True), Column("note", may_cut=True))
STORE_SHOWN_SHARE = 0.8
"""A stream this full gets a line; at this share of TASKS claiming stops."""
COOLING_SHOWN = 3
STORES = {
    s.REQUESTS_STREAM: "when full, producers are refused",
    s.TASKS_STREAM: "nothing is claimed until there is room",
    s.EVENTS_STREAM: "when full, no task can end",
    s.BUCKET_STREAM: "the broker's whole store is full: nothing can be written",
}
LATER = (State.ASSIGNED, State.ACTIVE, State.ENDING)


async def show_stats(client: Client, *, as_json: bool) -> None:
    reply = await client.ask("stats", Steer(), StatsReply)
    if as_json:
        print_json(reply)
        return
    print_table(STATS, _stats(reply), head=False)


def _stats(reply: StatsReply) -> list[tuple[Cell, ...]]:
    oldest = f"the oldest for {age(reply.oldest_queued_s)}" if reply.oldest_queued_s is not None else ""
    window = f"in the last {age(reply.recent_s)}"
    return [
        (Cell("leader", "dim"), Cell(reply.leader), Cell(f"term {reply.epoch}", "dim")),
        _count("nodes online", reply.nodes_online, f"of {reply.nodes} heard", "green"),
        _count("running", reply.running, f"of {reply.slots} slots, {format_size(reply.bytes_per_s)}/s", "blue"),
        _count("unclaimed", reply.inbox, "requests in the inbox", "yellow"),
        _count("queued", reply.states.get("queued", 0), oldest, COLOURS[State.QUEUED]),
        *(_count(str(state), reply.states.get(str(state), 0), "", COLOURS[state]) for state in LATER),
        _count("paused", reply.paused, "of these", "yellow"),
        *(_count(str(end), reply.recent.get(str(end), 0), window, COLOURS[State(end)]) for end in Outcome),
        *_cooling(reply.cooling),
        *(_store(store) for store in reply.stores if store.is_refusing or store.share >= STORE_SHOWN_SHARE),
        *(
            _count("passed over", reply.oddities[kind], words, "yellow")
            for kind, words in WORDS.items()
            if reply.oddities.get(kind) and kind is not Oddity.REQUEST_REJECTED
        ),
    ]


def _cooling(cooling: dict[str, float]) -> list[tuple[Cell, ...]]:
    """Origins that asked to be left alone: those for longest by name."""
    if not cooling:
        return []
    longest = sorted(cooling.items(), key=lambda one: (-one[1], one[0]))
    named = ", ".join(f"{origin} for {age(left_s)} more" for origin, left_s in longest[:COOLING_SHOWN])
    return [_count("cooling", len(cooling), f"asked to be left alone: {named}", "yellow")]


def _store(store: StoreUse) -> tuple[Cell, ...]:
    """A store that is full, or nearly: what that means and where to learn what to do."""
    full = store.is_refusing or store.share >= 1
    share = f"{store.share:.0%}" if store.max_bytes > 0 else "full"
    of = f" of {format_size(store.max_bytes)}" if store.max_bytes > 0 else ""
    said = f"{format_size(store.used_bytes)}{of}: {STORES.get(store.stream, '')}; see `downdraft doctor`"
    return Cell(store.stream, "dim"), Cell(share, "red" if full else "yellow"), Cell(said, "dim")


def _count(name: str, count: int, note: str, colour: str) -> tuple[Cell, ...]:
    return Cell(name, "dim"), Cell(f"{count:,}", colour if count else "dim"), Cell(note, "dim")
