"""A packed row is the row, and its outline is true."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from coordinator.packed import kept, outline, restamped, sequence_of, unpacked
from schemas import codec
from schemas.ids import QUEUED
from schemas.lifecycle import Outcome, State
from schemas.task import StoredRow, TaskRow
from tests.property import strategies as drawn

rows = st.builds(
    TaskRow,
    task=drawn.task_ids,
    owner=drawn.owners,
    source=drawn.words,
    request=st.none()
    | st.builds(
        replace,
        drawn.requests,
        deadline=st.none() | drawn.moments,
        not_before=st.none() | drawn.moments,
        size=st.none() | st.integers(0, 10**30),  # wider than any fixed number of bytes
        options=st.dictionaries(drawn.words, drawn.words | st.integers() | st.booleans(), max_size=2),
    ),
    state=st.sampled_from([State.QUEUED, State.ENDING]),
    outcome=st.none() | st.sampled_from(Outcome),
    place=st.just(QUEUED) | drawn.node_ids,
    attempt=drawn.attempts,
    desired=drawn.desires,
    then=drawn.desires,
    reason=drawn.lines,
    delay_s=drawn.seconds,
    avoid=st.lists(drawn.node_ids, max_size=2).map(tuple),
    history=st.lists(drawn.records, max_size=2).map(tuple),
    submitted=st.none() | drawn.moments,
    nonce=drawn.words,
)
stored_rows = st.builds(StoredRow, sequence=st.integers(1, 1 << 62), row=rows, stored_at=st.floats(0, 4e9))


@given(stored_rows)
def test_a_row_comes_out_as_it_went_in(stored: StoredRow) -> None:
    entry = kept(stored, outline(stored))
    assert isinstance(entry, bytes) == (stored.row.place == QUEUED)
    again = unpacked(entry)
    assert again == stored
    assert codec.encode(again.row) == codec.encode(stored.row), "to the letter, as it would be written"
    assert sequence_of(entry) == stored.sequence


@given(stored_rows)
def test_what_is_told_without_unpacking_is_what_the_row_says(stored: StoredRow) -> None:
    row = stored.row
    assert outline(kept(stored, outline(stored))) == outline(stored)
    about = outline(stored)
    assert (about.place, about.state, about.wish) == (row.place, row.state, row.wish_elsewhere)
    deadline = row.request.deadline if row.request else None
    assert about.deadline == (deadline.timestamp() if deadline else None)


@given(stored_rows, st.floats(0, 4e9))
def test_a_corrected_store_time_changes_nothing_else(stored: StoredRow, stored_at: float) -> None:
    entry = restamped(kept(stored, outline(stored)), stored_at)
    assert unpacked(entry) == stored._replace(stored_at=stored_at)
    assert outline(entry) == outline(stored)
    assert restamped(entry, stored_at) is entry
