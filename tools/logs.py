"""Logging, configured in one place: for people on a terminal, JSON lines otherwise, secrets never."""

import logging
import re
import sys
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any, TextIO

import structlog

from schemas.redact import MASK, redact_uri
from schemas.settings import LogSettings

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_SECRET_KEY = re.compile(r"auth|cookie|creds|pass|secret|token|seed", re.IGNORECASE)
_URI = re.compile(r"\b(?:https?|ftp|sftp|nats|tls)://[^\s'\"<>]+")


def configure(settings: LogSettings, **bound: str) -> None:
    """Set up this process's log; `bound` stands on every line."""
    # Open for the life of the process; each line is flushed, so that a kill loses none.
    out: TextIO = Path(settings.file).open("a", buffering=1) if settings.file else sys.stderr  # noqa: SIM115
    readable = not settings.file and out.isatty()
    renderer: Any = structlog.processors.JSONRenderer()
    if readable:
        # A plain traceback: a coloured one shows what local variables hold, secrets too.
        renderer = structlog.dev.ConsoleRenderer(pad_event_to=36, exception_formatter=structlog.dev.plain_traceback)
    tracebacks = [] if readable else [structlog.processors.format_exc_info]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *tracebacks,
            mask_secrets,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[settings.level]),
        logger_factory=structlog.WriteLoggerFactory(out),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(**bound)
    if logging.lastResort is not None:
        # What libraries say goes to stderr from warnings on: no sooner than our own lines do.
        logging.lastResort.setLevel(max(logging.WARNING, _LEVELS[settings.level]))


def mask_secrets(_logger: Any, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Mask values under telling names, and passwords and signatures inside addresses."""
    for key, value in line.items():
        if _SECRET_KEY.search(key):
            line[key] = MASK
        elif isinstance(value, str) and "://" in value:
            line[key] = _URI.sub(lambda found: _redacted(found[0]), value)
    return line


def _redacted(uri: str) -> str:
    try:
        return redact_uri(uri)
    except ValueError:
        return MASK
