"""GIDs that clients choose, and whose they are."""

from schemas.apikey import Scope
from tests.gateway.rpc import NOWHERE, ask, at, hearing
from tests.harness.processes import Up
from tests.harness.web import make_key

ARGUMENTS = ("--nodes", "0")


async def test_a_gid_that_one_owner_chose_means_nothing_to_others(up: Up) -> None:
    url, admin = at(up)
    bob = await make_key(up, "bob", Scope.READ, Scope.SUBMIT)
    mallory = await make_key(up, "mallory", Scope.READ, Scope.SUBMIT)
    _, wanted = await ask(url, bob, "aria2.addUri", [NOWHERE], {"pause": "true"})
    status, chosen = await ask(url, mallory, "aria2.addUri", [f"{NOWHERE}2"], {"pause": "true", "gid": wanted})
    assert (status, chosen) == (200, wanted), "whether there is such a task is not told"

    _, of_mallory = await ask(url, mallory, "aria2.tellStatus", wanted, ["gid", "files"])
    assert (of_mallory["gid"], of_mallory["files"][0]["uris"][0]["uri"]) == (wanted, f"{NOWHERE}2")
    _, of_admin = await ask(url, admin, "aria2.tellStatus", wanted, ["gid", "files"])
    assert (of_admin["gid"], of_admin["files"][0]["uris"][0]["uri"]) == (wanted, NOWHERE)

    _, listed = await ask(url, admin, "aria2.tellWaiting", 0, 10, ["gid", "files"])
    known = {one["files"][0]["uris"][0]["uri"]: one["gid"] for one in listed}
    assert known[NOWHERE] == wanted
    assert known[f"{NOWHERE}2"] != wanted
    async with hearing(url, **{"X-API-Key": admin}) as ear:
        assert await ask(url, admin, "aria2.remove", known[f"{NOWHERE}2"]) == (200, known[f"{NOWHERE}2"])
        await ear.until("DownloadStop", known[f"{NOWHERE}2"])
    _, after = await ask(url, bob, "aria2.tellStatus", wanted, ["status"])
    assert after == {"status": "paused"}


async def test_the_beginning_of_a_gid_is_enough_where_it_is_the_only_one(up: Up) -> None:
    url, admin = at(up)
    _, gid = await ask(url, admin, "aria2.addUri", [f"{NOWHERE}3"], {"pause": "true"})
    assert (await ask(url, admin, "aria2.tellStatus", gid[:12].upper(), ["gid"]))[1] == {"gid": gid}
    _, refused = await ask(url, admin, "aria2.tellStatus", "0123456789ab")
    assert refused["message"] == "GID 0123456789ab is not found"
