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


def load_settings(config: Path | None = None, flags: Mapping[str, Any] | None = None) -> Loaded:
    """Settings of this process. Raises SettingInvalid."""
    file = config or Path(SETTINGS_FILE)
    tree: dict[str, Any] = {}
    if config is not None or file.exists():
        try:
            tree = tomllib.loads(file.read_text())
        except OSError as error:
            raise SettingInvalid(f"can't read {str(file)!r}: {error.strerror}") from error
        except tomllib.TOMLDecodeError as error:
            raise SettingInvalid(f"{file}: {error}") from error
    return load(tree, os.environ, flags)


def find_up(start: Path) -> Up | None:
    """The nearest `up.json`: in `start`, its data folder, or those of a folder above."""
    for folder in (start, *start.parents):
        for file in (folder / UP_FILE, folder / DATA_FOLDER / UP_FILE):
            if file.is_file():
                try:
                    return codec.decode(file.read_bytes(), Up)
                except (msgspec.MsgspecError, OSError):
                    continue
    return None


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
