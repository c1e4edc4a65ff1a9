"""Changing single fields of a policy as typed: host names with dots, windows by number, and words for what is wrong."""

from typing import Any

import pytest

from schemas.errors import PolicyInvalid
from schemas.policy import Policy, policy_of
from tools.commands.policy import _joined
from tools.policyedit import Edits, differences, edited

WINDOWS = ["Mon-Fri 08:00-18:00 20M", "Sat,Sun 50M", "5M"]
STANDS: dict[str, Any] = {
    "strategy": "spread",
    "owners": {"alice": {"weight": 2.0, "queued": 5}},
    "origins": {"*.example.org": {"running": 4}, "example.running": {"running": 1}},
    "bandwidth": WINDOWS,
}

EDITS: list[tuple[Edits, dict[str, Any]]] = [
    (Edits(["strategy=bin-pack"]), {"strategy": "bin-pack"}),
    (Edits(["time_zone=Europe/Berlin", "spread_tag=2"]), {"time_zone": "Europe/Berlin", "spread_tag": "2"}),
    (Edits(["bin_pack_weights.disk=0.5"]), {"bin_pack_weights": {"disk": 0.5}}),
    (Edits(["owners.alice.weight=2"]), {"owners": {"alice": {"weight": 2}}}),
    (Edits(["owners.*.queued=9"]), {"owners": {"*": {"queued": 9}}}),
    (Edits(["origins.*.example.org.running=4"]), {"origins": {"*.example.org": {"running": 4}}}),
    (Edits(["origins.*.running=4"]), {"origins": {"*": {"running": 4}}}),
    (Edits(["origins.Example.running.bytes_per_s=2M"]), {"origins": {"example.running": {"bytes_per_s": "2M"}}}),
    (Edits(["origins.[::1]:8080.running=4"]), {"origins": {"[::1]:8080": {"running": 4}}}),
    (Edits(owners=["alice weight=0.5 queued=10"]), {"owners": {"alice": {"weight": 0.5, "queued": 10}}}),
    (Edits(origins=["a.example:8080 running=1"]), {"origins": {"a.example:8080": {"running": 1}}}),
    (Edits(windows=["20M", "20M"]), {"bandwidth": ["20M"]}),
]


@pytest.mark.parametrize(("edits", "after"), EDITS)
def test_a_field_is_set_by_its_path_or_by_its_option(edits: Edits, after: dict[str, Any]) -> None:
    assert edited({}, edits) == after
    policy_of(after)


UNSET: list[tuple[list[str], dict[str, Any]]] = [
    (["strategy", "owners", "origins", "bandwidth"], {}),
    (["strategy", "owners.alice.queued", "origins", "bandwidth"], {"owners": {"alice": {"weight": 2.0}}}),
    (["strategy", "owners.alice", "origins", "bandwidth"], {}),
    (["strategy", "owners.alice.queued", "owners.alice.weight", "origins", "bandwidth"], {}),
    (
        ["strategy", "owners", "origins.*.example.org", "bandwidth"],
        {"origins": {"example.running": {"running": 1}}},
    ),
    (
        ["strategy", "owners", "origins.*.example.org.running", "bandwidth"],
        {"origins": {"example.running": {"running": 1}}},
    ),
    (
        ["strategy", "owners", "origins.example.running", "bandwidth"],
        {"origins": {"*.example.org": {"running": 4}}},
    ),
    (["strategy", "owners", "origins", "bandwidth.1", "bandwidth.2"], {"bandwidth": ["5M"]}),
    (["strategy", "owners", "origins", "bandwidth.1", "bandwidth.2", "bandwidth.3"], {}),
]


@pytest.mark.parametrize(("paths", "after"), UNSET)
def test_what_is_unset_is_gone_and_leaves_nothing_empty_behind(paths: list[str], after: dict[str, Any]) -> None:
    assert edited(STANDS, Edits(unset=paths)) == after


def test_what_is_unset_and_set_is_set() -> None:
    after = edited(STANDS, Edits(["owners.alice.running=3"], windows=["1M"], unset=["owners.alice", "bandwidth"]))
    assert (after["owners"], after["bandwidth"]) == ({"alice": {"running": 3}}, ["1M"])


def test_what_stands_is_not_changed_itself() -> None:
    before = edited(STANDS, Edits())
    edited(STANDS, Edits(["owners.alice.weight=9"], windows=["1M"], unset=["bandwidth.1"]))
    assert before == STANDS


WRONG: list[tuple[Edits, str]] = [
    (Edits(["spread"]), "spread: write it as field=value, such as strategy=spread"),
    (Edits(["stratgy=spread"]), f"stratgy: there is no such field; there are: {', '.join(Policy.__struct_fields__)}"),
    (
        Edits(["owners.weight=2"]),
        "owners.weight: write owners.NAME.FIELD=…; the fields are: weight, queued, running",
    ),
    (Edits(["bandwidth=20M"]), "bandwidth: add a window with --window, take it away with --unset bandwidth.N"),
    (Edits(owners=["alice"]), "owners.alice: nothing is said of it; there are: weight, queued, running"),
    (Edits(owners=["weight=2"]), "owners: write it as alice weight=2: no name in 'weight=2'"),
    (Edits(origins=[""]), "origins: write it as *.example.org running=4: no name in ''"),
    (
        Edits(owners=["alice strategy=spread"]),
        "owners.alice.strategy: there is no such field of owners; there are: weight, queued, running",
    ),
    (Edits(unset=["spread_tag"]), "spread_tag: is not set: there is nothing to unset"),
    (Edits(unset=["owners.bob"]), "owners.bob: is not set: there is nothing to unset"),
    (Edits(unset=["owners.alice.running"]), "owners.alice.running: is not set: there is nothing to unset"),
    (Edits(unset=["bandwidth.4"]), "bandwidth.4: there are windows 1 to 3, as `downdraft policy show` counts them"),
    (Edits(unset=["strategy.x"]), "strategy.x: is not set: there is nothing to unset"),
    (Edits(unset=["strategy.s"]), "strategy.s: is not set: there is nothing to unset"),
    (Edits(unset=["bin_pack_weights.disk.x"]), "bin_pack_weights.disk.x: is not set: there is nothing to unset"),
]


@pytest.mark.parametrize(("edits", "said"), WRONG)
def test_what_can_not_be_changed_is_named_with_what_to_do(edits: Edits, said: str) -> None:
    with pytest.raises(PolicyInvalid) as refusal:
        edited(STANDS | {"bin_pack_weights": {"disk": 0.3}}, edits)
    assert str(refusal.value) == said


@pytest.mark.parametrize("text", ["nan", "inf", "1e9", "0x10", "ten", ""])
def test_a_value_that_is_no_number_is_left_to_the_policy_to_refuse(text: str) -> None:
    with pytest.raises(PolicyInvalid, match=r"owners.alice.weight: must be a number from 0.01"):
        policy_of(edited({}, Edits([f"owners.alice.weight={text}"])))


def test_the_words_after_an_owner_or_origin_belong_to_it() -> None:
    typed = ["strategy=spread", "--owner", "alice", "weight=2", "queued=9", "--owner=*", "queued=1", "-n", "x=1"]
    joined = ["strategy=spread", "--owner", "alice weight=2 queued=9", "--owner=* queued=1", "-n", "x=1"]
    assert _joined(typed) == joined
    assert _joined(joined) == joined


def test_differences_are_told_field_by_field_for_people() -> None:
    after = edited(
        STANDS,
        Edits(
            ["strategy=bin-pack", "owners.alice.queued=1000"],
            origins=["*.example.org bytes_per_s=2097152"],
            unset=["bandwidth.2"],
        ),
    )
    assert differences(STANDS, after) == [
        ("origins.*.example.org.bytes_per_s", "not set", "2 MiB/s"),
        ("owners.alice.queued", "5", "1,000"),
        ("strategy", "spread", "bin-pack"),
        ("bandwidth", "Sat,Sun 00:00-24:00 50 MiB/s", "taken away"),
    ]
    fresh = edited({}, Edits(["strategy=spread", "owners.bob.weight=2"], windows=["Mon-Fri 08:00-18:00 20M"]))
    assert differences({}, fresh) == [
        ("owners.bob.weight", "1 (default)", "2"),
        ("strategy", "least-loaded (default)", "spread"),
        ("bandwidth", "not set", "Mon-Fri 08:00-18:00 20 MiB/s"),
    ]
    assert differences(STANDS, STANDS) == []
