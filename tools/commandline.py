"""How the command line looks and answers: help in colour without loading rich, other names for commands.

Typer's own help draws boxes with rich, which costs more time than everything else that `--help` does.
"""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from inspect import cleandoc
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

ALIASES = {"create": "submit", "tasks": "ls", "workers": "nodes", "status": "stats", "prioritize": "prioritise"}
"""What people may type who come from other tools; these names are listed and completed nowhere else."""
EXAMPLES = ("Example:", "Examples:")
COLUMNS_MAX = 100
"""Longer lines are tiring to read."""
METAVARS = {"<str>": "TEXT", "<path>": "PATH", "<int range>": "N", "<int>": "N", "<float>": "N"}
"""What typer calls a value, and what we call it."""
DATE_FORMATS = re.compile(r"<%.*>")
TERM_COLUMN_MAX = 34
"""Options longer than this have their explanation on the next line."""


def colour() -> bool | None:
    """False where nobody wants colour; None: wherever the output is a terminal."""
    return False if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" else None


class Command(TyperCommand):
    """A command whose help ends with its examples as they are typed, unwrapped."""

    def format_usage(self, ctx: Any, formatter: Any) -> None:
        _write_usage(self, ctx, formatter)

    def format_help_text(self, ctx: Any, formatter: Any) -> None:
        text = cleandoc(self.help or "")
        others = [f"`downdraft {other}`" for other, name in ALIASES.items() if name == self.name]
        if others:
            summary, _, rest = text.partition("\n\n")
            text = f"{summary}\n\nAlso: {', '.join(others)}.\n\n{rest}"
        for paragraph in filter(None, text.split("\n\n")):
            if paragraph.startswith("    "):
                formatter.write(f"  {typer.style(paragraph.strip(), fg='cyan')}\n")
            else:
                formatter.write("\n")
                formatter.write_text(_heading(paragraph) if paragraph in EXAMPLES else paragraph)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        _write_parameters(self, ctx, formatter)


class Commands(TyperGroup):
    """The group of all commands: listed by family, found by their other names too."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        return super().get_command(ctx, cmd_name) or super().get_command(ctx, ALIASES.get(cmd_name, cmd_name))

    def format_usage(self, ctx: Any, formatter: Any) -> None:
        _write_usage(self, ctx, formatter)

    def format_help_text(self, ctx: Any, formatter: Any) -> None:
        formatter.write_paragraph()
        formatter.write_text(cleandoc(self.help or ""))

    def format_options(self, ctx: Any, formatter: Any) -> None:
        self.format_commands(ctx, formatter)
        _write_parameters(self, ctx, formatter)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        families: dict[str, list[tuple[str, str]]] = {}
        longest = max(map(len, self.commands))
        for name, command in self.commands.items():
            if not command.hidden:
                summary = cleandoc(command.help or "").partition("\n\n")[0].replace("\n", " ")
                family = getattr(command, "rich_help_panel", None) or "Commands"
                families.setdefault(family, []).append((f"{name:{longest}}", summary))
        for family, rows in families.items():
            with _section(formatter, family):
                formatter.write_dl([(typer.style(name, fg="cyan"), summary) for name, summary in rows])

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        if self.epilog:
            title, _, lines = cleandoc(self.epilog).partition("\n")
            with _section(formatter, title.rstrip(":")):
                for line in lines.splitlines():
                    formatter.write(f"  {line.strip()}\n")


class App(typer.Typer):
    """Typer with these commands instead of its own."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        context = {"help_option_names": ["-h", "--help"], "max_content_width": COLUMNS_MAX, "color": colour()}
        super().__init__(*arguments, cls=Commands, rich_markup_mode=None, context_settings=context, **settings)

    def command(self, *arguments: Any, **settings: Any) -> Callable[[Any], Any]:
        return super().command(*arguments, **{"cls": Command} | settings)


def _heading(text: str) -> str:
    return typer.style(text, fg="green", bold=True)


@contextmanager
def _section(formatter: Any, title: str) -> Iterator[None]:
    with formatter.section(_heading(title)):
        yield


def _write_usage(command: Any, ctx: Any, formatter: Any) -> None:
    pieces = " ".join(command.collect_usage_pieces(ctx))
    formatter.write_usage(typer.style(ctx.command_path, bold=True), pieces, prefix=_heading("Usage:") + " ")


def _write_parameters(command: Any, ctx: Any, formatter: Any) -> None:
    """Arguments and options in two columns."""
    records = [(each.param_type_name, each.get_help_record(ctx)) for each in command.get_params(ctx)]
    for title, kind in (("Arguments", "argument"), ("Options", "option")):
        rows = [(_term(record[0]), record[1]) for of, record in records if of == kind and record is not None]
        if rows:
            widest = max((len(term) for term, _ in rows if len(term) <= TERM_COLUMN_MAX), default=TERM_COLUMN_MAX)
            with _section(formatter, title):
                formatter.write_dl([(typer.style(term, fg="cyan"), text) for term, text in rows], col_max=widest)


def _term(term: str) -> str:
    """An option and the name of its value."""
    for theirs, ours in METAVARS.items():
        term = term.replace(theirs, ours)
    return DATE_FORMATS.sub("DATE", term)
