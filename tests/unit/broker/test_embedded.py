"""The nats.conf that a nats-server of `up` is given."""

import pytest

from broker.embedded import ServerFailed, lay_out, packaged_conf, with_sync_interval
from schemas.errors import SettingInvalid
from schemas.settings import load


def test_the_nats_conf_of_production_syncs_each_write_before_it_is_acknowledged() -> None:
    assert 'sync_interval: "always"' in packaged_conf()


@pytest.mark.parametrize("sync_interval", ["always", "1s", "30s"])
def test_the_setting_changes_that_line_and_no_other(sync_interval: str) -> None:
    before, after = packaged_conf().splitlines(), with_sync_interval(packaged_conf(), sync_interval).splitlines()
    changed = [new for old, new in zip(before, after, strict=True) if old != new]
    assert changed in ([], [f'  sync_interval: "{sync_interval}"'])
    assert f'  sync_interval: "{sync_interval}"' in after


def test_a_nats_conf_without_that_line_is_refused_rather_than_run_otherwise_than_set() -> None:
    with pytest.raises(ServerFailed, match="0 lines with sync_interval"):
        with_sync_interval("jetstream {}\n", "always")


def test_a_laptop_syncs_once_a_second_unless_it_is_told_otherwise(tmp_path) -> None:  # type: ignore[no-untyped-def]
    assert 'sync_interval: "1s"' in lay_out(tmp_path).read_text()


@pytest.mark.parametrize("text", ["never", "0s", "1", "1m", 'always"\nlisten: "0.0.0.0:1'])
def test_any_other_interval_is_refused_with_its_name(text: str) -> None:
    with pytest.raises(SettingInvalid, match=r"broker\.sync_interval"):
        load({"broker": {"sync_interval": text}})
