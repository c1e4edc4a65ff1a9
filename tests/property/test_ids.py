"""Task ids: the same for every redelivery, different for everything else, and good aria2 GIDs."""

from hypothesis import assume, given
from hypothesis import strategies as st

from schemas.ids import (
    ADMIN_CALLER,
    QUEUED,
    TASK_ID,
    is_node_id,
    is_owner,
    rejected_task_id,
    source_of,
    task_id,
)
from tests.property.strategies import owners

texts = st.text(min_size=1, max_size=40)
sources = texts.map(lambda text: source_of(text, None, 1, 1))
sequences = st.integers(1, 1 << 62)
times = st.integers(0, 1 << 62)
header_values = st.binary(min_size=1, max_size=40).map(lambda raw: raw.decode(errors="surrogateescape"))


@given(owners, sources, st.integers(0, 9))
def test_the_same_request_has_the_same_id_each_time(owner: str, source: str, salt: int) -> None:
    assert task_id(owner, source, salt) == task_id(owner, source, salt)


@given(owners, owners, sources)
def test_two_owners_never_share_an_id(one: str, other: str, source: str) -> None:
    assume(one != other)
    assert task_id(one, source) != task_id(other, source)


@given(owners, sources, sources)
def test_two_requests_of_an_owner_never_share_an_id(owner: str, one: str, other: str) -> None:
    assume(one != other)
    assert task_id(owner, one) != task_id(owner, other)


@given(owners, sources, st.integers(0, 99))
def test_every_id_is_a_gid_that_aria2_accepts(owner: str, source: str, salt: int) -> None:
    made = task_id(owner, source, salt)
    assert TASK_ID.fullmatch(made)
    assert int(made, 16) != 0


@given(owners, sources, st.lists(st.integers(0, 99), min_size=2, max_size=2, unique=True))
def test_another_salt_makes_another_id(owner: str, source: str, salts: list[int]) -> None:
    assert len({task_id(owner, source, salt) for salt in salts}) == len(salts)


@given(owners, sources, st.lists(st.binary(), min_size=2, max_size=2, unique=True))
def test_a_corrected_request_is_no_repeat_of_the_rejected_one(owner: str, source: str, bodies: list[bytes]) -> None:
    ids = {rejected_task_id(owner, source, body) for body in bodies} | {task_id(owner, source)}
    assert len(ids) == 3


@given(owners, sources, st.binary())
def test_a_rejected_request_that_comes_again_is_the_same_task(owner: str, source: str, body: bytes) -> None:
    assert rejected_task_id(owner, source, body) == rejected_task_id(owner, source, body)


@given(owners, sequences, st.lists(times, min_size=2, max_size=2, unique=True))
def test_a_stream_made_anew_does_not_reuse_ids(owner: str, sequence: int, stored: list[int]) -> None:
    assert len({task_id(owner, source_of(None, None, sequence, stored_ns)) for stored_ns in stored}) == 2


@given(texts, sequences, times, sequences, times)
def test_a_producers_id_counts_wherever_and_whenever_it_was_stored(
    given_id: str, sequence: int, stored_ns: int, later: int, later_ns: int
) -> None:
    assert source_of(given_id, None, sequence, stored_ns) == source_of(given_id, None, later, later_ns)


@given(texts, st.none() | texts, sequences, times)
def test_the_id_field_goes_before_the_message_id(given_id: str, header: str | None, sequence: int, at: int) -> None:
    assert source_of(given_id, header, sequence, at) == source_of(given_id, None, sequence, at)


@given(texts, sequences, times)
def test_a_producers_id_is_never_taken_for_a_place_in_the_inbox(given_id: str, sequence: int, at: int) -> None:
    place = source_of(None, None, sequence, at)
    assert source_of(given_id, None, sequence, at) != place
    assert source_of(place, None, sequence, at) != place


@given(header_values)
def test_a_message_id_of_any_bytes_makes_an_id_and_can_be_stored(header: str) -> None:
    source = source_of(None, header, 1, 1)
    assert TASK_ID.fullmatch(task_id("default", source))
    assert source.encode().decode() == source


@given(st.lists(header_values, min_size=2, max_size=2, unique=True))
def test_two_message_ids_of_any_bytes_stay_two(headers: list[str]) -> None:
    assert len({source_of(None, header, 1, 1) for header in headers}) == 2


@given(st.text(max_size=80))
def test_owners_and_node_ids_are_always_one_plain_subject_token(text: str) -> None:
    for accepts in (is_owner, is_node_id):
        if accepts(text):
            assert text.isascii()
            assert 1 <= len(text) <= 63
            assert not set(text) & set(".*> \t\n")


def test_names_that_mean_something_else_are_refused() -> None:
    assert not is_owner(ADMIN_CALLER)
    assert not is_node_id(QUEUED)


def test_the_id_of_all_zeros_is_none() -> None:
    assert TASK_ID.match("0" * 15 + "1")
    assert not TASK_ID.match("0" * 16)
