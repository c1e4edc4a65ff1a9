"""What a node believes stands with it, while messages come late, twice, out of order or never, and replicas lag."""

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from node.assignments import Assignments, Change
from schemas.lifecycle import Desired
from schemas.task import StoredRow, TaskRow
from tests.examples import a_row, a_stored, an_assigned_row

HERE = "node-a"
TASKS = ("a", "b")
tasks = st.sampled_from(TASKS)


class Hint:
    def __init__(self, task: str, sequence: int) -> None:
        self.task, self.sequence = task, sequence


class BrokerAndNode(RuleBasedStateMachine):
    """The broker's rows at this node, every earlier version of them, and the messages still under way."""

    def __init__(self) -> None:
        super().__init__()
        self.assignments = Assignments(HERE)
        self.held: dict[str, StoredRow] = {}
        """What the agent was told."""
        self.rows: dict[str, StoredRow] = {}
        self.attempt = dict.fromkeys(TASKS, 1)
        self.written = 0
        self.versions: list[tuple[int, dict[str, StoredRow]]] = [(0, {})]
        self.messages: list[StoredRow | Hint] = []
        self.dropped: set[tuple[str, int]] = set()
        self.settled = dict.fromkeys(TASKS, 0)

    def write(self, row: TaskRow | None) -> int:
        self.written += 1
        if row is not None:
            self.rows = self.rows | {row.task: a_stored(self.written, row)}
            self.messages.append(self.rows[row.task])
        self.versions.append((self.written, self.rows))
        return self.written

    def erase(self, task: str, superseded_by: int) -> None:
        self.rows = {key: row for key, row in self.rows.items() if key != task}
        self.versions.append((self.written, self.rows))
        self.messages.append(Hint(task, superseded_by))

    def apply(self, changes: list[Change]) -> None:
        for task, assigned in changes:
            if assigned is None:
                self.dropped.add((task, self.held.pop(task).sequence))
            else:
                known = self.held.get(task)
                assert known is None or known.sequence < assigned.sequence
                self.held[task] = StoredRow(assigned.sequence, assigned.row, 0.0)

    @rule(task=tasks, desired=st.sampled_from(Desired))
    def the_coordinator_places_it_here_or_wishes_something(self, task: str, desired: Desired) -> None:
        self.write(an_assigned_row(HERE, task=task, attempt=self.attempt[task], desired=desired))

    @precondition(lambda self: self.rows)
    @rule(data=st.data())
    def the_coordinator_moves_it_away(self, data: st.DataObject) -> None:
        task = data.draw(st.sampled_from(sorted(self.rows)))
        self.attempt[task] += 1
        self.erase(task, self.write(None))

    @precondition(lambda self: self.messages)
    @rule(data=st.data(), lost=st.booleans(), twice=st.booleans())
    def a_message_comes(self, data: st.DataObject, lost: bool, twice: bool) -> None:
        message = data.draw(st.sampled_from(self.messages))
        if not twice:
            self.messages.remove(message)
        if isinstance(message, Hint):
            if not lost:
                self.apply(self.assignments.take_hint(message.task, message.sequence))
        elif not lost:
            self.apply(self.assignments.take_row(message))

    @rule(data=st.data(), modest=st.booleans())
    def it_reads_all_from_a_replica_that_may_lag(self, data: st.DataObject, modest: bool) -> None:
        last, rows = data.draw(st.sampled_from(self.versions[-4:]))
        seen_to = max((row.sequence for row in rows.values()), default=0) if modest else last
        newer = {task for task, row in self.held.items() if row.sequence > seen_to}
        known = self.assignments.known()
        self.apply(
            self.assignments.take_reading(rows.values(), known_before=known, seen_to=seen_to, authoritative=False)
        )
        assert newer <= self.held.keys(), "a row newer than the reading was dropped"

    @rule(task=tasks)
    def it_reports_the_attempt_it_holds(self, task: str) -> None:
        if row := self.held.get(task):
            self.settle(task, row.row.attempt)

    @rule(task=tasks, behind=st.integers(0, 2))
    def it_reports_an_attempt_late(self, task: str, behind: int) -> None:
        self.settle(task, max(1, self.attempt[task] - behind))

    def settle(self, task: str, attempt: int) -> None:
        self.assignments.settle(task, attempt)
        self.settled[task] = max(attempt, self.settled[task])
        if task in self.held and self.held[task].row.attempt <= attempt:
            del self.held[task]

    @invariant()
    def it_knows_what_it_told(self) -> None:
        assert self.assignments.known() == {task: row.sequence for task, row in self.held.items()}

    @invariant()
    def settled_attempts_never_come_back(self) -> None:
        assert all(row.row.attempt > self.settled[task] for task, row in self.held.items())

    @invariant()
    def a_row_that_was_dropped_never_comes_back(self) -> None:
        assert not {(task, row.sequence) for task, row in self.held.items()} & self.dropped

    def teardown(self) -> None:
        """Whatever was lost on the way: one good reading puts it right."""
        known = self.assignments.known()
        self.apply(
            self.assignments.take_reading(
                self.rows.values(), known_before=known, seen_to=self.written, authoritative=True
            )
        )
        expected = {task: row for task, row in self.rows.items() if row.row.attempt > self.settled[task]}
        assert self.held == expected


TestANodeKnowsWhatStandsWithIt = BrokerAndNode.TestCase


@given(st.integers(1, 50), st.integers(0, 60))
def test_a_message_at_or_below_the_floor_is_old_news(sequence: int, floor: int) -> None:
    assignments = Assignments(HERE)
    assignments.take_reading([], known_before={}, seen_to=floor, authoritative=False)
    taken = assignments.take_row(a_stored(sequence, an_assigned_row(HERE)))
    assert bool(taken) == (sequence > floor)


@given(st.lists(st.integers(1, 20), min_size=1, max_size=8))
def test_only_the_latest_row_of_a_task_counts(sequences: list[int]) -> None:
    assignments = Assignments(HERE)
    for sequence in sequences:
        assignments.take_row(a_stored(sequence, an_assigned_row(HERE)))
    assert list(assignments.known().values()) == [max(sequences)]


@given(st.integers(1, 9), st.integers(1, 9))
def test_an_attempt_above_the_settled_one_comes_back(settled: int, attempt: int) -> None:
    assignments = Assignments(HERE)
    row = an_assigned_row(HERE, attempt=attempt)
    assignments.settle(row.task, settled)
    assert bool(assignments.take_row(a_stored(1, row))) == (attempt > settled)


@given(st.integers(1, 9), st.integers(1, 9))
def test_the_next_attempt_stands_though_the_last_is_reported_after_it_came(attempt: int, settled: int) -> None:
    assignments = Assignments(HERE)
    row = an_assigned_row(HERE, attempt=attempt)
    assignments.take_row(a_stored(1, row))
    assignments.settle(row.task, settled)
    assert (row.task in assignments.known()) == (attempt > settled)


@given(st.integers(1, 9))
def test_no_attempt_of_a_task_that_ended_comes_back(attempt: int) -> None:
    assignments = Assignments(HERE)
    row = an_assigned_row(HERE, attempt=attempt)
    assignments.settle_for_ever(row.task)
    assert assignments.take_row(a_stored(1, row)) == []


def test_a_row_that_stands_elsewhere_is_not_held() -> None:
    assignments = Assignments(HERE)
    assert assignments.take_row(a_stored(1, an_assigned_row("node-b"))) == []
    assert assignments.take_row(a_stored(2, a_row(place=HERE))) == []


def test_a_row_that_comes_after_the_hint_of_its_end_is_not_taken_up() -> None:
    assignments = Assignments(HERE)
    row = a_stored(7, an_assigned_row(HERE))
    assignments.take_hint(row.row.task, 7)
    assert assignments.take_row(row) == []
    assert assignments.take_reading([row], known_before={}, seen_to=7, authoritative=False) == []
