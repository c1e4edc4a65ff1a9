"""`policy show` and `policy set`: the policy as tables, a change as what was and what is."""

from collections.abc import Iterable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from rich.console import Console

from broker import policyclient
from broker.cluster import Client
from broker.policyclient import Edit
from schemas import codec
from schemas.control import PolicyReply
from schemas.origins import OTHERS
from schemas.policy import OwnerPolicy, Policy, stored_policy
from schemas.windows import describe
from tools.looking import print_json
from tools.policyedit import differences, said
from tools.policyfile import as_toml
from tools.tables import Cell, Column, print_table

ABOUT = (Column("what"), Column("value", may_cut=True), Column("note", may_cut=True))
OWNERS = (Column("owner"), Column("weight", right=True), Column("queued", right=True), Column("running", right=True))
ORIGINS = (Column("origin"), Column("running", right=True), Column("speed", right=True))
WINDOWS = (Column("bandwidth", right=True), Column("when"), Column("note"))
OPTIONS = (Column("aria2 option"), Column("value"))
CHANGES = (Column("field"), Column("was", may_cut=True), Column(""), Column("is", may_cut=True))


async def show(client: Client, *, as_json: bool, toml: bool) -> None:
    """Print what stands. Raises Refused."""
    reply = await policyclient.read(client)
    if as_json:
        print_json(reply)
    elif toml:
        print(as_toml(reply.policy, reply.revision), end="")  # noqa: T201 - printing is what this is for
    else:
        _print_policy(reply)


def _print_policy(reply: PolicyReply) -> None:
    console = Console(highlight=False)
    policy = stored_policy(codec.encode(reply.policy)).policy
    print_table(ABOUT, _about(reply, policy), console, head=False)
    if policy.owners:
        console.print()
        print_table(OWNERS, [_owner(name, policy.owners[name]) for name in _in_order(policy.owners)], console)
    if policy.origins:
        console.print()
        rows = [
            (_name(name), Cell(said("running", its.running)), Cell(said("bytes_per_s", its.bytes_per_s)))
            for name, its in ((name, policy.origins[name]) for name in _in_order(policy.origins))
        ]
        print_table(ORIGINS, rows, console)
    if policy.options:
        console.print()
        print_table(
            OPTIONS, [(Cell(name), Cell(str(value))) for name, value in sorted(policy.options.items())], console
        )
    if policy.bandwidth:
        console.print()
        local = datetime.now(UTC).astimezone(ZoneInfo(policy.time_zone))
        windows = [
            (Cell(str(number)), Cell(describe(window)), Cell("holds now" if window.holds(local) else "", "green"))
            for number, window in enumerate(policy.windows, 1)
        ]
        print_table(WINDOWS, windows, console)


def _about(reply: PolicyReply, policy: Policy) -> list[tuple[Cell, ...]]:
    weights = policy.bin_pack_weights
    others = ", ".join(name for name in reply.strategies if name != policy.strategy)
    rows = [
        (
            "revision",
            str(reply.revision) if reply.revision else "none",
            "" if reply.revision else "nothing was ever set",
        ),
        ("strategy", policy.strategy, f"there are also {others}"),
    ]
    if policy.strategy == "bin-pack":
        rows.append(("bin-pack weights", f"bandwidth {weights.bandwidth:g}, disk {weights.disk:g}", ""))
    if policy.spread_tag:
        rows.append(("spread tag", policy.spread_tag, "" if policy.strategy == "spread" else "counts with spread only"))
    if policy.bandwidth:
        rows.append(("time zone", policy.time_zone, "of the bandwidth windows"))
    told: list[tuple[Cell, ...]] = [(Cell(what, "dim"), Cell(value), Cell(note, "dim")) for what, value, note in rows]
    if reply.problem:
        told.append((Cell("problem", "red"), Cell(reply.problem, "red"), Cell("")))
    return told


def _in_order(names: Iterable[str]) -> list[str]:
    """By name, all others last."""
    return sorted(names, key=lambda name: (name == OTHERS, name))


def _name(name: str) -> Cell:
    return Cell("* all others", "dim") if name == OTHERS else Cell(name)


def _owner(name: str, its: OwnerPolicy) -> tuple[Cell, ...]:
    return (_name(name), *(Cell(said(field, getattr(its, field))) for field in ("weight", "queued", "running")))


async def change(
    client: Client, edit: Edit, *, whole: bool, based_on: int | None, dry_run: bool, as_json: bool
) -> None:
    """Set what `edit` makes of the policy that stands, and print each field that changed.

    Raises PolicyInvalid, PolicyUnreadable, PolicyConflict, Refused.
    """
    changed = await policyclient.change(client, edit, whole=whole, based_on=based_on, dry_run=dry_run)
    if as_json:
        print_json({"before": changed.before, "after": changed.after, "revision": changed.revision, "dry_run": dry_run})
        return
    console = Console(highlight=False)
    rows = [
        (Cell(path), Cell(was, "red"), Cell("→", "dim"), Cell(now, "green"))
        for path, was, now in differences(changed.before, changed.after)
    ]
    if rows:
        print_table(CHANGES, rows, console, head=False)
    if dry_run:
        console.print("a dry run: nothing was set", style="dim")
    else:
        console.print(f"revision {changed.revision}" if rows else "nothing changes", style="dim")
