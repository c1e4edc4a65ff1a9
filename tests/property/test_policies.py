"""A policy of whatever JSON is either taken or refused in words, with the field that is wrong."""

from contextlib import suppress

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import PolicyInvalid
from schemas.policy import Policy, policy_of

PLAIN = st.none() | st.booleans() | st.integers(-(1 << 62), 1 << 62) | st.floats(allow_nan=False) | st.text(max_size=9)
FIELDS = ("weight", "queued", "running", "bytes_per_s", "bandwidth", "disk", "split", "a.b", "", "*")
ANY = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from([field.encode_name for field in msgspec.structs.fields(Policy)]) | st.text(max_size=5)


@given(st.dictionaries(NAMES, ANY, max_size=3) | ANY)
def test_a_policy_is_taken_or_refused_in_words(values: object) -> None:
    with suppress(PolicyInvalid):
        taken = policy_of(values)
        assert policy_of(msgspec.to_builtins(taken)) == taken
