"""Settings: defaults < file < environment < flag, for every one of them, and bad values say where they are from."""

from typing import Annotated, Any, Literal, get_args, get_origin

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Meta

from schemas.errors import SettingInvalid
from schemas.settings import Settings, environment_name, load, names
from schemas.sizes import parse_size

NAMES = names()
UNBOUNDED = 1_000_000
ORIGINS = ["*", "https://page.example", "http://[::1]:8080"]
"""Good values of a list of origins."""


def plain(hint: Any) -> tuple[Any, Meta]:
    """A hint without its annotation, and the annotation."""
    if get_origin(hint) is Annotated:
        base, meta = get_args(hint)
        return base, meta
    return hint, Meta()


def values(hint: Any) -> st.SearchStrategy[Any]:
    """Good values of a setting's type, as TOML would hold them."""
    base, meta = plain(hint)
    if get_origin(base) is Literal:
        return st.sampled_from(get_args(base))
    if get_origin(base) is tuple:
        inner = get_args(base)[0]
        if get_origin(inner) is Literal:
            return st.lists(values(inner), max_size=3)
        if "https?" in (plain(inner)[1].pattern or ""):
            return st.lists(st.sampled_from(ORIGINS), max_size=3)
        return st.lists(values(Annotated[str, Meta(pattern=r"^[a-z][a-z0-9]{0,9}\Z")]), max_size=3)
    if base is str:
        return st.from_regex(meta.pattern, fullmatch=True) if meta.pattern else st.text(max_size=9)
    if base is bool:
        return st.booleans()
    if base is int:
        return st.integers(int(meta.ge or 0), int(meta.le or UNBOUNDED))
    if get_origin(base) is dict:
        return st.dictionaries(st.sampled_from(["split", "max-tries"]), st.integers(1, 9).map(str), max_size=2)
    assert base is float
    return st.floats(0.001, UNBOUNDED)


def as_text(value: Any) -> str:
    if isinstance(value, dict):
        return ",".join(f"{name}={one}" for name, one in value.items())
    return ",".join(value) if isinstance(value, list) else str(value)


def default_of(name: str) -> Any:
    return value_of(Settings(), name)


def value_of(settings: Settings, name: str) -> Any:
    section, field = name.split(".")
    found = getattr(getattr(settings, section), field)
    return list(found) if isinstance(found, tuple) else found


def in_file(name: str, value: Any) -> dict[str, Any]:
    section, field = name.split(".")
    return {section: {field: value}}


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=20)
@given(data=st.data())
def test_a_flag_beats_the_environment_beats_the_file_beats_the_default(name: str, data: st.DataObject) -> None:
    from_file, from_environment, from_flag = (data.draw(st.none() | values(NAMES[name])) for _ in range(3))
    loaded = load(
        file=None if from_file is None else in_file(name, from_file),
        environment=None if from_environment is None else {environment_name(name): as_text(from_environment)},
        flags={name: from_flag},
    )
    ranked = [
        ("flag", from_flag),
        (environment_name(name), from_environment),
        ("file", from_file),
        ("default", default_of(name)),
    ]
    source, value = next((source, value) for source, value in ranked if value is not None)
    assert value_of(loaded.settings, name) == value
    assert loaded.sources == dict.fromkeys(NAMES, "default") | {name: source}


NO_TABLES = [name for name, hint in NAMES.items() if get_origin(plain(hint)[0]) is not dict]


@pytest.mark.parametrize("name", NO_TABLES)
def test_a_bad_value_in_the_file_is_named_with_its_source(name: str) -> None:
    with pytest.raises(SettingInvalid, match=rf"^downdraft\.toml: {name} can't be {{'a': 1}}: Expected "):
        load(file=in_file(name, {"a": 1}))


@pytest.mark.parametrize("name", NO_TABLES)
def test_a_bad_flag_is_named_with_its_source(name: str) -> None:
    with pytest.raises(SettingInvalid, match=rf"^the command line: {name} can't be {{'a': 1}}: Expected "):
        load(flags={name: {"a": 1}})


CHECKED = [name for name, hint in NAMES.items() if plain(hint)[0] is not str or plain(hint)[1].pattern]
FREE = {"node.allow_nets", "node.no_proxy", "gateway.webhook_nets"}
"""Any text is a list of texts; whoever uses them checks them."""


@pytest.mark.parametrize("name", sorted((set(CHECKED) & set(NO_TABLES)) - FREE))
def test_a_bad_text_in_the_environment_is_named_with_its_variable(name: str) -> None:
    variable = environment_name(name)
    with pytest.raises(SettingInvalid, match=rf"^{variable}: {name} can't be .*: (Expected|Invalid|not a size)"):
        load(environment={variable: "Not ok!"})


@pytest.mark.parametrize("name", NAMES)
def test_every_default_is_a_value_one_could_set(name: str) -> None:
    default = default_of(name)
    assert value_of(load(file=in_file(name, default)).settings, name) == default


def test_every_setting_has_an_environment_variable_of_its_own() -> None:
    assert len({environment_name(name) for name in NAMES}) == len(NAMES)


def test_an_unknown_setting_is_named_with_those_there_are() -> None:
    with pytest.raises(
        SettingInvalid, match=r"^downdraft\.toml: there is no setting 'node\.slot'; there are nats\.url, "
    ):
        load(file={"node": {"slot": 4}})


def test_a_section_must_be_a_table() -> None:
    with pytest.raises(SettingInvalid, match=r"'node' must be a table such as \[node\]"):
        load(file={"node": 4})


def test_variables_that_are_not_ours_are_left_alone() -> None:
    assert load(environment={"PATH": "/bin", "NODE_SLOTS": "x"}).settings == Settings()


def test_a_node_cannot_be_called_as_the_place_of_what_no_node_holds() -> None:
    with pytest.raises(SettingInvalid, match=r"node\.id can't be 'queued'"):
        load(flags={"node.id": "queued"})


def test_settings_survive_being_written_and_read() -> None:
    assert msgspec.json.decode(msgspec.json.encode(Settings()), type=Settings) == Settings()


@pytest.mark.parametrize("text", ["500K", "20M", "1G", "1073741824", "2GiB"])
def test_a_size_may_be_written_as_people_write_it(text: str) -> None:
    from_file = load(file={"node": {"disk_low": text}}).settings.node.disk_low
    from_environment = load(environment={"DOWNDRAFT_NODE_DISK_LOW": text}).settings.node.disk_low
    assert from_file == from_environment == parse_size(text)


def test_what_is_no_size_is_refused_by_name() -> None:
    with pytest.raises(SettingInvalid, match="can't be 'much': not a size"):
        load(environment={"DOWNDRAFT_NODE_DISK_LOW": "much"})


def test_a_bad_option_of_nodes_is_named_with_its_source() -> None:
    with pytest.raises(SettingInvalid, match=r"^downdraft\.toml: node\.options\.dir: "):
        load(file=in_file("node.options", {"dir": "/tmp"}))
