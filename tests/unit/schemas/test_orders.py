"""What is asked about nodes."""

from typing import Any

import msgspec
import pytest

from schemas.errors import RequestInvalid
from schemas.nodes import NO_LIMIT, SPEED_LIMIT_MIN
from schemas.orders import NodeChange


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"slots": 2, "own_slots": True}, "own_slots: .* one of the two"),
        ({"add_tags": ("a", "b"), "remove_tags": ("c", "b")}, "remove_tags: can't be added as well: b$"),
        ({"download_limit": SPEED_LIMIT_MIN - 1}, "download_limit: is at least 1024 bytes a second, or 0 for none"),
        ({"upload_limit": 1}, "upload_limit: is at least"),
    ],
)
def test_a_change_that_makes_no_sense_is_refused(asked: dict[str, Any], says: str) -> None:
    with pytest.raises(RequestInvalid, match=says):
        NodeChange(**asked).check()


def test_a_limit_is_taken_off_with_0() -> None:
    NodeChange(download_limit=NO_LIMIT, upload_limit=SPEED_LIMIT_MIN).check()


def test_less_than_no_limit_is_none() -> None:
    with pytest.raises(msgspec.ValidationError, match="download_limit"):
        msgspec.json.decode(b'{"download_limit":-1}', type=NodeChange)


def test_a_change_that_names_but_nodes_is_empty() -> None:
    assert NodeChange(nodes=("a",), reason="why").is_empty
    assert not NodeChange(paused=False).is_empty
