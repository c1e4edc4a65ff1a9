"""The demo, run as people run it: its last line and its exit code tell whether all went well."""

import os
import subprocess
import sys
from pathlib import Path

TIMEOUT_S = 100.0


def demo(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run it in `folder`, where it also puts its temporary files."""
    command = [sys.executable, "-P", "-m", "tools", "demo", *arguments]
    environment = os.environ | {"TMPDIR": str(folder)}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )


def test_the_demo_downloads_and_verifies_every_file_and_leaves_nothing_behind(tmp_path: Path) -> None:
    done = demo(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert lines[-1] == "demo: 24 of 24 completed and verified, 1 failed as intended, 0 lost"
    assert any("missing.bin failed" in line and "404" in line for line in lines)
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == []


def test_the_demo_notices_a_spoilt_file_and_names_it(tmp_path: Path) -> None:
    done = demo(tmp_path, "--small", "--corrupt")
    assert done.returncode == 1, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert lines[-1] == "demo: 23 of 24 completed and verified, 1 failed as intended, 0 lost"
    [complaint] = [line for line in lines if line.startswith("✗")]
    assert complaint.startswith("✗ large.bin: the file on node-"), complaint
