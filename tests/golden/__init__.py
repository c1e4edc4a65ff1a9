"""What each release writes, kept: `<version>/payloads.json` has one of every payload, with every field filled.

Before a release: `python -m tests.golden`, which writes those of this version; the older ones stay as they are.
"""

from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import Phase, find, settings
from hypothesis import strategies as st
from msgspec import inspect

from broker.lease import Holder
from schemas.apikey import ApiKey
from schemas.contract import PAYLOADS
from schemas.placing import PlacingRecord
from schemas.webhook import Webhook, WebhookState

FOLDER = Path(__file__).parent
STORED = {
    "api-key": ApiKey,
    "lease-holder": Holder,
    "placing-record": PlacingRecord,
    "webhook": Webhook,
    "webhook-state": WebhookState,
}
"""Values of the bucket that are no payload of the contract: the next version finds them there."""
KINDS: dict[str, Any] = {name: kind for name, kind in PAYLOADS.items() if name != "event"} | STORED
"""An event is there under its own type."""
MOMENT = "2026-11-23T12:00:00Z"


def filled(kind: Any) -> Any:
    """A payload of this type with something in every field, as JSON would have it."""
    return _of(inspect.type_info(kind))


def _of(kind: inspect.Type) -> Any:
    match kind:
        case inspect.Metadata(type=inner):
            return _of(inner)
        case inspect.StructType():
            named = {field.encode_name: _but(field.default, field.type) for field in kind.fields}
            return {kind.tag_field: kind.tag, **named} if kind.tag_field else named
        case inspect.UnionType(types=types):
            return _of(next(one for one in types if not isinstance(one, inspect.NoneType)))
        case inspect.DictType(key_type=key, value_type=value):
            return {_of(key): _of(value)}
        case inspect.ListType(item_type=item) | inspect.VarTupleType(item_type=item):
            return [_of(item)]
        case inspect.TupleType(item_types=items):
            return [_of(item) for item in items]
        case inspect.NamedTupleType(fields=fields):
            return [_of(field.type) for field in fields]
    return _plain(kind)


def _plain(kind: inspect.Type) -> Any:
    match kind:
        case inspect.StrType(pattern=str(pattern)):
            return _like(pattern)
        case inspect.StrType(min_length=least):
            return "x" * max(1, least or 0)
        case inspect.IntType(ge=least, gt=above, le=most) | inspect.FloatType(ge=least, gt=above, le=most):
            wanted = max(1, least or 0, (above or 0) + 1)
            return wanted if most is None else min(wanted, most)
        case inspect.BoolType():
            return True
        case inspect.EnumType(cls=cls):
            return next(iter(cls)).value
        case inspect.LiteralType(values=values):
            return values[0]
        case inspect.DateTimeType():
            return MOMENT
        case inspect.AnyType() | inspect.RawType():
            return "x"
    raise TypeError(f"no example of {kind}")


@cache
def _like(pattern: str) -> str:
    """The first that comes to mind is the plainest: to look for a plainer one takes seconds."""
    return find(st.from_regex(pattern, fullmatch=True), bool, settings=settings(database=None, phases=[Phase.generate]))


def _but(default: Any, kind: inspect.Type) -> Any:
    """Something else than the default, which may be left out on the wire."""
    match kind:
        case inspect.Metadata(type=inner):
            return _but(default, inner)
        case inspect.BoolType():
            return default is not True
        case inspect.EnumType(cls=cls):
            return next(one.value for one in cls if one is not default)
        case inspect.LiteralType(values=values):
            return next(value for value in values if value != default)
    found = _of(kind)
    return found + 1 if found == default and isinstance(found, int) else found


def write(version: str) -> Path:
    """Write the payloads of this version; the file."""
    folder = FOLDER / version
    folder.mkdir(exist_ok=True)
    file = folder / "payloads.json"
    examples = {name: filled(kind) for name, kind in sorted(KINDS.items())}
    file.write_bytes(msgspec.json.format(msgspec.json.encode(examples), indent=1) + b"\n")
    return file
