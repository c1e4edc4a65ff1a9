"""The lock files answer to pyproject.toml: `make lock` was not forgotten, and anybody can install from them."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

CHECKOUT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
RUNTIME = [Requirement(text) for text in PROJECT["project"]["dependencies"]]
DEVELOPMENT = [Requirement(text) for text in PROJECT["dependency-groups"]["dev"]]
PIN = re.compile(
    r"^(?P<name>[\w.-]+)==(?P<version>\S+)(?: ; [^\\]+)? \\\n(?P<hashes>(?:    --hash=\S+(?: \\)?\n)+)", re.MULTILINE
)


def pins(file: str) -> dict[str, str]:
    """Version by name."""
    return {found["name"]: found["version"] for found in PIN.finditer((CHECKOUT / file).read_text())}


@pytest.mark.parametrize(
    ("file", "wanted"),
    [("requirements.lock", RUNTIME + DEVELOPMENT), ("requirements-runtime.lock", RUNTIME)],
    ids=["everything", "runtime"],
)
def test_every_dependency_is_pinned_at_a_version_it_allows(file: str, wanted: list[Requirement]) -> None:
    pinned = pins(file)

    unmet = [
        str(requirement)
        for requirement in wanted
        if not requirement.specifier.contains(pinned.get(canonicalize_name(requirement.name), "0"), prereleases=True)
    ]
    assert unmet == [], "run `make lock`"


def test_the_runtime_lock_is_a_part_of_the_whole_one() -> None:
    assert pins("requirements-runtime.lock").items() < pins("requirements.lock").items()


@pytest.mark.parametrize("file", ["requirements.lock", "requirements-runtime.lock"])
def test_a_lock_holds_hashed_pins_and_nothing_of_the_machine_it_was_made_on(file: str) -> None:
    rest = PIN.sub("", (CHECKOUT / file).read_text())

    assert all(line.startswith("#") for line in rest.splitlines()), rest
    assert "/" not in rest
