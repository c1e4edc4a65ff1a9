"""What a node sets at its aria2 to keep to its share."""

from node.governor import Governor
from node.transfers import Addition, Limits, Status, Tick, Transfer
from schemas.heartbeat import ALL
from schemas.nodes import NodeShare
from schemas.options import DOWNLOAD_LIMIT

MB = 1_000_000
ORIGIN = "a.org:80"


def file(number: int, size: int = 0, host: str = "a.org", limit: str = "") -> Addition:
    return Addition(
        gid=f"{number:016x}",
        uris=[f"http://{host}/{number}"],
        options={DOWNLOAD_LIMIT: limit} if limit else {},
        size=size,
    )


def tick(speed: int = 0, **done: int) -> Tick:
    """Running transfers, each `_<number>` with its bytes."""
    transfers = [
        Transfer(gid=f"{int(name[1:]):016x}", status=Status.ACTIVE, total=0, done=size, speed=speed)
        for name, size in done.items()
    ]
    return Tick({one.gid: one for one in transfers}, speed)


def following(share: NodeShare) -> Governor:
    governor = Governor()
    governor.follow(share, 7)
    return governor


def test_without_a_share_nothing_is_set() -> None:
    governor = Governor()
    assert governor.begin("large", file(1), 0)
    governor.looked("large", tick(MB, _1=MB), 1)
    assert governor.orders("large", 1) == Limits()
    assert governor.kept(1).limit is None


def test_nothing_begins_before_it_is_known_whether_there_is_a_share() -> None:
    governor = Governor(is_ready=False)
    assert not governor.begin("large", file(1), 0)
    governor.follow(None, 0)
    assert governor.begin("large", file(1), 0)


def test_a_lane_with_nothing_to_do_leaves_everything_to_the_other() -> None:
    governor = following(NodeShare(bytes_per_s=MB))
    assert governor.begin("large", file(1), 0)
    assert governor.orders("small", 0).overall == 1
    came = 0
    for step in range(1, 51):
        now = step / 5
        came += MB // 5
        governor.looked("large", tick(MB, _1=came), now)
        overall = governor.orders("large", now).overall
    assert overall is not None
    assert 0.8 * MB < overall < 1.3 * MB


def test_a_limit_that_is_lifted_is_taken_off_once() -> None:
    governor = following(NodeShare(bytes_per_s=MB, origins={ORIGIN: 1000}))
    governor.begin("large", file(1, limit="500K"), 0)
    limits = governor.orders("large", 0)
    assert limits.overall
    assert 0 < limits.tasks[f"{1:016x}"] <= 1000
    governor.follow(None, 0)
    assert governor.orders("large", 1) == Limits(0, {f"{1:016x}": 500 << 10})
    assert governor.orders("large", 2) == Limits()


def test_a_new_aria2c_is_told_again() -> None:
    governor = following(NodeShare(bytes_per_s=MB))
    governor.begin("large", file(1), 0)
    assert governor.orders("large", 0).overall
    governor.is_new("large")
    assert governor.begin("large", file(1), 1)
    assert governor.orders("large", 1).overall


def test_an_origin_s_share_is_divided_among_its_downloads_and_no_others() -> None:
    governor = following(NodeShare(others={"*.org": MB}))
    for number in (1, 2):
        assert governor.begin("large", file(number), number / 20)
        governor.orders("large", number / 20)
    assert governor.begin("small", file(3, host="b.com"), 0.1)
    governor.looked("large", tick(MB, _1=10, _2=10), 0.2)
    limits = governor.orders("large", 0.2)
    assert limits.overall is None
    assert sum(limits.tasks.values()) <= 1.3 * MB
    assert len(limits.tasks) == 2
    assert governor.orders("small", 0.2) == Limits()


def test_small_files_of_a_limited_origin_begin_no_sooner_than_it_allows() -> None:
    governor = following(NodeShare(origins={ORIGIN: 100_000}))
    begun, number, now = 0, 0, 0.0
    while now < 20:
        now += 0.05
        number += 1
        if governor.begin("small", file(number, size=20_000), now):
            begun += 20_000
            gid = f"{number:016x}"
            done = Transfer(gid=gid, status=Status.COMPLETE, total=20_000, done=20_000, speed=0)
            governor.looked("small", Tick({gid: done}, 0), now)
            governor.ended([gid])
    assert 0.9 * 20 * 100_000 <= begun <= 1.1 * 20 * 100_000
    assert ORIGIN in governor.kept(now).held_back
    assert 80_000 < governor.kept(now).origins[ORIGIN] < 120_000


def test_what_lay_on_the_disk_already_does_not_count_as_come() -> None:
    governor = following(NodeShare(bytes_per_s=MB))
    governor.begin("large", file(1), 0)
    governor.orders("large", 0)
    governor.looked("large", tick(0, _1=500 * MB), 0.2)
    assert (governor.orders("large", 0.2).overall or 0) > 1000


def test_it_tells_that_its_share_holds_it_back() -> None:
    governor = following(NodeShare(bytes_per_s=MB))
    governor.begin("large", file(1), 0)
    for used, is_held in ((MB, True), (MB // 3, False)):
        came = 0
        for step in range(1, 51):
            now = step / 5 + (0 if is_held else 10)
            came += used // 5
            governor.orders("large", now)
            governor.looked("large", tick(used, _1=came + (0 if is_held else 10 * MB)), now)
        assert (ALL in governor.kept(now).held_back) is is_held


def test_alone_it_keeps_to_what_is_meant_for_that() -> None:
    governor = following(NodeShare(bytes_per_s=MB, alone_bytes_per_s=9, origins={ORIGIN: 500}, others={"*": 5}))
    governor.go_alone()
    kept = governor.kept(0)
    assert (kept.limit, kept.revision, kept.is_alone) == (9, 7, True)
    governor.follow(NodeShare(bytes_per_s=MB), 8)
    assert (governor.kept(0).limit, governor.kept(0).is_alone) == (MB, False)
