"""Names that no field has. What a process of another version stored or sent is read without them; where people write,
a name in a `Strict` part is refused, for it is a wish that nobody would fulfil. Pure."""

from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

from msgspec import Struct, inspect


class Strict(Struct, frozen=True):
    """A part of what people write in which no name may be overlooked. Decoding overlooks it all the same, so that old
    and new versions can talk: whoever takes in what people write asks `unknown_names`."""


class Unknown(NamedTuple):
    where: str
    """Such as `owners.alice.wieght`."""
    known: tuple[str, ...]
    """The fields that there are."""

    @property
    def said(self) -> str:
        return f"there is no such field; there are: {', '.join(self.known)}"


def unknown_names(values: Any, kind: type[Struct]) -> Iterator[Unknown]:
    """Names in `Strict` parts that no field has, in plain values that decode as `kind`."""
    return _within(values, _told(kind), "")


@cache
def _told(kind: type[Struct]) -> inspect.Type:
    return inspect.type_info(kind)


def _within(values: Any, kind: inspect.Type, where: str) -> Iterator[Unknown]:
    match kind, values:
        case inspect.Metadata(type=inner), _:
            yield from _within(values, inner, where)
        case inspect.UnionType(types=types), _:
            for one in types:
                yield from _within(values, one, where)
        case inspect.StructType(cls=cls, fields=fields), dict():
            known = {field.encode_name: field.type for field in fields}
            for name, value in values.items():
                if name in known:
                    yield from _within(value, known[name], _path(where, name))
                elif issubclass(cls, Strict):
                    yield Unknown(_path(where, name), tuple(known))
        case inspect.DictType(value_type=inner), dict():
            for name, value in values.items():
                yield from _within(value, inner, _path(where, name))
        case ((inspect.ListType(item_type=inner) | inspect.VarTupleType(item_type=inner)), list()):
            for number, value in enumerate(values):
                yield from _within(value, inner, f"{where}[{number}]")


def _path(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name
