"""Waiting tasks against a model: a plain dict, sorted when asked."""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from coordinator.pending import Pending, TaskClass
from coordinator.snapshot import Waiting
from tests.examples import a_waiting

numbers = st.integers(1, 5)
tags = st.sampled_from([frozenset[str](), frozenset({"eu"})])


class PendingAndDict(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.pending = Pending()
        self.model: dict[str, Waiting] = {}

    def of(self, kind: TaskClass) -> list[Waiting]:
        return sorted(one for one in self.model.values() if (one.tags, one.capability) == kind)

    @rule(number=numbers, tags=tags, priority=st.integers(-1, 1), sequence=st.integers(1, 3))
    def add(self, number: int, tags: frozenset[str], priority: int, sequence: int) -> None:
        waiting = a_waiting(number, priority=priority, tags=tags, sequence=sequence)
        self.pending.add(waiting)
        self.model[waiting.task] = waiting

    @rule(number=numbers)
    def discard(self, number: int) -> None:
        self.pending.discard(a_waiting(number).task)
        self.model.pop(a_waiting(number).task, None)

    @rule(tags=tags)
    def take_the_head(self, tags: frozenset[str]) -> None:
        head = self.pending.head(TaskClass(tags, "http"))
        if head is not None:
            self.pending.take(head)
            del self.model[head.task]

    @invariant()
    def it_holds_what_was_added_and_not_taken(self) -> None:
        assert len(self.pending) == len(self.model)
        assert all(task in self.pending for task in self.model)

    @invariant()
    def every_waiting_task_is_in_a_class(self) -> None:
        assert {TaskClass(one.tags, one.capability) for one in self.model.values()} <= set(self.pending.classes())

    @rule(tags=tags)
    def the_head_of_a_class_is_its_first(self, tags: frozenset[str]) -> None:
        kind = TaskClass(tags, "http")
        assert self.pending.head(kind) == next(iter(self.of(kind)), None)

    def teardown(self) -> None:
        """Taken to the end, each class comes out in order, once."""
        for kind in tuple(self.pending.classes()):
            taken = []
            while (head := self.pending.head(kind)) is not None:
                self.pending.take(head)
                taken.append(head)
            assert taken == self.of(kind)
        assert not list(self.pending.classes())


TestPendingIsAQueueForEachClass = PendingAndDict.TestCase
