"""Settings with mistakes in them: every mistake is told, and what is right stands."""

from tools.doctor.lenient import load_what_can_be, unknown_variables


def test_every_mistake_is_told_and_the_rest_stands() -> None:
    file = {"node": {"slots": "many", "slot": 4, "id": "attic"}, "broker": 3, "log": {"level": "loud"}}
    loaded, wrong = load_what_can_be(file, {"DOWNDRAFT_BROKER_REPLICAS": "nine", "DOWNDRAFT_NATS_URL": "nats://h"}, {})
    assert (loaded.settings.node.id, loaded.settings.node.slots, loaded.settings.nats.url) == ("attic", 8, "nats://h")
    assert loaded.sources["nats.url"] == "DOWNDRAFT_NATS_URL"
    said = [one.said for one in wrong]
    for part in ("node.slots can't be", "no setting 'node.slot'", "[node]", "log.level can't be", "BROKER_REPLICAS"):
        assert any(part in sentence for sentence in said), part
    assert len(wrong) == 5


def test_a_name_that_was_misspelt_is_told_with_the_nearest_one() -> None:
    _, [wrong] = load_what_can_be({"node": {"slot": 4}}, {}, {})
    assert wrong.nearest == "node.slots"
    [unknown] = unknown_variables(["DOWNDRAFT_NODE_SLOT", "DOWNDRAFT_NODE_SLOTS", "PATH"])
    assert unknown.nearest == "DOWNDRAFT_NODE_SLOTS"


def test_a_variable_like_no_setting_has_no_nearest() -> None:
    [unknown] = unknown_variables(["DOWNDRAFT_XYZZY"])
    assert unknown.nearest == ""


def test_a_flag_beats_them_all() -> None:
    loaded, wrong = load_what_can_be({"nats": {"url": "nats://a"}}, {}, {"nats.url": "nats://b", "nats.creds": None})
    assert (loaded.settings.nats.url, loaded.sources["nats.url"], wrong) == ("nats://b", "flag", [])
