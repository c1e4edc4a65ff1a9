"""When a drill takes the cluster for recovered: by evidence from after the blow, never from before."""

from datetime import UTC, datetime

import pytest

from schemas.event import AnyEvent, Assigned, Completed, Started
from schemas.heartbeat import Heartbeat, Progress
from tools.drill.plan import BROKER, Kind
from tools.drill.witness import AGAIN, ANSWERS, ELSEWHERE, MOVED, REPLACED, STORES, Witness

TASK = "a" * 16
MOMENT = datetime(2031, 5, 1, tzinfo=UTC)


class Seen:
    """A witness, and what it told: each recovery with the fault's number, the moment and the evidence."""

    def __init__(self) -> None:
        self.told: list[tuple[int, float, str]] = []
        self.witness = Witness(lambda number, at, how: self.told.append((number, at, how)))

    def beat(self, at: float, instance: str = "one") -> None:
        beat = Heartbeat(node="node-1", instance=instance, beat=1, version="1", slots=8, running=0, waiting=0)
        self.witness.beat(beat, at)

    def on_node(self, lane: str = "large", node: str = "node-1", at: float = 1.0) -> None:
        self.witness.happened(Assigned(task=TASK, owner="o", time=MOMENT, node=node, why="free"), at)
        self.witness.happened(Started(task=TASK, owner="o", time=MOMENT, node=node, lane=lane), at)

    def moved(self, at: float, bytes_done: int) -> None:
        progress = Progress(task=TASK, attempt=1, node="node-1", bytes_done=bytes_done, bytes_total=100, bytes_per_s=1)
        self.witness.moved(progress, at)


@pytest.fixture
def seen() -> Seen:
    return Seen()


def completed() -> AnyEvent:
    return Completed(
        task=TASK, owner="o", time=MOMENT, node="node-2", path="f", bytes=1, digest="sha-256=0", seconds=1.0
    )


def test_a_killed_node_is_back_when_another_process_of_it_beats(seen: Seen) -> None:
    seen.beat(1.0)
    seen.witness.struck(0, Kind.NODE_KILLED, "node-1", 2.0)
    seen.beat(2.1)  # was on its way
    assert seen.told == []
    seen.beat(5.0, "two")
    assert seen.told == [(0, 5.0, AGAIN)]


def test_a_frozen_node_is_back_when_it_beats_after_the_thaw(seen: Seen) -> None:
    seen.beat(1.0)
    seen.witness.struck(0, Kind.NODE_FROZEN, "node-1", 2.0)
    seen.beat(2.1)
    assert seen.told == []
    seen.witness.back(0, 6.0)
    seen.beat(6.2)
    assert seen.told == [(0, 6.2, AGAIN)]


def test_the_cluster_has_recovered_from_a_nodes_loss_when_all_it_held_is_elsewhere(seen: Seen) -> None:
    seen.beat(1.0)
    seen.on_node()
    seen.witness.struck(0, Kind.NODE_FROZEN, "node-1", 2.0)
    seen.on_node(node="node-2", at=13.0)
    assert seen.told == [(0, 13.0, ELSEWHERE)]


def test_a_task_that_is_placed_on_the_lost_node_once_more_is_not_elsewhere(seen: Seen) -> None:
    seen.on_node()
    seen.witness.struck(0, Kind.NODE_KILLED, "node-1", 2.0)
    seen.on_node(at=13.0)
    assert seen.told == []


def test_a_coordinators_loss_is_over_when_a_question_from_after_it_is_answered(seen: Seen) -> None:
    seen.witness.struck(0, Kind.COORDINATOR_KILLED, "coordinator-1", 2.0)
    seen.witness.answered(asked_at=1.9, at=2.1)
    assert seen.told == []
    seen.witness.answered(asked_at=4.0, at=4.2)
    assert seen.told == [(0, 4.2, ANSWERS)]


def test_a_brokers_death_is_over_with_the_next_event_that_was_stored_after_it(seen: Seen) -> None:
    seen.witness.struck(0, Kind.BROKER_KILLED, BROKER, 2.0)
    seen.on_node(at=1.9)
    assert seen.told == []
    seen.on_node(at=3.0)
    assert seen.told == [(0, 3.0, STORES)]


def test_a_killed_aria2c_is_replaced_when_another_runs_and_a_transfer_it_held_has_moved_on(seen: Seen) -> None:
    seen.on_node()
    seen.moved(1.5, 40)
    seen.witness.struck(0, Kind.ARIA2C_KILLED, "node-1/large", 2.0)
    seen.witness.back(0, 2.6)
    seen.moved(2.7, 40)
    seen.moved(2.8, 30)  # resumed a little before where it was
    assert seen.told == []
    seen.moved(3.8, 50)
    assert seen.told == [(0, 3.8, MOVED)]


def test_transfers_of_the_other_lane_are_no_evidence(seen: Seen) -> None:
    seen.on_node(lane="small")
    seen.moved(1.5, 40)
    seen.witness.struck(0, Kind.ARIA2C_FROZEN, "node-1/large", 2.0)
    seen.moved(3.0, 50)
    assert seen.told == []
    seen.witness.back(0, 8.0)
    assert seen.told == [(0, 8.0, REPLACED)]


def test_a_transfer_that_ended_elsewhere_counts_once_the_lane_runs_again(seen: Seen) -> None:
    seen.on_node()
    seen.witness.struck(0, Kind.ARIA2C_FROZEN, "node-1/large", 2.0)
    seen.witness.happened(completed(), 5.0)
    assert seen.told == []
    seen.witness.back(0, 8.0)
    assert seen.told == [(0, 8.0, MOVED)]


def test_what_had_ended_before_the_blow_was_not_there_any_more_even_if_that_is_read_late(seen: Seen) -> None:
    seen.on_node()
    seen.witness.struck(0, Kind.ARIA2C_FROZEN, "node-1/large", 2.0)
    seen.witness.happened(completed(), 1.9)
    assert seen.told == []
    seen.witness.back(0, 8.0)
    assert seen.told == [(0, 8.0, REPLACED)]


def test_what_is_read_later_still_moves_no_recovery(seen: Seen) -> None:
    seen.on_node()
    seen.witness.struck(0, Kind.ARIA2C_FROZEN, "node-1/large", 2.0)
    seen.witness.back(0, 8.0)
    seen.witness.happened(completed(), 1.9)
    assert seen.told == [(0, 8.0, REPLACED)]


def test_each_recovery_is_told_once(seen: Seen) -> None:
    seen.witness.struck(0, Kind.NODE_KILLED, "node-1", 2.0)
    seen.beat(5.0, "two")
    seen.beat(7.0, "two")
    assert len(seen.told) == 1
    assert seen.witness.open == frozenset()
