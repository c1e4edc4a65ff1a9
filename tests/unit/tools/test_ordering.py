"""What was typed is either clear or refused, before anybody is asked."""

from typing import Any

import pytest
import typer

from tools.cli import app

GROUP: Any = typer.main.get_command(app)
TASK = "0123456789abcdef"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (f"prioritise {TASK}", "say which, or --front, --back or --position"),
        (f"prioritise {TASK} --front --position 0", "they exclude one another"),
        ("prioritise --front", "name tasks, or a filter; --all for all"),
        ("prioritise --front --state active", "only what is queued has a position"),
        ("prioritise --priority 1 --state failed", "has ended"),
        ("prioritise --all --priority 11", "-10<=x<=10"),
        (f"prioritise {TASK} --position -1", "x>=0"),
        ("ls --sort queue --state active", "only what is queued has a position"),
    ],
)
def test_what_is_not_clear_is_refused(line: str, expected: str) -> None:
    with pytest.raises(typer.BadParameter) as refused:
        GROUP.main(line.split(), prog_name="downdraft", standalone_mode=False)
    assert expected in refused.value.format_message()
