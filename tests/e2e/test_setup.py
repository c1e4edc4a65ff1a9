"""`downdraft config` and `downdraft schema`, as scripts read them."""

import json
import subprocess
from pathlib import Path
from typing import Any

import jsonschema

from schemas.asyncapi import document
from schemas.contract import json_schema
from schemas.settings import names
from tests.harness import forked
from tests.harness.processes import environment


def run(folder: Path, *arguments: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    return forked.run(arguments, cwd=folder, environment=environment() | settings, timeout_s=60)


def settings_of(done: "subprocess.CompletedProcess[str]") -> dict[str, dict[str, Any]]:
    assert done.returncode == 0, done.stderr
    return {one["setting"]: one for one in map(json.loads, done.stdout.splitlines())}


def test_each_setting_is_told_with_its_source(tmp_path: Path) -> None:
    (tmp_path / "downdraft.toml").write_text('[node]\nslots = 3\ntags = ["ssd", "eu"]\n')
    told = settings_of(run(tmp_path, "config", "--json", DOWNDRAFT_LOG_LEVEL="debug", DOWNDRAFT_NODE_SLOTS="4"))
    assert list(told) == list(names())
    assert told["node.slots"] == {
        "setting": "node.slots", "value": 4, "source": "DOWNDRAFT_NODE_SLOTS", "changed": True,
    }  # fmt: skip
    assert (told["node.tags"]["value"], told["node.tags"]["source"]) == (["ssd", "eu"], "downdraft.toml")
    assert (told["node.id"]["source"], told["node.id"]["changed"]) == ("default", False)


def test_a_named_file_is_the_source(tmp_path: Path) -> None:
    file = tmp_path / "other.toml"
    file.write_text("[node]\nslots = 3\n")
    told = settings_of(run(tmp_path, "config", "--config", str(file), "--changed", "--json"))
    assert {name: one["source"] for name, one in told.items()} == {"node.slots": str(file)}


def test_what_is_set_to_its_default_is_not_changed(tmp_path: Path) -> None:
    assert settings_of(run(tmp_path, "config", "--changed", "--json", DOWNDRAFT_NODE_SLOTS="8")) == {}


def test_passwords_in_addresses_are_not_shown(tmp_path: Path) -> None:
    for arguments in (["config"], ["config", "--json"]):
        done = run(tmp_path, *arguments, DOWNDRAFT_NATS_URL="nats://me:hunter2@a:4222,you:hunter2@b:4222")
        assert "hunter2" not in done.stdout
        assert "nats://a:4222,b:4222" in done.stdout


def test_people_see_which_file_was_read_and_whole_values(tmp_path: Path) -> None:
    (tmp_path / "downdraft.toml").write_text(f'[node]\ndownloads = "{"x" * 200}"\n')
    lines = run(tmp_path, "config").stdout.splitlines()
    assert lines[0] == "read from downdraft.toml"
    assert any(line.startswith("node.downloads") and "x" * 200 in line for line in lines)
    assert len(lines) == 2 + len(names())


def test_a_bad_setting_is_named(tmp_path: Path) -> None:
    done = run(tmp_path, "config", DOWNDRAFT_NODE_SLOTS="many")
    assert (done.returncode, "DOWNDRAFT_NODE_SLOTS" in done.stderr) == (2, True)


def test_schema_prints_one_payload_or_all(tmp_path: Path) -> None:
    assert json.loads(run(tmp_path, "schema").stdout) == json_schema()
    schema = json.loads(run(tmp_path, "schema", "request").stdout)
    jsonschema.Draft202012Validator(schema).validate({"uris": ["https://a.example/f"]})


def test_schema_prints_asyncapi(tmp_path: Path) -> None:
    assert json.loads(run(tmp_path, "schema", "--asyncapi").stdout) == document()


def test_a_payload_there_is_none_of_is_bad_input(tmp_path: Path) -> None:
    done = run(tmp_path, "schema", "nothing")
    assert (done.returncode, done.stdout) == (2, "")
    assert "finished.completed" in done.stderr
    assert run(tmp_path, "schema", "request", "--asyncapi").returncode == 2
