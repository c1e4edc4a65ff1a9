"""A command for each outcome: what it is told, and how long it is waited for."""

import sys
from pathlib import Path

import anyio
import pytest

from schemas.event import Cancelled, Completed, Failed
from schemas.ids import DEFAULT_OWNER
from tests.examples import NOON, TASK
from tests.harness.waiting import eventually
from tools import hooks
from tools.hooks import NoCommand, environment, hooking, parse_command

FAILED = Failed(task=TASK, owner=DEFAULT_OWNER, time=NOON, name="a\0b", reason="404")


def test_a_command_is_split_as_a_shell_does() -> None:
    assert parse_command("sh -c 'echo \"$X\"'") == ["sh", "-c", 'echo "$X"']


@pytest.mark.parametrize("text", ["", "no-such-command x", "sh -c 'open"])
def test_what_can_not_be_run_is_refused_at_once(text: str) -> None:
    with pytest.raises(NoCommand):
        parse_command(text)


def test_the_environment_tells_of_the_outcome_and_is_empty_where_there_is_nothing() -> None:
    assert environment(FAILED) == {
        "DOWNDRAFT_TASK": TASK,
        "DOWNDRAFT_OUTCOME": "failed",
        "DOWNDRAFT_NAME": "ab",
        "DOWNDRAFT_NODE": "",
        "DOWNDRAFT_PATH": "",
        "DOWNDRAFT_REASON": "404",
        "DOWNDRAFT_BYTES": "0",
        "DOWNDRAFT_DIGEST": "",
    }
    completed = Completed(
        task=TASK, owner=DEFAULT_OWNER, time=NOON, node="n", path="p/f", bytes=7, digest="sha-256=0", seconds=1.0
    )
    told = environment(completed)
    assert [told[f"DOWNDRAFT_{name}"] for name in ("NODE", "PATH", "BYTES", "DIGEST")] == ["n", "p/f", "7", "sha-256=0"]
    assert environment(Cancelled(task=TASK, owner=DEFAULT_OWNER, time=NOON))["DOWNDRAFT_OUTCOME"] == "cancelled"


async def test_after_an_interruption_a_command_that_goes_on_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], anyio_backend: str
) -> None:
    monkeypatch.setattr(hooks, "GRACE_S", 0.5)
    began = tmp_path / "began"
    script = f"open({str(began)!r}, 'w'); import time; time.sleep(100)"
    with anyio.fail_after(30), anyio.CancelScope() as interrupted:
        async with hooking([sys.executable, "-c", script]) as running:
            await running.start(FAILED)
            await eventually(began.exists, within_s=20)
            interrupted.cancel()
            await anyio.sleep_forever()
    assert running.failed == 1
    assert f"--exec for {TASK}: ended by force" in capfd.readouterr().err


async def test_a_program_that_vanished_is_said_and_the_rest_goes_on(
    capfd: pytest.CaptureFixture[str], anyio_backend: str
) -> None:
    async with hooking(["/no/such/program"]) as running:
        await running.start(FAILED)
        await running.start(FAILED)
    assert running.failed == 2
    assert "No such file" in capfd.readouterr().err
