"""Changing single fields of a policy as people type them. Pure; what a field may hold `schemas.policy` decides."""

import re
from collections.abc import Sequence
from copy import deepcopy
from typing import Any, NamedTuple

from schemas.errors import PolicyInvalid
from schemas.policy import OriginPolicy, OwnerPolicy, Policy
from schemas.sizes import format_size
from schemas.windows import describe, parse_window

Values = dict[str, Any]
"""A policy as plain values, as it stands in JSON."""

TEXTS = ("strategy", "spread_tag", "time_zone")
ENTRIES = {"owners": OwnerPolicy.__struct_fields__, "origins": OriginPolicy.__struct_fields__}
WINDOWS = "bandwidth"
WEIGHTS = "bin_pack_weights"
OPTIONS = "options"
NOT_SET = "not set"
NOTHING_THERE = "is not set: there is nothing to unset"

_NUMBER = re.compile(r"-?\d+(\.\d+)?\Z")


class Edits(NamedTuple):
    """What to change, as typed."""

    fields: Sequence[str] = ()
    """`strategy=spread`, `owners.alice.weight=2`"""
    owners: Sequence[str] = ()
    """`alice weight=2 queued=1000`"""
    origins: Sequence[str] = ()
    """`*.example.org running=4 bytes_per_s=20M`"""
    windows: Sequence[str] = ()
    """`Mon-Fri 08:00-18:00 20M`: added."""
    unset: Sequence[str] = ()
    """`owners.alice`, `origins.*.example.org.running`, `bandwidth.2`; done first."""


def edited(values: Values, edits: Edits) -> Values:
    """The policy with these changes. Raises PolicyInvalid."""
    after = deepcopy(values)
    # From the last window to the first, so that each number means what it meant when it was read.
    for path in sorted(edits.unset, key=_window_number, reverse=True):
        _unset(after, path)
    for section, sentences in (("owners", edits.owners), ("origins", edits.origins)):
        for sentence in sentences:
            for path, text in _sentence(section, sentence):
                _put(after, path, text)
    for field in edits.fields:
        path, equals, text = field.partition("=")
        if not equals:
            raise PolicyInvalid(field, "write it as field=value, such as strategy=spread")
        _put(after, path, text)
    for window in edits.windows:
        standing = after.setdefault(WINDOWS, [])
        if window not in standing:
            standing.append(window)
    return after


def _sentence(section: str, sentence: str) -> list[tuple[str, str]]:
    """`alice weight=2 queued=1000` as paths and values."""
    name, *fields = sentence.split() or [""]
    example = f"{section}: write it as {'alice weight=2' if section == 'owners' else '*.example.org running=4'}"
    if not name or "=" in name:
        raise PolicyInvalid(example, f"no name in {sentence!r}")
    if not fields:
        raise PolicyInvalid(f"{section}.{name}", f"nothing is said of it; there are: {', '.join(ENTRIES[section])}")
    parts = [field.partition("=") for field in fields]
    for field, equals, _ in parts:
        if not equals or field not in ENTRIES[section]:
            said = f"there is no such field of {section}; there are: {', '.join(ENTRIES[section])}"
            raise PolicyInvalid(f"{section}.{name}.{field}", said)
    return [(f"{section}.{name}.{field}", text) for field, _, text in parts]


def _put(values: Values, path: str, text: str) -> None:
    section, _, rest = path.partition(".")
    if path in TEXTS:
        values[path] = text
    elif section in ENTRIES:
        # A host name has dots of its own; the field is what follows the last one.
        name, _, field = rest.rpartition(".")
        if not name:
            raise PolicyInvalid(path, f"write {section}.NAME.FIELD=…; the fields are: {', '.join(ENTRIES[section])}")
        name = name.lower() if section == "origins" else name
        values.setdefault(section, {}).setdefault(name, {})[field] = _value(text)
    elif section == WEIGHTS and rest:
        values.setdefault(WEIGHTS, {})[rest] = _value(text)
    elif section == OPTIONS and rest:
        values.setdefault(OPTIONS, {})[rest] = text
    elif section == OPTIONS:
        raise PolicyInvalid(path, "write options.NAME=…, such as options.split=4")
    elif section == WINDOWS:
        raise PolicyInvalid(path, "add a window with --window, take it away with --unset bandwidth.N")
    else:
        raise PolicyInvalid(path, f"there is no such field; there are: {', '.join(Policy.__struct_fields__)}")


def _value(text: str) -> int | float | str:
    if not _NUMBER.match(text):
        return text
    return float(text) if "." in text else int(text)


def _window_number(path: str) -> int:
    section, _, number = path.partition(".")
    return int(number) if section == WINDOWS and number.isdecimal() else 0


def _unset(values: Values, path: str) -> None:
    section, _, rest = path.partition(".")
    part = values.get(section)
    if rest and isinstance(part, list):
        number = _window_number(path)
        if not 1 <= number <= len(part):
            raise PolicyInvalid(path, f"there are windows 1 to {len(part)}, as `downdraft policy show` counts them")
        del part[number - 1]
    elif rest and isinstance(part, dict):
        name, _, field = rest.rpartition(".")
        if rest in part:
            del part[rest]
        elif isinstance(part.get(name), dict) and field in part[name]:
            del part[name][field]
            if not part[name]:
                del part[name]
        else:
            raise PolicyInvalid(path, NOTHING_THERE)
    elif rest or part is None:
        raise PolicyInvalid(path, NOTHING_THERE)
    else:
        del values[section]
    if not values.get(section, True):
        del values[section]


def differences(before: Values, after: Values) -> list[tuple[str, str, str]]:
    """Each field that differs: its path, what it was and what it is; then windows that came or went."""
    was, now = _flat(before), _flat(after)
    fields = [
        (path, was.get(path) or _default(path), now.get(path) or _default(path))
        for path in sorted(was.keys() | now.keys())
        if was.get(path) != now.get(path)
    ]
    windows_were, windows_are = _windows(before), _windows(after)
    gone = [(WINDOWS, window, "taken away") for window in windows_were if window not in windows_are]
    return [*fields, *gone, *((WINDOWS, NOT_SET, window) for window in windows_are if window not in windows_were)]


_DEFAULTS = {
    "strategy": Policy().strategy,
    "time_zone": Policy().time_zone,
    f"{WEIGHTS}.bandwidth": f"{Policy().bin_pack_weights.bandwidth:g}",
    f"{WEIGHTS}.disk": f"{Policy().bin_pack_weights.disk:g}",
}


def _default(path: str) -> str:
    """What holds where a field is not set."""
    is_weight = path.startswith("owners.") and path.endswith(".weight")
    default = f"{OwnerPolicy().weight:g}" if is_weight else _DEFAULTS.get(path)
    return f"{default} (default)" if default else NOT_SET


def _windows(values: Values) -> list[str]:
    return [describe(parse_window(text)) for text in values.get(WINDOWS, ())]


def _flat(values: Values) -> dict[str, str]:
    """Every field that is set, by its path, as people read it; windows apart."""
    flat = {path: str(values[path]) for path in TEXTS if path in values}
    flat |= {f"{WEIGHTS}.{name}": f"{weight:g}" for name, weight in values.get(WEIGHTS, {}).items()}
    flat |= {f"{OPTIONS}.{name}": str(value) for name, value in values.get(OPTIONS, {}).items()}
    for section in ENTRIES:
        for name, entry in values.get(section, {}).items():
            flat |= {f"{section}.{name}.{field}": said(field, value) for field, value in entry.items()}
            if not entry:
                flat[f"{section}.{name}"] = "nothing of its own"
    return flat


def said(field: str, value: Any) -> str:
    """A value of an owner's or an origin's entry, for people."""
    if value is None:
        return ""
    if field == "bytes_per_s":
        return f"{format_size(value)}/s"
    return f"{value:g}" if field == "weight" else f"{value:,}"
