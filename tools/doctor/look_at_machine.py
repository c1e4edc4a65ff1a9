"""Finding out about this machine: settings, programs, folders, which cluster, credentials."""

import os
import platform
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import psutil

from broker.binaries import ARIA2C_SETTING, NATS_SERVER_SETTING, BinaryMissing, find_aria2c, find_nats_server
from broker.credentials import CredentialsInvalid, read_identity
from schemas import __version__
from schemas.errors import SettingInvalid
from schemas.redact import redact_servers
from schemas.settings import Loaded
from tools.context import find_up_file, read_settings_file, settings_file
from tools.doctor.facts import (
    ClusterSeen,
    CredentialsSeen,
    FolderSeen,
    Known,
    Machine,
    Missing,
    ProgramSeen,
    SettingsSeen,
    Trouble,
    WrongValue,
)
from tools.doctor.lenient import load_what_can_be, unknown_variables
from tools.doctor.probing import looked

RUN_WITHIN_S = 4.0
"""Below what a look may take, so that a program that hangs is ended rather than left behind."""
CLOCK_GRAIN_S = 2.0
"""A process may seem this much younger than the up.json that lists it."""
ROLE = "operator"


class Target(NamedTuple):
    """How the cluster is to be reached, passwords included: never shown."""

    url: str
    creds: str
    data: Path | None
    """The data folder of a cluster of this machine."""
    server_pid: int = 0


async def look_at_machine(
    server: str | None, creds: str | None, config: Path | None
) -> tuple[Machine, Loaded, Target | None]:
    """What there is, the settings as far as they can be used, and the cluster that is meant, if any."""
    loaded, settings = read_settings(server, creds, config)
    target, cluster = choose(loaded, settings.file)
    nodes = loaded.settings.node
    folders = {"downloads": Path(nodes.downloads), "state": Path(nodes.state)}
    if target is not None and target.data is not None:
        folders = {"data": target.data} | folders
    file = target.creds if target is not None else ""
    machine = Machine(
        version=__version__,
        python=platform.python_version(),
        settings=settings,
        cluster=cluster,
        credentials=await looked(lambda: see_credentials(file), f"the file {file}")
        if target is not None
        else Missing(Trouble.SKIPPED, "no cluster"),
        programs=(
            await looked(
                lambda: see_program("nats-server", NATS_SERVER_SETTING, loaded.settings.nats.server_binary),
                "nats-server",
            ),
            await looked(lambda: see_program("aria2c", ARIA2C_SETTING, nodes.aria2_binary), "aria2c"),
        ),
        folders=tuple([await looked(_seer(what, path), f"the folder {path}") for what, path in folders.items()]),
    )
    return machine, loaded, target


def _seer(what: str, path: Path) -> Callable[[], FolderSeen]:
    return lambda: see_folder(what, path)


def read_settings(server: str | None, creds: str | None, config: Path | None) -> tuple[Loaded, SettingsSeen]:
    """The settings that can be used, and what is wrong with the others."""
    file = settings_file(config)
    wrong: list[WrongValue] = []
    try:
        tree = read_settings_file(file)
    except SettingInvalid as error:
        tree = {}
        wrong.append(WrongValue(str(error)))
    loaded, more = load_what_can_be(tree, os.environ, {"nats.url": server, "nats.creds": creds})
    seen = SettingsSeen(str(file or ""), (*wrong, *more), tuple(unknown_variables(os.environ)))
    return loaded, seen


def choose(loaded: Loaded, file: str) -> tuple[Target | None, Known[ClusterSeen]]:
    """The cluster a command run here would work with; see `tools.context.locate`."""
    nats, source = loaded.settings.nats, loaded.sources["nats.url"]
    if source != "default":
        named_by = {"file": file, "flag": "--server"}.get(source, source)
        return Target(nats.url, nats.creds, None), ClusterSeen(redact_servers(nats.url), named_by)
    found = find_up_file(Path.cwd())
    if found is None:
        return None, Missing(Trouble.SKIPPED, "there is no up.json here or in a folder above")
    path, up = found
    written = path.stat().st_mtime
    alive = {name: _runs(pid, written) for name, pid in up.pids.items()}
    seen = ClusterSeen(
        url=redact_servers(up.nats.url),
        source=str(path),
        up_file=str(path),
        alive=tuple(name for name, runs in alive.items() if runs),
        dead=tuple(f"{name} (pid {up.pids[name]})" for name, runs in alive.items() if not runs),
    )
    creds = nats.creds or up.nats.creds.get(ROLE, "")
    return Target(up.nats.url, creds, path.parent, up.pids.get("nats-server", 0)), seen


def _runs(pid: int, written: float) -> bool:
    """Whether the process that was listed at `written` runs still; another may have got its number since."""
    try:
        process = psutil.Process(pid)
        return process.create_time() < written + CLOCK_GRAIN_S and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.Error, ValueError):
        return False


def see_credentials(file: str) -> CredentialsSeen:
    if not file:
        return CredentialsSeen("")
    path = Path(file)
    try:
        identity = read_identity(path)
        mode = path.stat().st_mode & 0o777 if os.name == "posix" else None
    except (CredentialsInvalid, OSError) as error:
        return CredentialsSeen(file, error=str(error))
    except (ValueError, KeyError, TypeError):
        return CredentialsSeen(file, error=f"{file!r} is damaged: what it says of its user can't be decoded")
    role, name = (str(identity.role), identity.name) if identity is not None else ("", "")
    return CredentialsSeen(file, role=role, name=name, mode=mode)


def see_program(program: str, setting: str, named: str) -> ProgramSeen:
    """Where a binary is, and what it says of itself."""
    find = find_aria2c if program == "aria2c" else find_nats_server
    try:
        path = str(find(named))
    except BinaryMissing as error:
        return ProgramSeen(program, setting, named, error=str(error))
    try:
        done = subprocess.run(  # the path the settings name
            [path, "--version"], capture_output=True, text=True, timeout=RUN_WITHIN_S, check=True, errors="replace"
        )
    except (OSError, subprocess.SubprocessError) as error:
        return ProgramSeen(program, setting, named, path, error=f"{path} does not run: {error}")
    first = done.stdout.splitlines()[0] if done.stdout.strip() else ""
    return ProgramSeen(program, setting, named, path, version=first.split(" ")[-1].lstrip("v"), said=done.stdout)


def see_folder(what: str, path: Path) -> FolderSeen:
    """A folder, or where it does not exist yet the one it would be made in."""
    path = path.expanduser().absolute()
    standing = path
    while not standing.exists() and standing != standing.parent:
        standing = standing.parent
    usage = shutil.disk_usage(standing)
    return FolderSeen(
        what=what,
        path=str(path),
        exists=path.exists(),
        writable=standing.is_dir() and os.access(standing, os.W_OK | os.X_OK),
        free_bytes=usage.free,
        total_bytes=usage.total,
    )
