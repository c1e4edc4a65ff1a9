"""The fleet: silence is judged with care, and overtaken heartbeats are no news."""

from hypothesis import given
from hypothesis import strategies as st

from coordinator.fleet import Fleet
from tests.examples import a_heartbeat

NODE = "node-a"
moments = st.floats(0, 1e6)
pauses = st.floats(0, 1e4)
timeouts = st.floats(0.1, 100)


@given(moments, pauses, pauses, timeouts)
def test_a_node_is_lost_only_after_a_whole_time_out_of_silence_while_we_listened(
    start: float, heard: float, silence: float, lost_after_s: float
) -> None:
    fleet = Fleet(start)
    fleet.hear(a_heartbeat(), start + heard)
    now = start + heard + silence
    assert fleet.is_lost(NODE, now, lost_after_s) == (now - (start + heard) > lost_after_s)
    assert fleet.is_online(NODE, now, lost_after_s) != fleet.is_lost(NODE, now, lost_after_s)


@given(moments, pauses, pauses, timeouts)
def test_silence_before_we_listened_again_does_not_count(
    start: float, deaf: float, since: float, lost_after_s: float
) -> None:
    fleet = Fleet(start)
    fleet.hear(a_heartbeat(), start)
    again = start + deaf
    fleet.start_afresh(again)
    now = again + since
    assert fleet.is_lost(NODE, now, lost_after_s) == (now - again > lost_after_s)


@given(moments, pauses, timeouts)
def test_a_node_never_heard_is_lost_a_whole_time_out_after_we_began(
    start: float, since: float, lost_after_s: float
) -> None:
    fleet, now = Fleet(start), start + since
    assert fleet.is_lost(NODE, now, lost_after_s) == (now - start > lost_after_s)
    assert not fleet.is_online(NODE, now, lost_after_s)


@given(st.lists(st.integers(1, 20), min_size=1))
def test_the_latest_beat_of_a_process_counts_in_whatever_order_they_come(beats: list[int]) -> None:
    fleet = Fleet(0.0)
    for at, beat in enumerate(beats):
        is_news = fleet.hear(a_heartbeat(beat=beat), float(at))
        assert is_news == (beat > max(beats[:at], default=0))
    seen = fleet.get(NODE)
    assert seen is not None
    assert (seen.heartbeat.beat, seen.heard_at) == (max(beats), float(beats.index(max(beats))))


@given(st.integers(1, 1000), st.integers(1, 1000))
def test_a_restarted_node_counts_from_one_again(before: int, after: int) -> None:
    fleet = Fleet(0.0)
    fleet.hear(a_heartbeat(beat=before), 0.0)
    assert fleet.hear(a_heartbeat(beat=after, instance="i2"), 1.0)


@given(moments, timeouts)
def test_a_node_that_is_leaving_is_not_online_and_not_lost_yet(now: float, lost_after_s: float) -> None:
    fleet = Fleet(now)
    fleet.hear(a_heartbeat(leaving=True), now)
    assert not fleet.is_online(NODE, now, lost_after_s)
    assert not fleet.is_lost(NODE, now, lost_after_s)


@given(st.dictionaries(st.sampled_from("abcdef"), pauses), pauses)
def test_only_nodes_silent_for_too_long_are_forgotten(silent_s: dict[str, float], after_s: float) -> None:
    fleet, now = Fleet(0.0), 1e4
    for node, silence in silent_s.items():
        fleet.hear(a_heartbeat(node), now - silence)
    fleet.forget_offline(now, after_s)
    kept = [seen.heartbeat.node for seen in fleet]
    assert kept == sorted(node for node, silence in silent_s.items() if now - (now - silence) <= after_s)


@given(pauses, pauses)
def test_nobody_is_forgotten_for_a_silence_in_which_nobody_listened(silence: float, after_s: float) -> None:
    fleet, now = Fleet(0.0), 1e4
    fleet.hear(a_heartbeat(), now - silence)
    fleet.start_afresh(now)
    fleet.forget_offline(now, after_s)
    assert fleet.get(NODE) is not None
