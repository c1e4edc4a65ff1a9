"""Settings as far as they can be used, and everything that is wrong with them: not only the first. Pure."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from schemas.errors import SettingInvalid
from schemas.settings import PREFIX, Loaded, environment_name, load, names
from tools.doctor.facts import WrongValue


def load_what_can_be(
    file: Mapping[str, Any], environment: Mapping[str, str], flags: Mapping[str, Any]
) -> tuple[Loaded, list[WrongValue]]:
    """The settings without the values that can't be used, and those."""
    known = names()
    wrong: list[WrongValue] = []
    good_file: dict[str, dict[str, Any]] = {}
    for section, values in file.items():
        if not isinstance(values, Mapping):
            wrong += _tried({section: values}, {})
            continue
        for field, value in values.items():
            name = f"{section}.{field}"
            if name not in known:
                wrong.append(WrongValue(f"downdraft.toml: there is no setting {name!r}", _nearest(name, known)))
            elif problems := _tried({section: {field: value}}, {}):
                wrong += problems
            else:
                good_file.setdefault(section, {})[field] = value
    good_environment: dict[str, str] = {}
    for name in known:
        variable = environment_name(name)
        if variable in environment:
            problems = _tried({}, {variable: environment[variable]})
            wrong += problems
            if not problems:
                good_environment[variable] = environment[variable]
    return load(good_file, good_environment, flags), wrong


def unknown_variables(environment: Iterable[str]) -> list[WrongValue]:
    """Variables that look like ours and are none."""
    known = [environment_name(name).removeprefix(PREFIX) for name in names()]
    found = []
    for variable in sorted(environment):
        name = variable.removeprefix(PREFIX)
        if variable.startswith(PREFIX) and name not in known:
            nearest = _nearest(name, known)  # without the prefix, by which all are alike
            found.append(WrongValue(f"{variable} is no setting and has no effect", nearest and PREFIX + nearest))
    return found


def _tried(file: Mapping[str, Any], environment: Mapping[str, str]) -> list[WrongValue]:
    try:
        load(file, environment)
    except SettingInvalid as error:
        return [WrongValue(str(error))]
    return []


def _nearest(name: str, known: Iterable[str]) -> str:
    return next(iter(difflib.get_close_matches(name, list(known), n=1)), "")
