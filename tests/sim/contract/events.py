"""Outcomes and facts for the cases."""

from datetime import UTC, datetime
from typing import Any

from schemas.event import Completed, Failed, Released

WHEN = datetime(2026, 11, 22, tzinfo=UTC)


def _about(task: str) -> dict[str, Any]:
    return {"task": task, "owner": "default", "time": WHEN, "attempt": 1}


def completed(task: str, node: str) -> Completed:
    return Completed(**_about(task), node=node, path="f", bytes=1, digest="", seconds=0.1)


def failed(task: str) -> Failed:
    return Failed(**_about(task), reason="no such file", code="")


def released(task: str, node: str) -> Released:
    return Released(**_about(task), node=node, reason="as asked")
