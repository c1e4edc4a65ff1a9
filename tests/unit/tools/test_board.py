"""What `watch` shows: a line each, none wider than the window, and nothing that is no longer so."""

from datetime import datetime
from typing import Any

import pytest
from rich.cells import cell_len

from schemas.event import Completed, Failed, Queued
from schemas.heartbeat import Progress
from schemas.ids import DEFAULT_OWNER
from tests.examples import NOON, a_heartbeat, a_task
from tools.board import HEARD_ALL_AFTER_S, NODE_AWAY_AFTER_S, RECENT_S, STALE_AFTER_S, Board
from tools.lines import fit, transfer

T0 = 1000.0


def a_board(**options: Any) -> Board:
    return Board(datetime(2031, 5, 1, 12), T0, **options)


def a_progress(number: int, **fields: Any) -> Progress:
    about: dict[str, Any] = {"attempt": 1, "node": "node-1", "bytes_done": 512, "bytes_total": 1024, "bytes_per_s": 100}
    return Progress(task=a_task(number), **(about | fields))


def about(number: int, **fields: Any) -> dict[str, Any]:
    return {"task": a_task(number), "owner": DEFAULT_OWNER, "time": NOON, "name": f"file {number}"} | fields


def completed(number: int) -> Completed:
    return Completed(**about(number), node="node-1", path="f", bytes=10, digest="", seconds=0.1)


def shown(board: Board, now: float = T0, rows: int = 24, columns: int = 100) -> list[str]:
    return [line.plain for line in board.draw(rows, columns, now)]


def test_rows_keep_their_order_while_their_numbers_change() -> None:
    board = a_board()
    for number in (3, 1, 2):
        board.moved(a_progress(number), T0)
    board.moved(a_progress(1, bytes_done=1000), T0 + 1)
    assert [line[:16] for line in shown(board, T0 + 1)[2:]] == [a_task(3), a_task(1), a_task(2)]


def test_what_was_not_heard_for_long_is_not_shown() -> None:
    board = a_board()
    board.moved(a_progress(1), T0)
    assert shown(board, T0 + STALE_AFTER_S - 0.1)[0].startswith("1 running")
    assert shown(board, T0 + STALE_AFTER_S)[0].startswith("0 running")


def test_while_the_broker_is_away_no_old_number_is_shown() -> None:
    board = a_board()
    board.moved(a_progress(1), T0)
    board.queued = 7
    board.beat(a_heartbeat(), T0)
    board.lost(T0)
    board.lost(T0 + 3)
    assert shown(board, T0 + 4) == ["broker away, reconnecting … (4 s)", "since 12:00:00: none ended"]
    board.found(T0 + 5)
    assert shown(board, T0 + 5)[0] == "0 running, ? queued (no coordinator answers), ? nodes, 0 B/s"


def test_nodes_are_counted_once_all_can_have_been_heard() -> None:
    board = a_board()
    board.beat(a_heartbeat("a"), T0)
    board.beat(a_heartbeat("b"), T0)
    board.beat(a_heartbeat("c"), T0)
    board.beat(a_heartbeat("c", leaving=True), T0 + 1)
    assert board.nodes(T0 + 1) is None
    assert board.nodes(T0 + HEARD_ALL_AFTER_S) == 2
    board.beat(a_heartbeat("b"), T0 + 5)
    assert board.nodes(T0 + NODE_AWAY_AFTER_S) == 1


def test_what_ended_stays_in_sight_for_a_while_and_is_counted_for_ever() -> None:
    board = a_board()
    board.happened(completed(1), T0)
    board.happened(Failed(**about(2), reason="404"), T0)
    assert shown(board, T0 + 1)[1:] == [
        "since 12:00:00: 1 completed, 1 failed",
        f"{a_task(1)} completed node-1:f  10 B in 0.1 s",
        f"{a_task(2)} failed file 2: 404",
    ]
    assert len(shown(board, T0 + RECENT_S)) == 2


def test_a_tag_hides_tasks_that_do_not_ask_for_it_or_of_which_that_is_not_known() -> None:
    board = a_board(tags=["eu"])
    board.happened(Queued(**about(1), tags=("eu", "ssd")), T0)
    board.happened(Queued(**about(2), tags=("us",)), T0)
    for number in (1, 2, 3):
        board.moved(a_progress(number), T0)
    assert [line[:16] for line in shown(board)[2:]] == [a_task(1)]
    assert board.has_strangers
    assert board.happened(completed(2), T0) is None
    assert board.happened(completed(1), T0) is not None
    assert board.ended.total() == 1


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5, 10, 50])
@pytest.mark.parametrize("columns", [20, 60, 79, 99, 199])
def test_it_fits_any_window(rows: int, columns: int) -> None:
    board = a_board()
    for number in range(1, 21):
        board.happened(Queued(**about(number, name="漢字 " * 30 + "\n\x1b[31m")), T0)
        board.moved(a_progress(number, node="a-node-with-a-very-long-name"), T0)
    for number in range(30, 40):
        board.happened(completed(number), T0)
    lines = shown(board, T0, rows, columns)
    assert len(lines) <= rows
    assert all(cell_len(line) <= columns for line in lines)
    assert all(line.isprintable() for line in lines)
    running = sum(line[16:17] == " " and "/s" in line for line in lines[2:])
    more = [line for line in lines if line.startswith("… and ")]
    if rows >= 4 and columns >= 79:
        assert (f"… and {20 - running} more" in more) == (running < 20)


@pytest.mark.parametrize("columns", [79, 99, 100, 199, 300])
def test_a_row_is_exactly_as_wide_as_its_window_up_to_a_limit(columns: int) -> None:
    line = transfer(a_progress(1, bytes_done=1 << 40, bytes_total=1 << 40, bytes_per_s=1023 << 20), "x" * 500, columns)
    assert cell_len(line.plain) == min(columns, 176)


def test_text_is_cut_by_the_columns_it_takes() -> None:
    assert fit("abc", 5) == "abc  "
    assert fit("abcdef", 4) == "abc…"
    assert cell_len(fit("漢字漢字", 4)) == 4
    assert fit("a", 0) == ""


def test_names_are_forgotten_beyond_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.board.KNOWN_MAX", 3)
    board = a_board()
    for number in range(10):
        board.know(a_task(number), "n", ())
    assert len(board._known) == 3


def test_a_snapshot_says_the_same_in_json() -> None:
    board = a_board()
    board.happened(Queued(**about(1)), T0)
    board.moved(a_progress(1), T0)
    board.happened(completed(2), T0)
    snapshot = board.snapshot(T0)
    assert snapshot["running"] == [{"name": "file 1", "progress": a_progress(1)}]
    assert (snapshot["connected"], snapshot["queued"], snapshot["ended"]) == (True, None, {"completed": 1})
    assert snapshot["bytes_per_s"] == 100
