"""Logs: JSON lines with what is bound, and no secrets in them."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from schemas.settings import LogSettings
from tools.logs import configure, mask_secrets


@pytest.fixture
def log_file(tmp_path: Path) -> Iterator[Path]:
    file = tmp_path / "x.log"
    configure(LogSettings(file=str(file), level="info"), process="node", node="attic")
    yield file
    structlog.contextvars.clear_contextvars()
    structlog.reset_defaults()


def lines(file: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_a_line_is_json_and_carries_what_is_bound(log_file: Path) -> None:
    with structlog.contextvars.bound_contextvars(task="t", attempt=2):
        structlog.get_logger().info("download completed", path="f")
    (line,) = lines(log_file)
    assert line["event"] == "download completed"
    assert (line["process"], line["node"], line["task"], line["attempt"]) == ("node", "attic", "t", 2)


def test_lines_below_the_level_are_not_written(log_file: Path) -> None:
    structlog.get_logger().debug("noise")
    structlog.get_logger().warning("signal")
    assert [line["event"] for line in lines(log_file)] == ["signal"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("authorization", "Bearer s3cr3t"),
        ("cookie", "s3cr3t"),
        ("http_passwd", "s3cr3t"),
        ("rpc_secret", "s3cr3t"),
        ("reason", "can't reach https://user:s3cr3t@host/f?x=1"),
        ("uri", "https://host/f?token=s3cr3t&x=1"),
        ("problem", "nats://user:s3cr3t@broker:4222: refused"),
    ],
)
def test_a_secret_does_not_reach_the_log(key: str, value: str) -> None:
    line = mask_secrets(None, "info", {"event": "x", key: value})
    assert "s3cr3t" not in json.dumps(line)
    assert line["event"] == "x"
