"""The page's sources against what they talk about: the gateway's API, the command, and what they may weigh."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import hatch_build
from gateway.page import read_files
from tests.conftest import required
from tests.harness import forked
from tests.harness.processes import environment

UI = Path(__file__).parents[2] / "gateway" / "ui"
FIRST_VIEW_BYTES_MAX = 150 * 1024
"""Of compressed script, before somebody sees the overview."""


@pytest.mark.timeout(300)
@pytest.mark.slow
def test_the_page_asks_for_nothing_that_the_gateway_does_not_have() -> None:
    """Its types are made from the routes as they are now, and every call and every field read is checked by them."""
    node = hatch_build.found_node() or hatch_build.wheels_node()
    if node is None or not (UI / "node_modules").is_dir():
        assert not required("web"), "DOWNDRAFT_REQUIRE names web, and the page's packages are not installed"
        pytest.skip("needs Node, and the page's packages")
    for command in (["scripts/types.mjs"], ["node_modules/typescript-native/bin/tsc", "--noEmit"]):
        done = subprocess.run(
            [node.node, *command],
            cwd=UI,
            env=environment() | {"PYTHON": sys.executable},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def commands() -> list[str]:
    """Command lines that the page tells people to type."""
    sources = "\n".join(file.read_text() for file in (UI / "src").rglob("*.tsx"))
    sources += "\n".join(file.read_text() for file in (UI / "src").rglob("*.ts") if file.name != "schema.d.ts")
    return sorted(set(re.findall(r"[\"`>](downdraft [a-z][^\"`<]*)[\"`<]", sources)))


def test_the_commands_that_the_page_tells_exist(tmp_path: Path) -> None:
    told = commands()
    assert len(told) >= 4
    for command in told:
        words = command.split()[1:]
        names = [word for word in words[:2] if re.fullmatch("[a-z-]+", word)]
        if len(names) == 2 and names[0] not in ("key", "policy"):
            names = names[:1]
        shown = forked.run((*names, "--help"), cwd=tmp_path, environment=environment(), timeout_s=60)
        assert shown.returncode == 0, command
        for option in re.findall(r"--[a-z-]+", command):
            assert option in shown.stdout, command


def test_the_first_view_is_light() -> None:
    files = read_files()
    if not files:
        assert not required("web"), "DOWNDRAFT_REQUIRE names web, and the page was not built"
        pytest.skip("needs the page")
    index = files["index.html"].bodies[""].decode()
    scripts = re.findall(r'(?:src|href)="\./(assets/[^"]+\.js)"', index)
    assert scripts
    bodies = [files[name].bodies for name in scripts]
    # The smallest are sent as they are.
    assert sum(len(each.get("br", each[""])) for each in bodies) < FIRST_VIEW_BYTES_MAX
