"""A wrong wall clock for one process: what the C library tells it of the time is shifted, and may jump."""

import platform
from importlib.util import find_spec
from pathlib import Path

SYSTEM_FOLDERS = ("/usr/lib", "/usr/local/lib")


def library() -> Path | None:
    """The library that shifts the clock: the wheel's, else the system's; None where neither can be loaded."""
    found: list[Path] = []
    if (spec := find_spec("libfaketime")) is not None and spec.origin:
        found += Path(spec.origin).parent.rglob("libfaketime.so.1")
    for folder in SYSTEM_FOLDERS:
        found += Path(folder).glob("**/faketime/libfaketime.so.1")
    return next((file for file in found if _fits(file)), None) if platform.system() == "Linux" else None


def _fits(file: Path) -> bool:
    """Whether it is for this machine's processor: an ELF file's own field, compared with the C library's."""
    try:
        return _machine(file) == _machine(Path("/proc/self/exe"))
    except OSError:
        return False


def _machine(file: Path) -> bytes:
    with file.open("rb") as elf:
        return elf.read(20)[18:]


class WrongClock:
    """A clock that is `offset_s` ahead of the real one (negative: behind) until it jumps.

    Only the wall clock: a monotonic one keeps counting through any correction, as on a real machine.
    """

    def __init__(self, folder: Path, offset_s: int) -> None:
        self._file = folder / "clock"
        self.jump(offset_s)

    def jump(self, offset_s: int) -> None:
        """From now on it is so far ahead."""
        self._file.write_text(f"{offset_s:+d}s\n")

    @property
    def environment(self) -> dict[str, str]:
        """For the process that is to have it. Its C children have it too."""
        return {
            "LD_PRELOAD": str(library()),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_CACHE_DURATION": "1",  # seconds until it looks for a jump
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }
