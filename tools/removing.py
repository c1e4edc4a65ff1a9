"""`rm`: live tasks are cancelled, finished files are deleted on their nodes where that is asked for."""

from msgspec import Struct
from rich.console import Console
from rich.markup import escape

from broker.cluster import Client
from broker.filedeletion import delete_files
from schemas.errors import DowndraftError
from schemas.lifecycle import FINISHED, State
from schemas.sizes import format_size
from schemas.view import TaskView
from tools.looking import print_json
from tools.tables import printable

LOOKS_MAX = 2
"""A task may complete between the look at it and its cancelling: then it is looked at once more."""


class Removed(Struct, frozen=True, kw_only=True):
    """What became of one task, as `--json` prints it."""

    task: str
    ok: bool
    said: str
    node: str = ""
    """Where its finished file lies, or lay."""
    path: str = ""


async def files_of(client: Client, tasks: tuple[str, ...]) -> list[TaskView]:
    """The completed ones among the tasks: what `--files` would delete."""
    views = [(await client.show(task)).task for task in tasks]
    return [view for view in views if view is not None and view.state is State.COMPLETED]


def question(views: list[TaskView]) -> str:
    """What people are asked before files are deleted."""
    size = format_size(sum(view.bytes for view in views))
    count = sum(len(view.files) + view.files_cut or 1 for view in views)
    if len(views) == 1:
        several = f", {count} files" if views[0].files else ""
        return f"Delete {printable(views[0].path)} ({size}{several}) on {views[0].node}?"
    nodes = len({view.node for view in views})
    return f"Delete {count} files ({size}) on {nodes} node{'s' if nodes > 1 else ''}?"


async def remove_all(client: Client, tasks: tuple[str, ...], *, files: bool, as_json: bool) -> bool:
    """True where nothing is left of any of the tasks."""
    told = Console(highlight=False, soft_wrap=True)
    all_ok = True
    for task in dict.fromkeys(tasks):
        try:
            removed = await _remove(client, task, files=files)
        except DowndraftError as error:
            removed = Removed(task=task, ok=False, said=str(error))
        all_ok &= removed.ok
        if as_json:
            print_json(removed)
        else:
            mark = "[green]✓[/green]" if removed.ok else "[red]✗[/red]"
            told.print(f"{mark} {task}  {escape(printable(removed.said))}")
    return all_ok


async def _remove(client: Client, task: str, *, files: bool) -> Removed:
    said = "no such task"
    for _ in range(LOOKS_MAX):
        view = (await client.show(task)).task
        if view is None:
            break
        if view.state is State.COMPLETED:
            return await _remove_file(client, view, files=files)
        if view.state in FINISHED:
            said = f"it is {view.state} already: there is no file"
            break
        (result,) = (await client.steer("cancel", (task,))).results
        said = result.said
        if result.ok:
            return Removed(task=task, ok=True, said=said)
    return Removed(task=task, ok=False, said=said)


async def _remove_file(client: Client, view: TaskView, *, files: bool) -> Removed:
    where = f"{view.node}:{view.path}"
    if not files:
        ok, said = False, f"it is completed and {where} stays: `downdraft rm {view.task} --files` deletes the file"
    elif not client.may_reach_files:
        ok, said = False, f"these credentials may not delete {where}: use the operator's (--creds)"
    else:
        outcome = await delete_files(client.connection, view)
        ok = outcome.deleted
        said = f"{where} {outcome.said}" if ok else f"{where} was not deleted: {outcome.said}"
    return Removed(task=view.task, ok=ok, said=said, node=view.node, path=view.path)
