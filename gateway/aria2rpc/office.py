"""What all callers of the JSON-RPC have in common: who listens, and what came in so lately that no list has it yet."""

import hashlib
import time
from collections import OrderedDict
from uuid import uuid4

from broker.cluster import Prepared
from gateway.callers import Caller
from schemas.lifecycle import State
from schemas.view import TaskView, asked

NEW_MAX = 100_000
"""Requests that were stored and not yet claimed; the oldest are forgotten first."""
NEW_FOR_S = 600.0
"""A request that nobody claimed by then is left to the lists: no coordinator runs."""
HOSTS_MAX = 1000
"""Addresses of callers that are remembered, those that called last."""
CALLERS_MAX = 16
"""Of one address."""
HOST_FOR_S = 3600.0
BEGUN_MAX = 100_000
"""Running tasks whose start was heard before their node's heartbeat."""


class Office:
    """One for each process."""

    def __init__(self) -> None:
        self.session = hashlib.sha1(uuid4().bytes, usedforsecurity=False).hexdigest()
        """Of getSessionInfo: 40 hex digits, others after each start."""
        self._new: OrderedDict[str, tuple[Prepared, TaskView, float]] = OrderedDict()
        self._begun: OrderedDict[str, int] = OrderedDict()

        self._hosts: OrderedDict[str, dict[str, tuple[Caller, float]]] = OrderedDict()

    def __repr__(self) -> str:
        return f"<Office of {len(self._new)} new tasks>"

    def stored(self, prepared: Prepared) -> None:
        """A request was put into the inbox."""
        request = prepared.request
        view = TaskView(
            task=prepared.task, owner=prepared.owner, state=State.QUEUED, name=request.title, labels=request.labels
        )
        self._new[prepared.task] = (prepared, asked(view, request), time.monotonic())
        while len(self._new) > NEW_MAX:
            self._new.popitem(last=False)

    def new(self) -> list[tuple[Prepared, TaskView]]:
        """What was stored and is not known to be claimed."""
        oldest = time.monotonic() - NEW_FOR_S
        while self._new and next(iter(self._new.values()))[2] < oldest:
            self._new.popitem(last=False)
        return [(prepared, view) for prepared, view, _ in self._new.values()]

    def find_new(self, task: str) -> tuple[Prepared, TaskView] | None:
        found = self._new.get(task)
        return found[:2] if found is not None else None

    def claimed(self, task: str) -> None:
        """The lists have it now."""
        self._new.pop(task, None)

    def called(self, host: str, caller: Caller) -> None:
        """Somebody with a valid key called from there."""
        there = self._hosts.setdefault(host, {})
        self._hosts.move_to_end(host)
        there.pop(caller.key, None)
        there[caller.key] = (caller, time.monotonic())
        if len(there) > CALLERS_MAX:
            del there[next(iter(there))]
        if len(self._hosts) > HOSTS_MAX:
            self._hosts.popitem(last=False)

    def callers_from(self, host: str) -> list[Caller]:
        """Those that called from an address of late."""
        oldest = time.monotonic() - HOST_FOR_S
        return [caller for caller, at in self._hosts.get(host, {}).values() if at > oldest]

    def began(self, task: str, attempt: int) -> None:
        """Its node said that it runs."""
        self._begun[task] = attempt
        while len(self._begun) > BEGUN_MAX:
            self._begun.popitem(last=False)

    def stopped(self, task: str) -> None:
        self._begun.pop(task, None)

    def has_begun(self, view: TaskView) -> bool:
        """Whether this very attempt runs."""
        return self._begun.get(view.task) == view.attempt
