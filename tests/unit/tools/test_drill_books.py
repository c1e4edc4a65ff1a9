"""The books of a drill: what does not balance is found, and named."""

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec.structs import replace

from schemas.event import Completed, Failed, Finished
from schemas.request import STAGING_NAME
from tools.drill import reading
from tools.drill.books import Books, Disk, Entry, Ledger, judge
from tools.drill.report import Trouble
from tools.drill.wares import MISSING_CODE, Nature, Ware, blocks, digest, wares

SEED = 7
WHOLE = Ware("whole.bin", Nature.PLAIN, 70_000)
OTHER = Ware("other.bin", Nature.LARGE, 200_000)
MISSING = Ware("missing.bin", Nature.MISSING, 10)
TASKS = {"a" * 16: WHOLE, "b" * 16: OTHER, "c" * 16: MISSING}
MOMENT = datetime(2031, 5, 1, tzinfo=UTC)


def completed(task: str, ware: Ware, node: str = "node-1") -> Completed:
    return Completed(
        task=task,
        owner="default",
        time=MOMENT,
        node=node,
        path=ware.name,
        bytes=ware.bytes,
        digest=f"sha-256={digest(SEED, ware)}",
        seconds=1.0,
    )


def failed(task: str, code: str = MISSING_CODE) -> Failed:
    return Failed(task=task, owner="default", time=MOMENT, reason=f"the origin answered {code}", code=code)


def outcomes() -> list[Finished]:
    """How all of them should end."""
    return [completed("a" * 16, WHOLE), completed("b" * 16, OTHER), failed("c" * 16)]


def ledger(*events: Finished, **changed: object) -> Ledger:
    done = [event for event in events if isinstance(event, Completed)]
    digests = {f"{event.node}/{event.path}": event.digest.removeprefix("sha-256=") for event in done}
    whole = Ledger(
        accepted=TASKS,
        refused={},
        outcomes=[Entry(number, event) for number, event in enumerate(events, 1)],
        disk=Disk(digests, 0),
        served=reading.served(SEED, TASKS.values()),
        rows_left=(),
        requests_left=0,
    )
    return whole._replace(**changed)  # type: ignore[arg-type]


def only_problem(books: Books, trouble: Trouble, task: str) -> str:
    [problem] = books.problems
    assert (problem.trouble, problem.task) == (trouble, task)
    assert not books.balanced
    return problem.said


def test_one_right_outcome_for_each_request_balances() -> None:
    books = judge(ledger(*outcomes()))
    assert books.balanced
    assert (books.verified, books.failed_as_intended) == (2, 1)
    assert books.outcomes == {"completed": 2, "failed": 1}


def test_a_task_without_an_outcome_is_lost() -> None:
    first, _, last = outcomes()
    assert "other.bin" in only_problem(judge(ledger(first, last)), Trouble.LOST, "b" * 16)


def test_a_task_with_two_outcomes_is_doubled_and_both_are_named() -> None:
    said = only_problem(judge(ledger(*outcomes(), completed("b" * 16, OTHER, "node-2"))), Trouble.DOUBLED, "b" * 16)
    assert "node-1 (event 2)" in said
    assert "node-2 (event 4)" in said


def test_the_same_outcome_twice_is_doubled_too() -> None:
    only_problem(judge(ledger(*outcomes(), failed("c" * 16))), Trouble.DOUBLED, "c" * 16)


def test_an_outcome_of_a_task_that_nobody_asked_for_is_found() -> None:
    only_problem(judge(ledger(*outcomes(), failed("d" * 16))), Trouble.STRANGER, "d" * 16)


def test_a_file_whose_bytes_differ_from_the_origins_is_found() -> None:
    books = ledger(*outcomes())
    disk = Disk(dict(books.disk.digests) | {"node-1/whole.bin": "0" * 64}, 0)
    said = only_problem(judge(books._replace(disk=disk)), Trouble.WRONG_FILE, "a" * 16)
    assert said.startswith("node-1/whole.bin has sha-256=000")


def test_a_file_that_is_not_there_is_found() -> None:
    books = ledger(*outcomes())
    disk = Disk({file: found for file, found in books.disk.digests.items() if "other" not in file}, 0)
    assert "no such file" in only_problem(judge(books._replace(disk=disk)), Trouble.WRONG_FILE, "b" * 16)


def test_an_event_with_a_digest_or_size_that_is_not_the_origins_is_found() -> None:
    first, second, last = outcomes()
    for wrong in (replace(first, digest=f"sha-256={'0' * 64}"), replace(first, bytes=1)):
        books = ledger(first, second, last)._replace(outcomes=[Entry(1, wrong), Entry(2, second), Entry(3, last)])
        only_problem(judge(books), Trouble.WRONG_FILE, "a" * 16)


@pytest.mark.parametrize("code", ["http-500", ""])
def test_a_failure_that_was_not_intended_is_found(code: str) -> None:
    _, second, last = outcomes()
    only_problem(judge(ledger(failed("a" * 16, code), second, last)), Trouble.WRONG_OUTCOME, "a" * 16)
    first, second, _ = outcomes()
    if code:
        only_problem(judge(ledger(first, second, failed("c" * 16, code))), Trouble.WRONG_OUTCOME, "c" * 16)


def test_what_is_left_in_the_table_or_the_inbox_is_found() -> None:
    only_problem(judge(ledger(*outcomes(), rows_left=("b" * 16,))), Trouble.LEFT_OVER, "b" * 16)
    assert "3 requests" in only_problem(judge(ledger(*outcomes(), requests_left=3)), Trouble.LEFT_OVER, "")


def test_a_request_that_the_broker_never_took_is_found() -> None:
    only_problem(judge(ledger(*outcomes(), refused={"e" * 16: WHOLE})), Trouble.NOT_ACCEPTED, "e" * 16)


def test_a_whole_file_that_no_outcome_names_is_told_but_is_nobodys_loss() -> None:
    books = ledger(*outcomes())
    found = judge(books._replace(disk=Disk(dict(books.disk.digests) | {"node-2/whole.bin": "0" * 64}, 2)))
    assert found.balanced
    assert (found.surplus_files, found.partials) == (("node-2/whole.bin",), 2)


def test_a_doctored_folder_is_read_as_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "node-1"
    (folder / STAGING_NAME / ("b" * 16)).mkdir(parents=True)
    (folder / STAGING_NAME / ("b" * 16) / "data").write_bytes(b"half")
    body = b"".join(blocks(SEED, WHOLE.name, 0, WHOLE.bytes))
    (folder / WHOLE.name).write_bytes(body)
    intact = reading.disk(tmp_path, ["node-1", "node-2"])
    assert intact == Disk({"node-1/whole.bin": digest(SEED, WHOLE)}, 1)
    (folder / WHOLE.name).write_bytes(body[:-1] + bytes([body[-1] ^ 1]))
    spoilt = reading.disk(tmp_path, ["node-1"])
    books = judge(ledger(*outcomes(), disk=Disk(dict(ledger(*outcomes()).disk.digests) | dict(spoilt.digests), 1)))
    only_problem(books, Trouble.WRONG_FILE, "a" * 16)


def test_every_part_of_a_file_is_the_same_whoever_asks_for_it() -> None:
    whole = b"".join(blocks(SEED, OTHER.name, 0, OTHER.bytes))
    assert len(whole) == OTHER.bytes
    assert hashlib.sha256(whole).hexdigest() == digest(SEED, OTHER)
    for start, stop in ((0, 1), (65_535, 65_537), (65_536, 131_072), (100_001, OTHER.bytes)):
        assert b"".join(blocks(SEED, OTHER.name, start, stop)) == whole[start:stop]


def test_the_same_seed_makes_the_same_files_and_each_has_its_own_name() -> None:
    assert wares(1, 500) == wares(1, 500) != wares(2, 500)
    assert len({ware.name for ware in wares(1, 500)}) == 500
    assert {ware.nature for ware in wares(1, 100)} == set(Nature)
