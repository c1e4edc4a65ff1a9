"""Names, help and completion of the commands."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer

from tests.harness import forked
from tests.harness.examples import commands
from tests.harness.processes import environment
from tools.cli import app
from tools.commandline import ALIASES

CHECKOUT = Path(__file__).parent.parent.parent.parent
GROUP: Any = typer.main.get_command(app)


def help_of(name: str = "") -> str:
    """The help of a command, '' for all of them, without colour."""
    context = GROUP.make_context("downdraft", ["ls"])
    command = GROUP.commands[name] if name else GROUP
    shown = command.get_help(typer.Context(command, info_name=name, parent=context) if name else context)
    return re.sub(r"\x1b\[\d+m", "", shown)


def downdraft(*arguments: str, folder: Path, **settings: str) -> "subprocess.CompletedProcess[str]":
    return forked.run(arguments, cwd=folder, environment=environment() | settings, timeout_s=60)


@pytest.mark.parametrize(("other", "name"), ALIASES.items())
def test_a_command_answers_to_its_other_name(other: str, name: str) -> None:
    context = GROUP.make_context("downdraft", [name])
    assert GROUP.get_command(context, other) is GROUP.get_command(context, name)
    assert f"Also: `downdraft {other}`." in help_of(name)
    assert f"\n  {name} " in help_of()
    assert f"\n  {other} " not in help_of()


def test_an_unknown_command_suggests_the_nearest(tmp_path: Path) -> None:
    done = downdraft("sumbit", "https://a.example/f", folder=tmp_path)
    assert done.returncode == 2
    assert done.stderr.endswith("No such command 'sumbit'. Did you mean 'submit'?\n")


def test_help_shows_each_example_on_a_line_of_its_own_however_long() -> None:
    lines = help_of("submit").splitlines()
    assert "  downdraft submit https://example.org/big --tag ssd --priority 5 --label project=mirror" in lines


def test_every_command_is_listed_in_a_family() -> None:
    assert "\nCommands:" not in help_of()
    for name in GROUP.commands:
        assert f"\n  {name} " in help_of(), name


def test_every_command_and_other_name_is_on_the_page_of_commands() -> None:
    page = (CHECKOUT / "docs" / "commands.md").read_text()
    rows = {line.split("|")[1].strip().strip("`") for line in page.splitlines() if line.startswith("| `")}
    assert {name for name, _ in commands()} <= rows
    for other, name in ALIASES.items():
        assert f"`{other}`" in page
        assert GROUP.commands[name]


@pytest.mark.parametrize(
    ("shell", "typed"),
    [
        ("bash", {"COMP_WORDS": "downdraft sub", "COMP_CWORD": "1"}),
        ("zsh", {"_TYPER_COMPLETE_ARGS": "downdraft sub"}),
        ("fish", {"_TYPER_COMPLETE_ARGS": "downdraft sub", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}),
    ],
)
def test_the_shell_completes_commands(shell: str, typed: dict[str, str], tmp_path: Path) -> None:
    done = downdraft(folder=tmp_path, _DOWNDRAFT_COMPLETE=f"complete_{shell}", **typed)
    assert done.returncode == 0, done.stderr
    assert "submit" in done.stdout
    assert "cancel" not in done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_can_be_shown_and_installed(shell: str, tmp_path: Path) -> None:
    # Which shell it is typed into is seen in who started it; here it is named, as nobody may have.
    named = {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1", "HOME": str(tmp_path)}
    shown = downdraft("--show-completion", shell, folder=tmp_path, **named)
    assert "_DOWNDRAFT_COMPLETE" in shown.stdout
    done = downdraft("--install-completion", shell, folder=tmp_path, **named)
    assert done.returncode == 0, done.stderr
    assert f"{shell} completion installed in" in done.stdout
    installed = [file for file in tmp_path.rglob("*") if file.is_file() and "_DOWNDRAFT_COMPLETE" in file.read_text()]
    assert len(installed) == 1


def test_the_shell_completes_states_and_the_nodes_of_the_nearest_cluster_without_asking_it(tmp_path: Path) -> None:
    bash = {"_DOWNDRAFT_COMPLETE": "complete_bash", "COMP_CWORD": "3"}
    states = downdraft(folder=tmp_path, COMP_WORDS="downdraft ls --state c", **bash)
    assert states.stdout.split() == ["completed", "cancelled"]
    nobody = downdraft(folder=tmp_path, COMP_WORDS="downdraft ls --node ", **bash)
    assert (nobody.returncode, nobody.stdout.strip(), nobody.stderr) == (0, "", "")
    (tmp_path / "up.json").write_text(
        '{"nats":{"url":"nats://127.0.0.1:1","creds":{}},"gateway":null,"pids":{"up":1,"node-1":2,"node-2":3}}'
    )
    nodes = downdraft(folder=tmp_path, COMP_WORDS="downdraft ls --node ", **bash)
    assert nodes.stdout.split() == ["node-1", "node-2"]
