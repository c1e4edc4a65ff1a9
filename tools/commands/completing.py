"""What the shell offers on Tab. It must be quick and silent: nothing here asks the cluster."""


def states(incomplete: str) -> list[str]:
    """States a task can be filtered by."""
    from schemas.filter import Standing

    return [str(state) for state in Standing if state.startswith(incomplete)]


def nodes(incomplete: str) -> list[str]:
    """Nodes of the cluster that the nearest `up.json` describes; of others none are known here."""
    from pathlib import Path

    from tools.context import find_up

    up = find_up(Path.cwd())
    names = up.pids if up is not None else {}
    return sorted(name for name in names if name.startswith("node-") and name.startswith(incomplete))


def strategies(incomplete: str) -> list[str]:
    """Strategies that are installed here; elsewhere, where the coordinators run, there may be others."""
    from coordinator.strategies import names

    return [name for name in names() if name.startswith(incomplete)]


def policy_fields(incomplete: str) -> list[str]:
    """Fields of the policy up to their `=`; after `strategy=` the strategies."""
    field, equals, value = incomplete.partition("=")
    if equals:
        return [f"strategy={name}" for name in strategies(value)] if field == "strategy" else []
    starts = ("strategy=", "spread_tag=", "time_zone=", "bin_pack_weights.bandwidth=", "bin_pack_weights.disk=")
    return [start for start in (*starts, "owners.", "origins.") if start.startswith(incomplete)]
