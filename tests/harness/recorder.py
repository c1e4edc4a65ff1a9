"""Everything a viewer sees of the log, in order."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from broker.listen import Heard, listening
from broker.roles import Role
from schemas import subjects as s
from schemas.event import AnyEvent, Finished, decode_event
from tests.harness.broker import Broker
from tests.harness.waiting import eventually


class Recorder:
    def __init__(self) -> None:
        self.events: list[AnyEvent] = []

    def hear(self, heard: Heard) -> None:
        event = decode_event(heard.data)
        assert event is not None
        self.events.append(event)

    def of(self, task: str) -> list[AnyEvent]:
        return [event for event in self.events if event.task == task]

    def kinds(self, task: str) -> list[str]:
        return [event.kind for event in self.of(task)]

    def outcomes(self, task: str | None = None) -> list[AnyEvent]:
        return [event for event in self.events if isinstance(event, Finished) and (task is None or event.task == task)]

    async def outcome(self, task: str, within_s: float = 15) -> AnyEvent:
        """Wait for the outcome of a task."""
        found = await eventually(lambda: self.outcomes(task), within_s=within_s, what=f"outcome of {task}")
        return found[0]

    async def sees(self, kind: str, task: str | None = None, within_s: float = 10) -> AnyEvent:
        """Wait for an event of a kind."""

        def found() -> list[AnyEvent]:
            return [event for event in self.events if event.kind == kind and task in (None, event.task)]

        return (await eventually(found, within_s=within_s, what=f"event {kind}"))[0]


@asynccontextmanager
async def recording(broker: Broker) -> AsyncIterator[Recorder]:
    recorder = Recorder()
    async with broker.connected(Role.VIEWER) as connection, listening(connection, s.EVENTS_ALL, recorder.hear):
        yield recorder
