"""Nodes: how each stands, and what operators decide about one."""

from http import HTTPStatus
from typing import Annotated

import anyio
import msgspec
from litestar import get, patch, post
from litestar.params import FromPath, JSONBody
from msgspec import UNSET, Meta, Struct, UnsetType

from gateway.problems import ProblemError
from gateway.readmodel.nodehistory import NodeSample
from gateway.rest.asking import AGAIN_AFTER_S, Amount, Asked, bytes_of, client_of, gateway_of, settled
from schemas.apikey import Scope
from schemas.control import NodesReply, NodeView, Steer, UnheardNode
from schemas.errors import RequestInvalid
from schemas.ids import is_node_id
from schemas.nodes import NO_LIMIT, REASON_CHARS_MAX, TAGS_MAX, Slots
from schemas.orders import NodeChange, NodeOrder, Ordered
from schemas.settings import NodeTag

Tags = Annotated[tuple[NodeTag, ...], Meta(max_length=TAGS_MAX)]


class NodeReason(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    reason: Annotated[str, Meta(max_length=REASON_CHARS_MAX)] = ""
    """Why, for people."""


class NodeDrain(NodeReason, frozen=True, kw_only=True, forbid_unknown_fields=True):
    now: bool = False
    """What runs is given back too, and goes on elsewhere."""


class NodePatch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to set from now on; what is left out stays as it is, null means as the node's own settings say."""

    slots: Slots | UnsetType | None = UNSET
    tags: Tags | UnsetType | None = UNSET
    """All of them."""
    add_tags: Tags = ()
    remove_tags: Tags = ()
    download_limit: Amount | UnsetType | None = UNSET
    """Bytes a second over all its downloads; null or 0: no limit of its own."""
    upload_limit: Amount | UnsetType | None = UNSET
    """Bytes a second that its torrents may send; null or 0: no limit."""
    paused: bool | None = None
    """Stop what runs and let it go on later, there; or go on."""


@get("/nodes", opt={"scope": Scope.READ}, tags=["nodes"])
async def list_nodes(request: Asked) -> NodesReply:
    """Every node that was heard, and those about which something is decided all the same."""
    return await client_of(request).ask("nodes", Steer(), NodesReply)


@get("/nodes/{node:str}", opt={"scope": Scope.READ}, tags=["nodes"])
async def show_node(request: Asked, node: FromPath[str]) -> NodeView | UnheardNode:
    """One node."""
    return await _find(request, node)


class NodeSamples(Struct, frozen=True):
    samples: tuple[NodeSample, ...]
    """One every ten seconds while it was heard, ten minutes back at most; the oldest first."""


@get("/nodes/{node:str}/history", opt={"scope": Scope.READ}, tags=["nodes"])
async def show_node_history(request: Asked, node: FromPath[str]) -> NodeSamples:
    """How a node stood in the last ten minutes, as far as this gateway has heard it."""
    samples = gateway_of(request).model.live.nodes.of(node)
    if not samples:
        await _find(request, node)
    return NodeSamples(samples)


@post("/nodes/{node:str}/cordon", opt={"scope": Scope.ADMIN}, status_code=200, tags=["nodes"])
async def cordon(request: Asked, node: FromPath[str], data: JSONBody[NodeReason | None] = None) -> Ordered:
    """Give a node nothing new; what it holds goes on."""
    return await _order(request, node, "cordon", NodeOrder(reason=data.reason if data else ""))


@post("/nodes/{node:str}/uncordon", opt={"scope": Scope.ADMIN}, status_code=200, tags=["nodes"])
async def uncordon(request: Asked, node: FromPath[str]) -> Ordered:
    """Give a node tasks again: after cordon or drain, or one that is set aside."""
    return await _order(request, node, "uncordon", NodeOrder())


@post("/nodes/{node:str}/drain", opt={"scope": Scope.ADMIN}, status_code=200, tags=["nodes"])
async def drain(request: Asked, node: FromPath[str], data: JSONBody[NodeDrain | None] = None) -> Ordered:
    """Empty a node: nothing new goes there, what waits goes elsewhere, what runs is finished."""
    asked = data or NodeDrain()
    return await _order(request, node, "drain", NodeOrder(reason=asked.reason, now=asked.now))


@patch("/nodes/{node:str}", opt={"scope": Scope.ADMIN}, tags=["nodes"])
async def change_node(request: Asked, node: FromPath[str], data: JSONBody[NodePatch]) -> Ordered:
    """Set a node's slots, tags and limits while it runs, or pause it. It holds whatever restarts."""
    if data == NodePatch():
        raise ProblemError(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "say what to set: slots, tags, add_tags, remove_tags, download_limit, upload_limit or paused",
        )
    has_now = await _tags_of(request, node) if isinstance(data.tags, tuple) else ()
    if (order := asked_of(data, has_now)).is_empty:
        return Ordered(node, True, f"tags {','.join(has_now) or 'none'} already")
    return await _order(request, node, "configure", order)


def asked_of(change: NodePatch, has_now: tuple[str, ...]) -> NodeChange:
    """What the coordinator is asked for a change to a node that has these tags now. Pure. Raises RequestInvalid."""
    add, remove = change.add_tags, change.remove_tags
    if change.tags is not UNSET and (add or remove):
        raise RequestInvalid("tags", "is all of them: leave out add_tags and remove_tags")
    if isinstance(change.tags, tuple):
        add = tuple(tag for tag in change.tags if tag not in has_now)
        remove = tuple(tag for tag in has_now if tag not in (change.tags or ()))
    asked = {
        "slots": change.slots if isinstance(change.slots, int) else None,
        "own_slots": change.slots is None,
        "add_tags": add,
        "remove_tags": remove,
        "own_tags": change.tags is None,
        "download_limit": _limit("download_limit", change.download_limit),
        "upload_limit": _limit("upload_limit", change.upload_limit),
        "paused": change.paused,
    }
    try:
        order = msgspec.convert(asked, NodeChange)
    except msgspec.ValidationError as error:
        field = str(error).rpartition("$.")[2].rstrip("`")
        raise RequestInvalid(field, "is more than a node can keep to") from error
    order.check()
    return order


def _limit(field: str, asked: Amount | UnsetType | None) -> int | None:
    if asked is UNSET:
        return None
    return bytes_of(field, NO_LIMIT if asked is None else asked)


async def _tags_of(request: Asked, node: str) -> tuple[str, ...]:
    found = await _find(request, node)
    if found.wishes.tags is not None:
        return found.wishes.tags
    return found.heartbeat.tags if isinstance(found, NodeView) else ()


async def _find(request: Asked, node: str) -> NodeView | UnheardNode:
    """Raises ProblemError."""
    reply = await client_of(request).ask("nodes", Steer(), NodesReply)
    every: tuple[NodeView | UnheardNode, ...] = (*reply.nodes, *reply.unheard)
    for view in every:
        if view.node == node:
            return view
    if gateway_of(request).model.live.hears(node, anyio.current_time()):
        raise ProblemError(
            HTTPStatus.SERVICE_UNAVAILABLE,
            f"the coordinator leads since a moment ago and has not heard {node} yet: ask again",
            headers={"Retry-After": str(AGAIN_AFTER_S)},
        )
    raise ProblemError(HTTPStatus.NOT_FOUND, f"there is no node {node[:64]!r}: none of that name was heard")


async def _order(request: Asked, node: str, verb: str, asked: NodeOrder) -> Ordered:
    """Raises ProblemError where it was not done."""
    if not is_node_id(node):
        raise ProblemError(HTTPStatus.NOT_FOUND, f"{node[:64]!r} is no node: an id is 1 to 63 of a-z, 0-9 and '-'")
    reply = await gateway_of(request).client.order(verb, msgspec.structs.replace(asked, nodes=(node,)))
    [result] = reply.results
    settled(result)
    return result


ROUTES = [list_nodes, show_node, show_node_history, cordon, uncordon, drain, change_node]
