"""What the REST routes decide without asking anybody."""

from typing import Any

import msgspec
import pytest

from gateway.aliases import canonical
from gateway.rest.actions import Action
from gateway.rest.nodes import NodePatch, asked_of
from gateway.rest.steering import TaskChange
from schemas import codec
from schemas.control import Cancel, Prioritise, SetLimits
from schemas.errors import RequestInvalid
from schemas.orders import NodeChange
from schemas.payload import Kind
from schemas.repeats import repeatable_id
from schemas.request import Request


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/tasks", "/api/v1/tasks"),
        ("/api/tasks/0123/pause", "/api/v1/tasks/0123/pause"),
        ("/workers", "/api/v1/nodes"),
        ("/api/workers/attic", "/api/v1/nodes/attic"),
        ("/api/v1/workers/attic/drain", "/api/v1/nodes/attic/drain"),
        ("/status", "/api/v1/status"),
        ("/api/v1/tasks/0123", "/api/v1/tasks/0123"),
        ("/tasksbar", "/tasksbar"),
        ("/healthz", "/healthz"),
        ("/docs/tasks", "/docs/tasks"),
        ("/api/v2/tasks", "/api/v2/tasks"),
    ],
)
def test_an_alias_means_one_path_and_other_paths_mean_themselves(path: str, expected: str) -> None:
    assert canonical(path) == expected
    assert canonical(expected) == expected


def patch(body: str) -> NodeChange:
    return asked_of(codec.decode(body.encode(), NodePatch), ("eu", "hdd"))


def test_null_means_the_nodes_own_setting_and_what_is_left_out_stays() -> None:
    assert patch('{"slots": null}') == NodeChange(own_slots=True)
    assert patch('{"tags": null}') == NodeChange(own_tags=True)
    assert patch('{"download_limit": null}') == NodeChange(download_limit=0)
    assert patch('{"paused": false}') == NodeChange(paused=False)


def test_all_tags_of_a_node_become_those_to_add_and_to_remove() -> None:
    assert patch('{"tags": ["eu", "ssd"]}') == NodeChange(add_tags=("ssd",), remove_tags=("hdd",))
    assert patch('{"tags": []}') == NodeChange(remove_tags=("eu", "hdd"))


def test_sizes_may_be_typed_as_people_do() -> None:
    assert TaskChange(download_limit="2M").limits == SetLimits(download=2 << 20)
    assert patch('{"upload_limit": "1M"}') == NodeChange(upload_limit=1 << 20)
    with pytest.raises(RequestInvalid, match="upload_limit"):
        _ = TaskChange(upload_limit=10**17).limits


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"verb": "cancel", "keep_partial": True}, Cancel(keep_partial=True)),
        ({"verb": "prioritise", "priority": 3}, Prioritise(priority=3)),
        ({"verb": "limit", "download_limit": 0}, SetLimits(download=0)),
    ],
)
def test_an_action_becomes_what_its_verb_needs_to_know(body: dict[str, Any], expected: Any) -> None:
    assert msgspec.convert(body, Action).steer() == expected


def test_two_requests_that_differ_by_what_is_in_them_have_two_ids() -> None:
    requests = [
        Request(torrent="object:a"),
        Request(torrent="object:b"),
        Request(metalink="object:a"),
        Request(uris=("http://h/a",)),
        Request(uris=("http://h/a",), kind=Kind.METALINK),
    ]
    assert len({repeatable_id("key", request) for request in requests}) == len(requests)
