"""The cluster's policy: what operators decide at run time. Stored whole under one key; every part has a default."""

import re
from typing import Annotated, Any, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import Meta, field
from msgspec.structs import replace

from schemas import codec
from schemas.errors import PolicyInvalid, RequestInvalid
from schemas.ids import is_owner
from schemas.options import Value, check_defaults
from schemas.origins import OTHERS
from schemas.request import Tag
from schemas.sizes import parse_size
from schemas.unknown import Strict, unknown_names
from schemas.windows import EXAMPLE as WINDOW_EXAMPLE
from schemas.windows import Window, parse_window

ENTRIES_MAX = 1000
"""Owners, or origins, with an entry of their own: the policy is one message, read by every leader."""
WINDOWS_MAX = 100
RUNNING_MAX = 100_000
QUEUED_MAX = 100_000_000
PORT_MAX = 65_535
"""Of TCP (RFC 9293)."""

Weight = Annotated[float, Meta(ge=0.01, le=1000)]
Amount = int | str
"""Bytes; written with K, M, G or T of 1024 where people type, stored as a number."""
Running = Annotated[int, Meta(ge=1, le=RUNNING_MAX)]

_ORIGIN = re.compile(r"(\*\.)?([a-z0-9_-]+(\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])(:(?P<port>[0-9]{1,5}))?\Z")


class BinPackWeights(Strict, frozen=True):
    """What counts how much when a node is filled before the next."""

    bandwidth: Annotated[float, Meta(ge=0, le=1)] = 0.7
    disk: Annotated[float, Meta(ge=0, le=1)] = 0.3


class OwnerPolicy(Strict, frozen=True, omit_defaults=True):
    weight: Weight = 1.0
    """Owners share what is free in proportion to their weights."""
    queued: Annotated[int, Meta(ge=0, le=QUEUED_MAX)] | None = None
    """Tasks that may wait at once; a request beyond is rejected."""
    running: Running | None = None
    """Tasks that may stand at nodes at once; more wait."""


class OriginPolicy(Strict, frozen=True, omit_defaults=True):
    running: Running | None = None
    """Tasks that may download from one origin at once, in the whole cluster."""
    bytes_per_s: Amount | None = None
    """What the whole cluster may download from one origin in a second."""


class Policy(Strict, frozen=True, omit_defaults=True, kw_only=True):
    """Where it is set an unknown field is an error: passing it over would leave undone what an operator asked for."""

    strategy: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,63}\Z")] = "least-loaded"
    """Which of the nodes that could take a task should: a built-in one, or one that an installed package registers."""
    bin_pack_weights: BinPackWeights = BinPackWeights()
    spread_tag: Annotated[str, Meta(max_length=64)] = ""
    """`spread` goes evenly over the values of this tag first: `zone` for nodes tagged `zone=…`."""
    owners: Annotated[dict[str, OwnerPolicy], Meta(max_length=ENTRIES_MAX)] = field(default_factory=dict)
    """By owner; `*` for all others."""
    origins: Annotated[dict[str, OriginPolicy], Meta(max_length=ENTRIES_MAX)] = field(default_factory=dict)
    """By `host`, `host:port` or `*.suffix`; `*` for all others. The most exact entry counts, and for each origin."""
    bandwidth: Annotated[tuple[str, ...], Meta(max_length=WINDOWS_MAX)] = ()
    """`Mon-Fri 08:00-18:00 20M`: what the whole cluster may download in a second then. Of several the least counts."""
    time_zone: Annotated[str, Meta(max_length=64)] = "UTC"
    """Of the bandwidth windows."""
    options: dict[str, Value] = field(default_factory=dict)
    """aria2 options of each task that is placed from now on, below what its node and its request say."""

    def owner(self, owner: str) -> OwnerPolicy:
        return self.owners.get(owner) or self.owners.get(OTHERS) or _NO_OWNER_POLICY

    @property
    def aria2_options(self) -> dict[str, str]:
        """`options` as aria2 wants them; `checked` has made them text."""
        return {name: str(value) for name, value in self.options.items()}

    @property
    def windows(self) -> tuple[Window, ...]:
        return tuple(parse_window(text) for text in self.bandwidth)


_NO_OWNER_POLICY = OwnerPolicy()


class Stands(NamedTuple):
    """A policy as it was stored."""

    policy: Policy
    unknown: tuple[str, ...]
    """What a newer version put into it: names that no field of this one has."""


def decode_policy(body: bytes) -> Policy:
    """Decode and check a policy that somebody sets. Raises PolicyInvalid, which names the field and what to do."""
    policy = _decoded(body)
    for found in unknown_names(msgspec.json.decode(body), Policy):
        raise PolicyInvalid(found.where, found.said)
    return policy


def stored_policy(body: bytes) -> Stands:
    """Decode a policy that a process of whatever version stored. Raises PolicyInvalid."""
    policy = _decoded(body)
    return Stands(policy, tuple(found.where for found in unknown_names(msgspec.json.decode(body), Policy)))


def _decoded(body: bytes) -> Policy:
    try:
        return checked(codec.decode(body, Policy))
    except msgspec.ValidationError as error:
        raise _put_into_words(body, error) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise PolicyInvalid("", f"not JSON ({error})") from error


def policy_of(values: Any) -> Policy:
    """`decode_policy` for what is decoded already: a table of plain values."""
    return decode_policy(msgspec.json.encode(values))


def checked(policy: Policy) -> Policy:
    """Check what types can't say and bring it into its one stored form. Raises PolicyInvalid."""
    for owner in policy.owners:
        if owner != OTHERS and not is_owner(owner):
            raise PolicyInvalid(f"owners.{owner}", "is not an owner: use a-z, 0-9, '-' and '_', or '*' for all others")
    origins = _checked_origins(policy.origins)
    if policy.spread_tag and ("=" in policy.spread_tag or not msgspec_ok(policy.spread_tag, Tag)):
        raise PolicyInvalid("spread_tag", "write the part of a tag before its '=', such as zone")
    if not (policy.bin_pack_weights.bandwidth or policy.bin_pack_weights.disk):
        raise PolicyInvalid("bin_pack_weights", "bandwidth and disk can't both be 0: nothing would count")
    for index, text in enumerate(policy.bandwidth, 1):
        try:
            parse_window(text)
        except ValueError as error:
            raise PolicyInvalid(f"bandwidth.{index}", str(error)) from error
    try:
        ZoneInfo(policy.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        said = f"there is no time zone {policy.time_zone!r}; write one such as Europe/Berlin or UTC"
        raise PolicyInvalid("time_zone", said) from error
    try:
        options = check_defaults(policy.options)
    except RequestInvalid as error:
        raise PolicyInvalid(error.where, error.what) from error
    return replace(policy, origins=origins, options=dict(options))


def _checked_origins(entries: dict[str, OriginPolicy]) -> dict[str, OriginPolicy]:
    """By names in small letters. Raises PolicyInvalid."""
    origins: dict[str, OriginPolicy] = {}
    for pattern, limits in entries.items():
        where, name = f"origins.{pattern}", pattern.lower()
        found = _ORIGIN.match(name)
        if name != OTHERS and found is None:
            raise PolicyInvalid(where, "write a host, host:port, *.suffix, or '*' for all others")
        if found is not None and (port := found["port"]) and not (port[0] != "0" and int(port) <= PORT_MAX):
            raise PolicyInvalid(where, f"{port} is no port: write 1 to {PORT_MAX}, without leading zeros")
        if name in origins:
            raise PolicyInvalid(where, f"there is another entry for {name}: write both as one")
        origins[name] = _with_number(f"{where}.bytes_per_s", limits)
    return origins


def _put_into_words(body: bytes, error: msgspec.ValidationError) -> PolicyInvalid:
    where, what = codec.explain(error)
    where = _with_entry(body, where)
    if where == "strategy" and "regex" in what:
        return PolicyInvalid(where, "is no name of a strategy: those are of a-z, 0-9 and '-'")
    if " of length " in what:
        return PolicyInvalid(where, f"is too long: {what.rpartition(' ')[2]} are the most")
    where = re.sub(r"^bandwidth\[(\d+)\]", lambda found: f"bandwidth.{int(found[1]) + 1}", where)
    return PolicyInvalid(where, f"must be {_MUST_BE[_form(where)]}")


NAMED = ("owners", "origins", "options")
"""Parts whose fields are names."""
_LIMIT = "; leave it out for no limit"
_MUST_BE = {
    "": 'an object, such as {"strategy": "spread"}',
    "strategy": "the name of a strategy, such as spread",
    "spread_tag": "text: the part of a tag before its '=', such as zone",
    "time_zone": "text, such as Europe/Berlin",
    "bandwidth": f"a list of windows, such as {WINDOW_EXAMPLE!r}",
    "bandwidth.N": f"text, such as {WINDOW_EXAMPLE!r}",
    "owners": "an object: names of owners, each with its fields",
    "owners.NAME": "an object with its fields, such as weight",
    "owners.NAME.weight": "a number from 0.01 to 1000",
    "options": 'an object of aria2 options, such as {"split": 4}',
    "options.NAME": "what aria2 takes for it: text, a number, true or false",
    "owners.NAME.queued": f"a whole number from 0 to {QUEUED_MAX}{_LIMIT}",
    "owners.NAME.running": f"a whole number from 1 to {RUNNING_MAX}{_LIMIT}",
    "origins": "an object: names of origins, each with its fields",
    "origins.NAME": "an object with its fields, such as running",
    "origins.NAME.running": f"a whole number from 1 to {RUNNING_MAX}{_LIMIT}",
    "origins.NAME.bytes_per_s": f"bytes a second, such as 20M{_LIMIT}",
    "bin_pack_weights": "an object with bandwidth and disk",
    "bin_pack_weights.bandwidth": "a number from 0 to 1",
    "bin_pack_weights.disk": "a number from 0 to 1",
}
"""What may stand in each field."""


def _form(where: str) -> str:
    """A path with NAME for the name of an owner or origin, which may have dots of its own, and N for a number."""
    section, dot, rest = where.partition(".")
    if section == "bandwidth":
        return "bandwidth.N" if rest else section
    if section not in NAMED or not dot:  # a name may be empty, where nothing else is
        return where
    last = rest.rpartition(".")[2]
    return f"{section}.NAME.{last}" if f"{section}.NAME.{last}" in _MUST_BE else f"{section}.NAME"


def _with_entry(body: bytes, where: str) -> str:
    """`owners[...].weight` with the owner's name: of entries the decoder tells only that there is one."""
    section, found, rest = where.partition("[...]")
    if not found or section not in NAMED:
        return where
    for name, entry in msgspec.json.decode(body)[section].items():
        if not msgspec_ok({section: {name: entry}}, Policy):
            return f"{section}.{name}{rest}"
    return where


def msgspec_ok(value: Any, kind: Any) -> bool:
    """Whether a value is of a kind, as msgspec judges it."""
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return False
    return True


def _with_number(where: str, limits: OriginPolicy) -> OriginPolicy:
    if limits.bytes_per_s is None:
        return limits
    try:
        amount = parse_size(limits.bytes_per_s)
    except ValueError as error:
        raise PolicyInvalid(where, str(error)) from error
    if amount < 1:
        raise PolicyInvalid(where, "must be at least 1 byte a second; leave it out for no limit")
    return replace(limits, bytes_per_s=amount)
