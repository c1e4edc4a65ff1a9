"""Deleting what a completed task brought: one file, or each of several and their folder with the last."""

from broker.connection import Connection
from broker.filestream import NodeFile, delete
from schemas.transfer import Deleted, Trouble
from schemas.view import TaskView

UNKNOWN = "its outcome tells no digest (node.sha256 is off), by which its node would know it: delete it there"


async def delete_files(connection: Connection, view: TaskView) -> Deleted:
    """Have its node delete each file that is still the very one; why not, where something stays. Raises NodeAway."""
    if not view.files:
        return await _delete_one(connection, NodeFile(view.node, view.task, view.path, view.bytes), view.digest)
    stay = []
    for one in view.files:
        file = NodeFile(view.node, view.task, one.path, one.bytes, view.path)
        outcome = await _delete_one(connection, file, one.digest)
        if not outcome.deleted and outcome.trouble is not Trouble.GONE:
            stay.append(f"{one.path}: {outcome.said}")
    if view.files_cut:
        stay.append(f"{view.files_cut} more, which the outcome does not name")
    if stay:
        more = f" and {len(stay) - 1} more" if len(stay) > 1 else ""
        return Deleted(deleted=False, said=f"{stay[0]}{more}")
    return Deleted(deleted=True, said=f"deleted with its {len(view.files)} files")


async def _delete_one(connection: Connection, file: NodeFile, digest: str) -> Deleted:
    """A node deletes nothing without a digest: somebody else's file of that name and size may lie there by now."""
    return await delete(connection, file, digest) if digest else Deleted(deleted=False, said=UNKNOWN)
