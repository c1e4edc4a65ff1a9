"""A policy as a file: JSON or TOML in, TOML out."""

import io
from pathlib import Path

import pytest

from schemas.errors import PolicyInvalid
from tools.policyfile import Read, as_toml, read_file

VALUES = {"strategy": "spread", "origins": {"*.example.org": {"running": 4}}, "bandwidth": ["Mon 20M"]}


def written(folder: Path, text: str) -> str:
    file = folder / "policy"
    file.write_text(text)
    return str(file)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    assert read_file(written(tmp_path, as_toml(VALUES, 7))) == Read(VALUES, None)


def test_json_is_read_and_what_show_printed_tells_its_revision(tmp_path: Path) -> None:
    assert read_file(written(tmp_path, '{"strategy":"spread"}')) == Read({"strategy": "spread"}, None)
    shown = '{"policy":{"strategy":"spread"},"revision":7,"strategies":["spread"]}'
    assert read_file(written(tmp_path, shown)) == Read({"strategy": "spread"}, 7)


def test_standard_input_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("strategy = 'spread'"))
    assert read_file("-").values == {"strategy": "spread"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{damaged", "is neither JSON nor TOML"),
        ("strategy: spread", "is neither JSON nor TOML"),
        ("[1]", "is a list; a policy is an object"),
    ],
)
def test_what_is_no_policy_is_said_with_its_file(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(PolicyInvalid, match=said) as refusal:
        read_file(written(tmp_path, text))
    assert str(tmp_path) in str(refusal.value)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(PolicyInvalid, match="can't be read: No such file or directory"):
        read_file(str(tmp_path / "nowhere"))
