"""What a steering verb means of many tasks: which of those that a filter finds, and how many go into each ask. Pure."""

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from schemas.control import IDS_MAX, How, Prioritise, Steer
from schemas.filter import ENDED, Standing, TaskFilter
from schemas.lifecycle import FINISHED, Desired, State
from schemas.view import TaskView

CHUNK = 100
"""Tasks of one ask: a leader cancels 100 (very busy) to 900 a second, and gives up an ask after eight."""

GOES_ON = frozenset({Desired.RUN, Desired.RELEASE})
"""What is asked back from its node goes on elsewhere."""
MEANT: dict[str, Callable[[TaskView], bool]] = {
    "cancel": lambda view: view.state not in (*FINISHED, State.ENDING) and view.desired is not Desired.CANCEL,
    "pause": lambda view: view.state not in (*FINISHED, State.ENDING) and view.desired in GOES_ON,
    "resume": lambda view: view.state not in (*FINISHED, State.ENDING) and view.desired is Desired.PAUSE,
    "retry": lambda view: view.state in FINISHED or (view.state is State.QUEUED and view.due_in_s > 0),
    "clear": lambda view: view.state is State.QUEUED,
    "prioritise": lambda view: view.state not in (*FINISHED, State.ENDING),
    "limit": lambda view: view.state not in (*FINISHED, State.ENDING),
}
"""Which of the tasks that match a verb has something to do with."""


def narrowed(verb: str, where: TaskFilter, asked: Steer | None = None) -> TaskFilter:
    """The filter a verb means where no state is named: what failed is tried again, not what completed."""
    defaults = {"retry": (Standing.QUEUED, Standing.FAILED), "resume": (Standing.PAUSED,), "clear": (Standing.QUEUED,)}
    if _is_of_the_queue(asked):
        defaults[verb] = (Standing.QUEUED,)
    return where if where.states or verb not in defaults else replace(where, states=defaults[verb])


def _is_of_the_queue(asked: Steer | None) -> bool:
    """Whether nothing but positions is to be changed."""
    return isinstance(asked, Prioritise) and asked.priority is None


def misfit(verb: str, where: TaskFilter, asked: Steer | None = None) -> str:
    """Why a verb has nothing to do with the states that are asked for; empty where it has."""
    over = sorted(str(state) for state in where.states if state in ENDED)
    if over and verb != "retry":
        return f"a task that is {over[0]} has ended: there is nothing to {verb}"
    is_queue = {Standing.QUEUED, Standing.PAUSED}.issuperset(where.states)
    if _is_of_the_queue(asked) and not is_queue:
        return "only what is queued has a position"
    if verb == "clear" and not is_queue:
        return "clear cancels what is queued and nothing else; use `downdraft cancel --state …`"
    return ""


def chunks(ids: Sequence[str], asked: Steer | None = None) -> list[tuple[str, ...]]:
    """What goes into each ask, in the order of asking: those that move together must stand in their order after all."""
    is_moving = isinstance(asked, Prioritise) and asked.position is not None
    size = IDS_MAX if is_moving else CHUNK
    parts = [tuple(ids[start : start + size]) for start in range(0, len(ids), size)]
    # Each goes to the very same position, before what is there: counted from the front the last must be there first.
    return parts[::-1] if isinstance(asked, Prioritise) and is_moving and asked.how is How.SET else parts
