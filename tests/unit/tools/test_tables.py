"""Tables on a terminal and in a pipe."""

import io

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from tools.tables import GAP, LEAST, Cell, Column, fit, print_table

COLUMNS = (
    Column("task"),
    Column("name", may_cut=True),
    Column("size", drop=2, right=True),
    Column("notes", drop=1, may_cut=True),
)
ROW = (Cell("0123456789abcdef"), Cell("a rather long name of a file"), Cell("1.2 GiB"), Cell("because " * 20))


def printed(rows: list[tuple[Cell, ...]], width: int, *, terminal: bool) -> list[str]:
    file = io.StringIO()
    print_table(
        COLUMNS, rows, Console(file=file, width=width, force_terminal=terminal, color_system=None, highlight=False)
    )
    return file.getvalue().splitlines()


def test_on_a_terminal_a_row_is_one_line_that_fits() -> None:
    for width in (40, 80, 200):
        lines = printed([ROW, ROW], width, terminal=True)
        assert len(lines) == 3
        assert all(cell_len(line) <= width for line in lines)
        assert lines[1].startswith("0123456789abcdef")


def test_the_least_important_columns_go_first() -> None:
    assert printed([ROW], 80, terminal=True)[0].split() == ["task", "name", "size", "notes"]
    assert printed([ROW], 50, terminal=True)[0].split() == ["task", "name", "notes"]
    assert printed([ROW], 40, terminal=True)[0].split() == ["task", "name"]


def test_a_column_that_says_nothing_is_left_out_on_a_terminal() -> None:
    row = (ROW[0], ROW[1], Cell(""), ROW[3])
    assert "size" not in printed([row], 80, terminal=True)[0]
    assert "size" in printed([row], 80, terminal=False)[0]


def test_in_a_pipe_nothing_is_cut_and_columns_are_aligned() -> None:
    long = (Cell("x" * 300), *ROW[1:])
    head, first, second = printed([ROW, long], 80, terminal=False)
    assert ROW[3].text.strip() in first
    assert second.startswith("x" * 300)
    assert head.index("name") == second.index("a rather")
    assert not any(line.endswith(" ") for line in (head, first, second))


def test_what_others_wrote_does_not_steer_the_terminal() -> None:
    row = (ROW[0], Cell("\x1b[2Jgone\nnext"), *ROW[2:])
    for terminal in (True, False):
        lines = printed([row], 80, terminal=terminal)
        assert len(lines) == 2
        assert "\x1b" not in lines[1]


@given(st.lists(st.integers(0, 60), min_size=4, max_size=4), st.integers(0, 250))
def test_widths_fit_wherever_that_is_possible(widths: list[int], room: int) -> None:
    fitted = fit(widths, COLUMNS, room)
    shown = [width for width in fitted if width]
    assert all(width <= natural for width, natural in zip(fitted, widths, strict=True))
    for width, natural, column in zip(fitted, widths, COLUMNS, strict=True):
        assert column.drop or width >= (min(natural, LEAST) if column.may_cut else natural)
    kept = sum(width for width, column in zip(fitted, COLUMNS, strict=True) if column.drop)
    assert sum(shown) + len(GAP) * max(0, len(shown) - 1) <= room or not kept


def test_what_was_asked_for_goes_on_below_instead_of_being_cut() -> None:
    columns = (Column("node"), Column("notes", may_cut=True, wraps=True))
    file = io.StringIO()
    console = Console(file=file, width=40, force_terminal=True, color_system=None, highlight=False)
    print_table(columns, [(Cell("attic"), Cell("because of this and of that and of much else"))], console)
    assert file.getvalue().splitlines() == [
        "node   notes",
        "attic  because of this and of that and",
        "       of much else",
    ]
