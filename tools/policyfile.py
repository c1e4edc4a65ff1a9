"""A whole policy as a file: read from JSON or TOML, written as TOML to be edited."""

import sys
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from schemas.errors import PolicyInvalid

STDIN = "-"


class Read(NamedTuple):
    values: dict[str, Any]
    revision: int | None
    """Of the policy that the file was made from, where it says so: as `policy show --json` prints it."""


def read_file(name: str) -> Read:
    """A policy from a file; `-`: from standard input. Raises PolicyInvalid."""
    where = "standard input" if name == STDIN else name
    try:
        text = sys.stdin.read() if name == STDIN else Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PolicyInvalid(where, f"can't be read: {getattr(error, 'strerror', None) or error}") from error
    return _parsed(text, where)


def _parsed(text: str, where: str) -> Read:
    try:
        if _is_list(text):
            raise PolicyInvalid(where, 'is a list; a policy is an object, such as {"strategy": "spread"}')
        if text.lstrip().startswith("{"):
            values = msgspec.json.decode(text, type=dict[str, Any])
        else:
            values = tomllib.loads(text)
    except (msgspec.MsgspecError, tomllib.TOMLDecodeError) as error:
        raise PolicyInvalid(where, f"is neither JSON nor TOML: {error}") from error
    if isinstance(values.get("policy"), dict):
        revision = values.get("revision")
        return Read(values["policy"], revision if isinstance(revision, int) else None)
    return Read(values, None)


def _is_list(text: str) -> bool:
    """Whether it is a list of JSON; `[owners.alice]` begins a table of TOML."""
    try:
        return isinstance(msgspec.json.decode(text), list)
    except msgspec.MsgspecError:
        return False


def as_toml(values: dict[str, Any], revision: int) -> str:
    """A policy as `read_file` takes it."""
    import tomli_w

    return f"# Revision {revision}. Change it, then: downdraft policy set --file …\n{tomli_w.dumps(values)}"
