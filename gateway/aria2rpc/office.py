"""What all callers of the JSON-RPC have in common: where they call from, and what began a moment ago."""

import hashlib
import time
from collections import OrderedDict
from uuid import uuid4

from gateway.callers import Caller
from schemas.view import TaskView

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
        self._begun: OrderedDict[str, int] = OrderedDict()

        self._hosts: OrderedDict[str, dict[str, tuple[Caller, float]]] = OrderedDict()

    def __repr__(self) -> str:
        return f"<Office of {len(self._begun)} tasks that began>"

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
