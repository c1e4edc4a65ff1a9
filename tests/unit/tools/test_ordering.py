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
        ("node-set attic --tag x,y", "a tag is 1 to 64 letters, digits"),
        ("cordon --with-tag x,y", "a tag is 1 to 64 letters, digits"),
        ("cordon At_tic", "a node id is 1 to 63 of a-z, 0-9 and '-'"),
        ("node-set attic --slots 4 --own-slots", "they exclude each other"),
        ("node-set attic --tag a --untag a", "can't be both added and taken away: a"),
        ("node-set attic --slots 1025", "1<=x<=1024"),
        ("node-set attic --download-limit 500", "write a rate 1K to 2047M, or none"),
        ("limit --all --download 2G", "write a rate below 2048M, or none"),
        ("submit http://a.example/f --deadline 2020-01-01", "'2020-01-01' has passed already"),
        ("submit http://a.example/f --deadline 0s", "has passed already"),
        ("submit http://a.example/f --deadline soon", "write 30s, 10m, 2h, 7d, or 2031-05-01T22:00:00Z"),
        ("submit http://a.example/f --not-before 99:00", "'99:00' is no moment"),
        ("submit -i list.txt --id-prefix nightly --deadline 12h", "with --id-prefix write a date"),
    ],
)
def test_what_is_not_clear_is_refused(line: str, expected: str) -> None:
    with pytest.raises(typer.BadParameter) as refused:
        GROUP.main(line.split(), prog_name="downdraft", standalone_mode=False)
    assert expected in refused.value.format_message()


@pytest.mark.parametrize("when", ["2h", "2099-01-01", "2099-01-01 00:00", "2099-01-01T00:00Z", "2099-01-01T00:00+02"])
def test_when_to_start_and_to_end_is_typed_as_people_write_it(when: str, capsys: pytest.CaptureFixture[str]) -> None:
    for flag in ("--deadline", "--not-before"):
        line = ["submit", "http://a.example/f", flag, when, "--dry-run"]
        GROUP.main(line, prog_name="downdraft", standalone_mode=False)
        assert "1 would be submitted" in capsys.readouterr().out
