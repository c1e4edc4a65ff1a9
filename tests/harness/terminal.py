"""A real terminal of any size, by tmux: what a person would see."""

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from tests.harness.waiting import eventually

COLOUR = re.compile(r"\x1b\[(?:\d+;)*(?:3[0-8]|4[0-8]|9\d|10\d)(?:;\d+)*m")
"""A control sequence that sets a colour; bold and dim are none."""
ENDED = "ended with"


def has_tmux() -> bool:
    return shutil.which("tmux") is not None


class Terminal:
    """A window in which one command runs."""

    def __init__(self, tmux: list[str]) -> None:
        self._command = tmux

    def _tmux(self, *arguments: str) -> str:
        return subprocess.run(
            [*self._command, *arguments], capture_output=True, text=True, timeout=20, check=True
        ).stdout

    def screen(self) -> list[str]:
        """The lines in sight, without what is empty at their ends."""
        return [line.rstrip() for line in self._tmux("capture-pane", "-p").rstrip("\n").split("\n")]

    def text(self) -> str:
        return "\n".join(self.screen())

    def scrolled(self) -> list[str]:
        """All lines there ever were, wrapped ones joined."""
        return [line.rstrip() for line in self._tmux("capture-pane", "-p", "-J", "-S", "-").rstrip("\n").split("\n")]

    def with_colours(self) -> str:
        return self._tmux("capture-pane", "-p", "-e")

    def asks(self, variable: str) -> str:
        """What tmux says of the window, such as `cursor_flag` or `alternate_on`."""
        return self._tmux("display-message", "-p", f"#{{{variable}}}").strip()

    def press(self, key: str) -> None:
        self._tmux("send-keys", key)

    def resize(self, columns: int, rows: int) -> None:
        self._tmux("resize-window", "-x", str(columns), "-y", str(rows))

    async def shows(self, text: str, within_s: float = 30) -> str:
        """Wait until `text` is in sight; the screen then."""

        def seen() -> str | None:
            screen = self.text()
            return screen if text in screen else None

        try:
            return await eventually(seen, within_s=within_s, every_s=0.1, what=f"{text!r} in sight")
        except AssertionError as error:
            raise AssertionError(f"{error}; the screen:\n{self.text()}") from error

    async def ended(self, within_s: float = 60) -> int:
        """Wait for the command's end; its exit code."""

        def code() -> str | None:
            found = re.search(rf"{ENDED} (\d+)", self.text())
            return found[1] if found else None

        return int(await eventually(code, within_s=within_s, every_s=0.1, what="the command's end"))


@contextmanager
def terminal(
    command: list[str], *, columns: int, rows: int, folder: Path, environment: Mapping[str, str]
) -> Iterator[Terminal]:
    """Run `command` in a window of its own for the length of the block."""
    tmux = ["tmux", "-L", f"downdraft-test-{uuid4().hex[:8]}"]
    # A size in the environment, wherever it comes from, would hide the window's own.
    line = f"unset COLUMNS LINES; {shlex.join(command)}; echo {ENDED} $?; cat"
    subprocess.run(
        [*tmux, "-f", "/dev/null", "new-session", "-d", "-x", str(columns), "-y", str(rows), line],
        cwd=folder,
        env=dict(environment),
        timeout=20,
        check=True,
    )
    try:
        yield Terminal(tmux)
    finally:
        subprocess.run([*tmux, "kill-server"], timeout=20, check=False, capture_output=True)
