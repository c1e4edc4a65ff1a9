"""JSON on the wire and back: one encoder, typed decoders, readable errors."""

import re
from collections.abc import Hashable
from functools import cache
from typing import Any, TypeVar, cast

import msgspec

T = TypeVar("T")

_encoder = msgspec.json.Encoder(order="deterministic")
_WHERE = re.compile(r"^(?P<what>.*?)(?: - at (?P<key>`key` in )?`\$\.?(?P<where>.*)`)?$", re.DOTALL)


@cache
def _decoder(kind: Hashable) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


def encode(value: Any) -> bytes:
    return _encoder.encode(value)


def decode(body: bytes, kind: type[T]) -> T:
    """Decode JSON into `kind`. Raises msgspec.ValidationError or msgspec.DecodeError."""
    decoded: T = _decoder(cast(Hashable, kind)).decode(body)
    return decoded


def explain(error: msgspec.MsgspecError) -> tuple[str, str]:
    """Split a msgspec error into (field path, what is wrong); the path is '' for the whole body."""
    found = _WHERE.match(str(error))
    if found is None:  # pragma: no cover - the pattern matches any text
        return "", str(error)
    what = found["what"].replace("`", "")
    return (found["where"] or "").strip("."), f"a name in it: {what}" if found["key"] else what
