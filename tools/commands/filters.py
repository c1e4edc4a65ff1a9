"""The filter options that `ls` and the steering verbs share."""

import inspect
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tools.commands import completing

if TYPE_CHECKING:
    from schemas.filter import TaskFilter


def _many(flag: str, metavar: str, help_text: str, complete: Callable[[str], list[str]] | None = None) -> Any:
    return Annotated[
        list[str] | None,
        typer.Option(flag, metavar=metavar, help=f"{help_text} Repeatable.", autocompletion=complete),
    ]


def _one(flag: str, metavar: str, help_text: str) -> Any:
    return Annotated[str | None, typer.Option(flag, metavar=metavar, help=help_text)]


OPTIONS: dict[str, tuple[str, Any]] = {
    "state": (
        "states",
        _many(
            "--state",
            "STATE",
            "Is queued, assigned, active, paused, ending; or completed, failed, cancelled, rejected.",
            completing.states,
        ),
    ),
    "tag": ("tags", _many("--tag", "TAG", "Asks for nodes with this tag; with all of several.")),
    "label": ("labels", _many("--label", "NAME[=VALUE]", "Has this label; all of several.")),
    "owner": ("owners", _many("--owner", "OWNER", "Asked for by this owner.")),
    "node": ("nodes", _many("--node", "NODE", "On this node, or completed there.", completing.nodes)),
    "origin": ("origins", _many("--origin", "HOST", "From this host, host:port, or '*.suffix'.")),
    "text": ("text", _one("--text", "TEXT", "Found in id, name, address, reason or path.")),
    "since": (
        "since",
        _one("--since", "WHEN", "Submitted (once ended: finished) since: 10m, 2h, 3d, or a date and time."),
    ),
    "until": ("until", _one("--until", "WHEN", "Submitted (once ended: finished) before then.")),
}
"""By the command's parameter: the filter's field, and the option."""

Chosen = Mapping[str, Any]
"""Values as typed, by the filter's field; only those that were."""


def filtered(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the filter's options; it takes them all together as its argument `chosen`."""
    signature = inspect.signature(command, eval_str=True)
    own = [one for one in signature.parameters.values() if one.name != "chosen"]
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=option)
        for name, (_, option) in OPTIONS.items()
    ]

    @wraps(command)
    def with_options(**given: Any) -> None:
        typed = {field: given.pop(name) for name, (field, _) in OPTIONS.items()}
        command(**given, chosen={field: value for field, value in typed.items() if value not in (None, [])})

    del with_options.__wrapped__
    parameters = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in own]
    with_options.__signature__ = signature.replace(parameters=[*parameters, *added])  # type: ignore[attr-defined]
    with_options.__annotations__ = {one.name: one.annotation for one in (*parameters, *added)}
    return with_options


def filter_from(chosen: Chosen) -> "TaskFilter":
    """The filter that was typed. Raises typer.BadParameter."""
    import msgspec

    from schemas import codec
    from schemas.filter import Standing, filter_of
    from tools.moments import parse_moment

    conditions: dict[str, Any] = dict(chosen)
    if not conditions.get("text", "-"):
        # An unset variable of a script must not turn into "any".
        raise typer.BadParameter("it is empty", param_hint="--text")
    now = datetime.now(UTC).astimezone()
    for field in ("since", "until"):
        if field in conditions:
            try:
                conditions[field] = parse_moment(conditions[field], now)
            except ValueError as error:
                raise typer.BadParameter(str(error), param_hint=f"--{field}") from error
    try:
        conditions["states"] = [Standing(text) for text in conditions.get("states", ())]
    except ValueError as error:
        raise typer.BadParameter(f"{error}; there are {', '.join(Standing)}", param_hint="--state") from error
    try:
        return filter_of(**conditions)
    except msgspec.ValidationError as error:
        where, what = codec.explain(error)
        flag = next((f"--{name}" for name, (field, _) in OPTIONS.items() if where.startswith(field)), "the filter")
        raise typer.BadParameter(what, param_hint=flag) from error
