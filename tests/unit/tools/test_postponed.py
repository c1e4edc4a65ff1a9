"""Modules that are loaded when they are first used."""

import sys
from pathlib import Path

import pytest

from tools.postponed import left_out, postponed


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module that leaves a file `loaded` when it is loaded for real."""
    (tmp_path / "slow_one.py").write_text("import pathlib\npathlib.Path(__file__).with_name('loaded').touch()\nx = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "slow_one", raising=False)
    return "slow_one"


def test_it_is_loaded_at_the_first_look_inside(module: str, tmp_path: Path) -> None:
    with postponed(module):
        imported = __import__(module)
        assert not (tmp_path / "loaded").exists()
        assert imported.x == 1
        assert (tmp_path / "loaded").exists()


def test_outside_the_block_it_is_loaded_at_once(module: str, tmp_path: Path) -> None:
    with postponed(module):
        pass
    __import__(module)
    assert (tmp_path / "loaded").exists()


def test_a_module_that_is_not_there_is_still_missing() -> None:
    with postponed("no_such_module"), pytest.raises(ModuleNotFoundError):
        __import__("no_such_module")


def test_what_is_left_out_is_missing_in_the_block_alone(module: str, tmp_path: Path) -> None:
    with left_out(module), pytest.raises(ModuleNotFoundError):
        __import__(module)
    assert not (tmp_path / "loaded").exists()
    __import__(module)
    assert (tmp_path / "loaded").exists()
