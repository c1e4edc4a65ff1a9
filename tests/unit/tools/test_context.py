"""Where a command finds its settings and its cluster."""

from pathlib import Path

import pytest

from schemas import codec
from schemas.errors import SettingInvalid
from tools.context import Up, UpNats, find_up, load_settings, locate


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("DOWNDRAFT_NATS_URL", "DOWNDRAFT_NATS_CREDS", "DOWNDRAFT_NODE_SLOTS"):
        monkeypatch.delenv(name, raising=False)


def write_up(folder: Path, url: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "up.json").write_bytes(codec.encode(Up(UpNats(url, {"operator": "op.creds"}), None, {})))


def test_the_nearest_up_json_counts(tmp_path: Path) -> None:
    write_up(tmp_path / "downdraft-data", "nats://far")
    write_up(tmp_path / "a" / "downdraft-data", "nats://near")
    (tmp_path / "a" / "b").mkdir()
    found = find_up(tmp_path / "a" / "b")
    assert found is not None
    assert found.nats.url == "nats://near"


def test_a_command_uses_it_with_the_operators_credentials(tmp_path: Path) -> None:
    write_up(tmp_path / "downdraft-data", "nats://here")
    assert locate(None, None) == ("nats://here", "op.creds")
    assert locate(None, "mine.creds") == ("nats://here", "mine.creds")


def test_a_flag_beats_the_environment_which_beats_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "downdraft.toml").write_text('[nats]\nurl = "nats://file"\n[node]\nslots = 3\n')
    assert locate(None, None)[0] == "nats://file"
    monkeypatch.setenv("DOWNDRAFT_NATS_URL", "nats://environment")
    assert locate(None, None)[0] == "nats://environment"
    assert locate("nats://flag", None)[0] == "nats://flag"
    assert load_settings().settings.node.slots == 3


def test_without_any_the_error_says_what_to_do() -> None:
    with pytest.raises(SettingInvalid, match="start one with `downdraft up`"):
        locate(None, None)


def test_a_broken_settings_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "downdraft.toml").write_text("[node\n")
    with pytest.raises(SettingInvalid, match=r"downdraft\.toml"):
        load_settings()
    with pytest.raises(SettingInvalid, match=r"can't read 'missing\.toml'"):
        load_settings(Path("missing.toml"))
