"""What a policy may say, and the words for what it may not."""

from typing import Any

import pytest

from schemas.errors import PolicyInvalid
from schemas.policy import OriginPolicy, OwnerPolicy, Policy, decode_policy, policy_of

FIELDS = "strategy, bin_pack_weights, spread_tag, owners, origins, bandwidth, time_zone, options"
WINDOW = "Mon-Fri 08:00-18:00 20M"
WRONG: list[tuple[Any, str]] = [
    ([1], 'must be an object, such as {"strategy": "spread"}'),
    ({"strateg": "x"}, f"strateg: there is no such field; there are: {FIELDS}"),
    ({"strategy": 5}, "strategy: must be the name of a strategy, such as spread"),
    ({"strategy": "Bin Pack"}, "strategy: is no name of a strategy: those are of a-z, 0-9 and '-'"),
    ({"bin_pack_weights": {"disk": 2}}, "bin_pack_weights.disk: must be a number from 0 to 1"),
    (
        {"bin_pack_weights": {"cpu": 1}},
        "bin_pack_weights.cpu: there is no such field; there are: bandwidth, disk",
    ),
    ({"spread_tag": "a zone"}, "spread_tag: write the part of a tag before its '=', such as zone"),
    ({"spread_tag": "zone="}, "spread_tag: write the part of a tag before its '=', such as zone"),
    ({"spread_tag": "zone=eu"}, "spread_tag: write the part of a tag before its '=', such as zone"),
    ({"owners": [1]}, "owners: must be an object: names of owners, each with its fields"),
    ({"owners": {"alice": {"weight": 0}}}, "owners.alice.weight: must be a number from 0.01 to 1000"),
    (
        {"owners": {"bob": {}, "alice": {"queued": 1.5}}},
        "owners.alice.queued: must be a whole number from 0 to 100000000; leave it out for no limit",
    ),
    ({"owners": {"alice": 5}}, "owners.alice: must be an object with its fields, such as weight"),
    (
        {"owners": {"alice": {"wieght": 2}}},
        "owners.alice.wieght: there is no such field; there are: weight, queued, running",
    ),
    (
        {"owners": {"Alice": {}}},
        "owners.Alice: is not an owner: use a-z, 0-9, '-' and '_', or '*' for all others",
    ),
    (
        {"origins": {"*.example.org": {"running": 0}}},
        "origins.*.example.org.running: must be a whole number from 1 to 100000; leave it out for no limit",
    ),
    (
        {"origins": {"": 0.5}},
        "origins.: must be an object with its fields, such as running",
    ),
    (
        {"origins": {"example.org": {"bytes_per_s": [1]}}},
        "origins.example.org.bytes_per_s: must be bytes a second, such as 20M; leave it out for no limit",
    ),
    (
        {"origins": {"example.org": {"bytes_per_s": "fast"}}},
        "origins.example.org.bytes_per_s: not a size: 'fast' (try 1048576, 500K, 20M or 1G)",
    ),
    (
        {"origins": {"example.org": {"bytes_per_s": 0}}},
        "origins.example.org.bytes_per_s: must be at least 1 byte a second; leave it out for no limit",
    ),
    (
        {"origins": {"http://example.org/": {}}},
        "origins.http://example.org/: write a host, host:port, *.suffix, or '*' for all others",
    ),
    (
        {"origins": {"Foo.example": {"running": 3}, "foo.example": {"bytes_per_s": "5M"}}},
        "origins.foo.example: there is another entry for foo.example: write both as one",
    ),
    ({"origins": {"host:99999": {}}}, "origins.host:99999: 99999 is no port: write 1 to 65535, without leading zeros"),
    ({"origins": {"*.a:0443": {}}}, "origins.*.a:0443: 0443 is no port: write 1 to 65535, without leading zeros"),
    ({"origins": {"[::1]:0": {}}}, "origins.[::1]:0: 0 is no port: write 1 to 65535, without leading zeros"),
    ({"bandwidth": "20M"}, f"bandwidth: must be a list of windows, such as {WINDOW!r}"),
    ({"bandwidth": ["20M", 5]}, f"bandwidth.2: must be text, such as {WINDOW!r}"),
    ({"bandwidth": ["20M"] * 101}, "bandwidth: is too long: 100 are the most"),
    (
        {"bin_pack_weights": {"disk": 0, "bandwidth": 0}},
        "bin_pack_weights: bandwidth and disk can't both be 0: nothing would count",
    ),
    (
        {"bandwidth": ["20M", "Mon 25:00-26:00 5M"]},
        "bandwidth.2: '25:00' is no time of the day; write it as 08:00, up to 24:00",
    ),
    (
        {"time_zone": "Mars/Olympus"},
        "time_zone: there is no time zone 'Mars/Olympus'; write one such as Europe/Berlin or UTC",
    ),
]


@pytest.mark.parametrize(("values", "said"), WRONG)
def test_what_is_wrong_is_named_with_what_to_do(values: Any, said: str) -> None:
    with pytest.raises(PolicyInvalid) as refusal:
        policy_of(values)
    assert str(refusal.value) == said


def test_what_is_not_json_is_said_to_be_none() -> None:
    with pytest.raises(PolicyInvalid, match="not JSON"):
        decode_policy(b"strategy: spread")


def test_an_empty_policy_is_the_default_one() -> None:
    assert policy_of({}) == Policy()


def test_sizes_and_host_names_have_one_stored_form() -> None:
    policy = policy_of({"origins": {"Example.ORG": {"bytes_per_s": "20M"}}})
    assert policy.origins == {"example.org": OriginPolicy(bytes_per_s=20 << 20)}


def test_every_port_that_there_is_may_be_named() -> None:
    assert policy_of({"origins": {"a:1": {}, "a:65535": {}, "[::1]:443": {}}}).origins.keys() == {
        "a:1",
        "a:65535",
        "[::1]:443",
    }


def test_an_owner_without_an_entry_is_one_of_all_others() -> None:
    policy = policy_of({"owners": {"alice": {"weight": 2}, "*": {"queued": 10}}})
    assert policy.owner("alice") == OwnerPolicy(weight=2)
    assert policy.owner("bob") == OwnerPolicy(queued=10)
    assert Policy().owner("bob") == OwnerPolicy()
