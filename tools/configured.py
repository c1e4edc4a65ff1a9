"""What `downdraft config` prints: every setting in force, and where it came from."""

import re
from pathlib import Path
from typing import Any

from msgspec import Struct
from rich.console import Console
from rich.markup import escape

from schemas.redact import MASK, redact_servers
from schemas.settings import Loaded, Settings, names
from tools.context import SETTINGS_FILE
from tools.looking import print_json
from tools.tables import Cell, Column, print_table

SERVERS = "nats.url"
PROXY = "node.upstream_proxy"
SECRET = re.compile(r"(?:^|_)(?:key|password|passwd|secret|seed|token)$")
"""Settings that hold a secret themselves, by their names; `creds` and the like name files, which may be shown."""


class Setting(Struct, frozen=True):
    setting: str
    value: Any
    source: str
    """`default`, the settings file's path, or the environment variable."""
    changed: bool
    """It is not what the default is."""


def configured(loaded: Loaded, file: Path | None) -> list[Setting]:
    """Each setting as it may be shown."""
    defaults = Settings()
    return [
        Setting(
            setting=name,
            value=_shown(name, _value(loaded.settings, name)),
            source={"file": str(file)}.get(source, source),
            changed=_value(loaded.settings, name) != _value(defaults, name),
        )
        for name, source in ((name, loaded.sources[name]) for name in names())
    ]


def print_settings(loaded: Loaded, file: Path | None, *, only_changed: bool, as_json: bool) -> None:
    settings = [one for one in configured(loaded, file) if one.changed or not only_changed]
    if as_json:
        for setting in settings:
            print_json(setting)
        return
    console = Console(highlight=False)
    console.print(f"[dim]{escape(f'read from {file}' if file else f'no {SETTINGS_FILE} here')}[/dim]", soft_wrap=True)
    print_table((Column("setting"), Column("value", may_cut=True), Column("from")), [_row(one) for one in settings])


def _row(setting: Setting) -> tuple[Cell, ...]:
    style = "bold cyan" if setting.changed else ""
    return Cell(setting.setting, style), Cell(_text(setting.value), style), Cell(setting.source, "dim")


def _value(settings: Settings, name: str) -> Any:
    section, field = name.split(".")
    return getattr(getattr(settings, section), field)


def _shown(name: str, value: Any) -> Any:
    if name in (SERVERS, PROXY):
        return redact_servers(value)
    return MASK if value and SECRET.search(name.partition(".")[2]) else value


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    if isinstance(value, dict):
        return ",".join(f"{name}={its}" for name, its in value.items())
    return f"{value:g}" if isinstance(value, float) else str(value)
