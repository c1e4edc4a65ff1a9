"""Parts of two long lists, each along an index of its own: the live tasks in line, and the latest results."""

import json
from collections.abc import Collection

from msgspec import Struct

from gateway.readmodel.changes import number_of
from gateway.readmodel.cursors import Sort
from gateway.readmodel.paging import Listing
from gateway.readmodel.store import Store, readable
from schemas.filter import ENDED, TaskFilter
from schemas.view import TaskView


class Part(Struct, frozen=True):
    """Which part of the line is asked for."""

    offset: int
    count: int
    owner: str = ""
    """Empty for everybody's."""
    is_backwards: bool = False
    """From the end of the line, towards its front."""


def in_line(store: Store, part: Part, without: Collection[str]) -> list[TaskView]:
    """The live tasks by priority, then by their order; those of `without` left out."""
    order = "DESC" if part.is_backwards else "ASC"
    index, owned = ("by_owner_line", "owner = ? AND ") if part.owner else ("by_line", "")
    left_out = json.dumps([number for task in without if (number := number_of(task)) is not None])
    found = store.database.execute(
        # Only what is told is looked up: what is passed over stands in the index.
        f"SELECT body, state FROM (SELECT id AS its FROM tasks INDEXED BY {index} WHERE {owned}line IS NOT NULL "
        f"AND task NOT IN (SELECT value FROM json_each(?)) ORDER BY line {order}, task {order} LIMIT ? OFFSET ?) "
        "CROSS JOIN tasks ON id = its",
        (*([part.owner] if part.owner else []), left_out, part.count, part.offset),
    )
    return [view for body, state in found if (view := readable(body, state, has_ended=False)) is not None]


def known(store: Store, tasks: Collection[str]) -> set[str]:
    """Those of many that are there."""
    numbers = {number: task for task in tasks if (number := number_of(task)) is not None}
    asked = "SELECT task FROM tasks WHERE task IN (SELECT value FROM json_each(?))"
    return {numbers[number] for (number,) in store.database.execute(asked, (json.dumps([*numbers]),))}


def beginning(store: Store, start: str, owner: str, count: int) -> list[TaskView]:
    """At most so many of the tasks whose ids begin with some hex digits. `owner`: empty for everybody's."""
    low, high = number_of(f"{start:0<16}"), number_of(f"{start:f<16}")
    owned = "AND owner = ? " if owner else ""
    found = store.database.execute(
        f"SELECT body, state, ended FROM tasks INDEXED BY by_task WHERE task BETWEEN ? AND ? {owned}LIMIT ?",
        (low, high, *([owner] if owner else []), count),
    )
    views = [readable(body, state, has_ended=ended is not None) for body, state, ended in found]
    return [view for view in views if view is not None]


def latest_results(store: Store, owner: str, count: int) -> list[TaskView]:
    """The tasks that ended last, the oldest of them first. `owner`: empty for everybody's."""
    if not owner:
        asked = "SELECT body, state FROM tasks WHERE ended IS NOT NULL ORDER BY ended DESC LIMIT ?"
        lines = store.database.execute(asked, (count,)).fetchall()
        views = [readable(body, state, has_ended=True) for body, state in reversed(lines)]
        return [view for view in views if view is not None]
    where = TaskFilter(states=tuple(sorted(ENDED)), owners=(owner,))
    found, after = list[TaskView](), ""
    while len(found) < count:
        page = Listing(store, where, Sort.NEWEST, after).page(count - len(found))
        found += page.tasks
        if not (after := page.after):
            break
    return found[::-1]
