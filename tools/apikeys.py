"""What the commands of `downdraft key` do and print."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from rich.console import Console

from broker import apikeys
from broker.cluster import Client
from schemas.apikey import ApiKey, Scope
from tools.looking import age, print_json
from tools.tables import Cell, Column, print_table, printable

COLUMNS = (
    Column("key"),
    Column("owner"),
    Column("scopes"),
    Column("age", right=True),
    Column("note", drop=1, may_cut=True),
    Column("revoked", drop=2),
)


async def make_key(client: Client, owner: str, scopes: Sequence[str], note: str, *, as_json: bool) -> None:
    """Print a new key. Raises KeyInvalid."""
    unknown = sorted(set(scopes) - set(Scope))
    if unknown:
        raise apikeys.KeyInvalid(f"there is no scope {unknown[0]!r}: there are {', '.join(Scope)}")
    made = await apikeys.create(client.connection, owner, tuple(Scope(scope) for scope in scopes), note)
    if as_json:
        print_json({"key": made.secret, **_shown(made.key)})
        return
    print(made.secret, flush=True)  # noqa: T201 - it may be piped into a file
    Console(stderr=True, style="dim", soft_wrap=True, highlight=False).print(
        f"for {made.key.owner}, may {' and '.join(made.key.scopes)}; it is not shown again. "
        f"`downdraft key revoke {made.key.id}` ends it."
    )


async def print_keys(client: Client, *, everything: bool, as_json: bool) -> None:
    found = [key for key in await apikeys.read_all(client.connection) if everything or key.revoked is None]
    if as_json:
        for key in found:
            print_json(_shown(key))
        return
    if not found:
        Console().print("no API keys: `downdraft key create` makes one")
        return
    print_table(COLUMNS, [_row(key) for key in found])


async def revoke_keys(client: Client, ids: Sequence[str], *, as_json: bool) -> None:
    """Raises NoSuchKey."""
    for key_id in dict.fromkeys(ids):
        key = await apikeys.revoke(client.connection, key_id)
        if as_json:
            print_json(_shown(key))
        else:
            Console(highlight=False, soft_wrap=True).print(f"[green]✓[/green] {printable(key.id)}  revoked")


def _shown(key: ApiKey) -> dict[str, Any]:
    """Everything but the digest."""
    shown: dict[str, Any] = msgspec.to_builtins(key)
    del shown["digest"]
    return shown


def _row(key: ApiKey) -> tuple[Cell, ...]:
    now = datetime.now(UTC)
    gone = f"{age((now - key.revoked).total_seconds())} ago" if key.revoked else ""
    old = age((now - key.created).total_seconds())
    return Cell(key.id), Cell(key.owner), Cell(", ".join(key.scopes)), Cell(old), Cell(key.note), Cell(gone, "red")
