"""`downdraft policy show` and `downdraft policy set` as people type them."""

import json
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from broker import policyclient
from broker.cluster import Client, open_client
from broker.policyclient import PolicyConflict
from broker.roles import Role
from tests.harness.broker import STEADY, Broker
from tests.harness.leader import coordinator
from tests.harness.processes import COMMAND, environment
from tests.integration.control.steps import answering
from tools import policyshow
from tools.policyedit import Edits, edited
from tools.policyfile import read_file


class Shell:
    """Types commands for a cluster that has a leader and no nodes; what needs no process of its own is just called."""

    def __init__(self, broker: Broker, client: Client, folder: Path) -> None:
        self.client = client
        self._broker = broker
        self._folder = folder

    async def types(self, *words: str) -> "subprocess.CompletedProcess[bytes]":
        settings = {
            "DOWNDRAFT_NATS_URL": self._broker.url,
            "DOWNDRAFT_NATS_CREDS": self._broker.creds(Role.OPERATOR),
        }
        command = [*COMMAND, "policy", *words]
        return await anyio.run_process(command, cwd=self._folder, env=environment() | settings, check=False)

    async def sets(self, *fields: str, dry_run: bool = False, as_json: bool = False) -> None:
        await policyshow.change(
            self.client,
            lambda values: edited(values, Edits(fields)),
            whole=False,
            based_on=None,
            dry_run=dry_run,
            as_json=as_json,
        )

    async def sets_file(self, name: str) -> None:
        values, based_on = read_file(name)
        await policyshow.change(
            self.client, lambda _: values, whole=True, based_on=based_on, dry_run=False, as_json=False
        )

    async def stands(self) -> dict[str, Any]:
        return (await policyclient.read(self.client)).policy


def printed(capsys: pytest.CaptureFixture[str]) -> str:
    """What a command printed, without the leader's log, which goes the same way here."""
    lines = capsys.readouterr().out.splitlines(keepends=True)
    return "".join(line for line in lines if "[info " not in line)


@asynccontextmanager
async def shell(broker: Broker, folder: Path) -> AsyncIterator[Shell]:
    async with (
        coordinator(broker, settings=STEADY) as leader,
        open_client(broker.url, broker.creds(Role.OPERATOR)) as client,
    ):
        await answering(leader, client)
        yield Shell(broker, client, folder)


async def test_fields_are_set_by_words_and_options_and_shown(broker: Broker, tmp_path: Path) -> None:
    async with shell(broker, tmp_path) as one:
        done = await one.types(
            *("set", "strategy=bin-pack", "--owner", "alice", "weight=2", "queued=1000", "--owner", "*", "queued=9"),
            *("--origin", "*.Example.org", "running=4", "bytes_per_s=20M", "--window", "Mon-Fri 08:00-18:00 20M"),
        )
        assert done.returncode == 0, done.stderr.decode()
        lines = [line.split() for line in done.stdout.decode().splitlines()]
        assert ["origins.*.example.org.bytes_per_s", "not", "set", "→", "20", "MiB/s"] in lines
        assert await one.stands() == {
            "strategy": "bin-pack",
            "owners": {"alice": {"weight": 2.0, "queued": 1000}, "*": {"queued": 9}},
            "origins": {"*.example.org": {"running": 4, "bytes_per_s": 20 << 20}},
            "bandwidth": ["Mon-Fri 08:00-18:00 20M"],
        }
        shown = (await one.types("show")).stdout.decode()
        for words in (
            "bin-pack weights  bandwidth 0.7, disk 0.3",
            "* all others",
            "1,000",
            "Mon-Fri 08:00",
        ):
            assert words in shown


async def test_what_is_not_valid_is_said_by_its_field_with_exit_code_2(broker: Broker, tmp_path: Path) -> None:
    async with shell(broker, tmp_path) as one:
        done = await one.types("set", "--owner", "alice", "weight=0")
        assert (done.returncode, done.stdout) == (2, b"")
        assert done.stderr.decode() == "downdraft: owners.alice.weight: must be a number from 0.01 to 1000\n"
        done = await one.types("set", "strategy=spread", "--file", "policy.toml")
        assert done.returncode == 2
        assert "say what to change, such as strategy=spread" in done.stderr.decode()
        assert await one.stands() == {}


async def test_each_field_that_changes_is_told_with_what_it_was(
    broker: Broker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with shell(broker, tmp_path) as one:
        await one.sets("strategy=spread")
        await one.sets("strategy=bin-pack")
        await one.sets("strategy=bin-pack")
        told = [line.split() for line in printed(capsys).splitlines()]
        assert ["strategy", "least-loaded", "(default)", "→", "spread"] in told
        assert ["strategy", "spread", "→", "bin-pack"] in told
        assert told[-1] == ["nothing", "changes"]


async def test_a_dry_run_shows_what_would_change_and_sets_nothing(
    broker: Broker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with shell(broker, tmp_path) as one:
        await one.sets("strategy=spread", dry_run=True)
        assert printed(capsys).endswith("a dry run: nothing was set\n")
        await one.sets("strategy=spread", dry_run=True, as_json=True)
        told = json.loads(printed(capsys))
        assert told == {"before": {}, "after": {"strategy": "spread"}, "revision": 0, "dry_run": True}
        assert await one.stands() == {}


async def test_a_policy_is_shown_as_toml_edited_and_set_whole(
    broker: Broker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with shell(broker, tmp_path) as one:
        await one.sets("owners.alice.weight=2", "origins.*.example.org.running=4")
        capsys.readouterr()
        await policyshow.show(one.client, as_json=False, toml=True)
        file = tmp_path / "policy.toml"
        file.write_text(printed(capsys).replace("weight = 2.0", "weight = 3.0"))
        await one.sets_file(str(file))
        assert printed(capsys).splitlines()[0].split() == ["owners.alice.weight", "2", "→", "3"]
        assert (await one.stands())["origins"] == {"*.example.org": {"running": 4}}


async def test_a_file_that_was_made_from_an_older_policy_is_refused(
    broker: Broker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with shell(broker, tmp_path) as one:
        await one.sets("strategy=spread")
        capsys.readouterr()
        await policyshow.show(one.client, as_json=True, toml=False)
        file = tmp_path / "mine.json"
        file.write_text(printed(capsys))
        await one.sets("strategy=bin-pack")
        with pytest.raises(PolicyConflict, match="another change came between"):
            await one.sets_file(str(file))
        assert await one.stands() == {"strategy": "bin-pack"}
