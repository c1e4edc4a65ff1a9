"""Where a command finds its settings and its cluster: flags, environment, `downdraft.toml`, the nearest `up.json`."""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from schemas import codec
from schemas.errors import SettingInvalid
from schemas.settings import Loaded, load

SETTINGS_FILE = "downdraft.toml"
UP_FILE = "up.json"
DATA_FOLDER = "downdraft-data"


class UpNats(Struct, frozen=True):
    url: str
    creds: dict[str, str]
    """Credentials file by role; a node's under its id."""


class UpGateway(Struct, frozen=True):
    url: str
    key: str


class Up(Struct, frozen=True):
    """`up.json`: how to reach a cluster that `downdraft up` runs on this machine."""

    nats: UpNats
    gateway: UpGateway | None
    pids: dict[str, int]


def settings_file(config: Path | None = None) -> Path | None:
    """The file that settings are read from: the one named, else downdraft.toml in this folder, if any."""
    return config or (Path(SETTINGS_FILE) if Path(SETTINGS_FILE).exists() else None)


def read_settings_file(file: Path | None) -> dict[str, Any]:
    """What a settings file holds; {} for none. Raises SettingInvalid."""
    if file is None:
        return {}
    try:
        return tomllib.loads(file.read_text())
    except OSError as error:
        raise SettingInvalid(f"can't read {str(file)!r}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingInvalid(f"{file}: {error}") from error


def load_settings(config: Path | None = None, flags: Mapping[str, Any] | None = None) -> Loaded:
    """Settings of this process. Raises SettingInvalid."""
    return load(read_settings_file(settings_file(config)), os.environ, flags)


def read_up(file: Path) -> Up | None:
    """What `file` tells; None where there is none that can be read."""
    try:
        return codec.decode(file.read_bytes(), Up)
    except (msgspec.MsgspecError, OSError):
        return None


def find_up_file(start: Path) -> tuple[Path, Up] | None:
    """The nearest `up.json`: in `start`, its data folder, or those of a folder above. And what it tells."""
    for folder in (start, *start.parents):
        for file in (folder / UP_FILE, folder / DATA_FOLDER / UP_FILE):
            if (up := read_up(file)) is not None:
                return file, up
    return None


def find_up(start: Path) -> Up | None:
    """What the nearest `up.json` tells."""
    found = find_up_file(start)
    return found[1] if found is not None else None


def locate(server: str | None, creds: str | None, role: str = "operator") -> tuple[str, str]:
    """(server URL, credentials file) for a command, from the flags, the environment or the nearest `up.json`.

    Raises SettingInvalid where there is none of them.
    """
    loaded = load_settings(flags={"nats.url": server, "nats.creds": creds})
    url, file = loaded.settings.nats.url, loaded.settings.nats.creds
    if loaded.sources["nats.url"] != "default":
        return url, file
    up = find_up(Path.cwd())
    if up is None:
        raise SettingInvalid(
            "which cluster? There is no up.json here or in a folder above: start one with `downdraft up`, "
            "or name one with --server and --creds (DOWNDRAFT_NATS_URL, DOWNDRAFT_NATS_CREDS)"
        )
    return up.nats.url, file or up.nats.creds[role]
