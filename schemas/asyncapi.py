"""The wire contract as an AsyncAPI 3.0 document: who may say what on which subject. Pure.

Written from the side of a program that joins the cluster: what it sends, and what it receives.
"""

import re
from typing import Any, NamedTuple

from schemas import __version__, contract
from schemas import subjects as s
from schemas.apikey import ApiKey
from schemas.event import KINDS
from schemas.heartbeat import Heartbeat, Progress
from schemas.lifecycle import Outcome
from schemas.nodes import NodeShare, NodeWishes
from schemas.policy import Policy
from schemas.request import Request
from schemas.task import TaskRow

VERSION = "3.0.0"
FINISHED = "finished"

PARAMETERS: dict[str, dict[str, Any]] = {
    "task": {"description": "Task id: 16 lower-case hex digits, the aria2 GID too.", "examples": ["0123456789abcdef"]},
    "owner": {"description": "Who asks: a-z, 0-9, '-' and '_'.", "examples": ["team-a"]},
    "caller": {"description": "An owner, who reaches only their own tasks, or `admin`.", "examples": ["admin"]},
    "node": {"description": "Node id: a-z, 0-9 and '-'.", "examples": ["attic"]},
    "key": {"description": "Id of an API key: the first part of it.", "examples": ["1a2b3c4d"]},
    "place": {"description": "Where the task stands: `queued`, or a node's id.", "examples": ["queued", "attic"]},
    "type": {
        "description": "What happened.",
        "enum": [kind for kind in KINDS if not kind.startswith(FINISHED)],
    },
    "outcome": {"description": "How the task ended.", "enum": [str(outcome) for outcome in Outcome]},
    "writer": {"description": "The node or coordinator that wrote it.", "examples": ["attic"]},
}


class Channel(NamedTuple):
    address: str
    says: str
    payloads: tuple[type, ...]


class Operation(NamedTuple):
    channel: str
    action: str
    """send, or receive."""
    role: str
    """Whose credentials it takes."""
    says: str


class Question(NamedTuple):
    """A verb of a service: its answer comes to an inbox of whoever asks."""

    address: str
    role: str
    verb: contract.Verb

    @property
    def answers(self) -> tuple[type, ...]:
        return tuple(dict.fromkeys((self.verb.answer, self.verb.refusal)))


def _of_events(finished: bool) -> tuple[type, ...]:
    return tuple(kind for tag, kind in contract.EVENTS.items() if tag.startswith(FINISHED) == finished)


def _events(write: bool, kind: str) -> str:
    build = s.event_write if write else s.event
    return build("{task}", kind, "{writer}")


CHANNELS: dict[str, Channel] = {
    "requests": Channel(s.REQUESTS, "The inbox of the owner `default`: one publish is one download.", (Request,)),
    "requestsOfOwner": Channel(s.requests("{owner}"), "The inbox of one owner.", (Request,)),
    "events": Channel(_events(False, "{type}"), "What happens to tasks, as stored.", _of_events(False)),
    "outcomes": Channel(
        _events(False, f"{FINISHED}.{{outcome}}"), "How each task ended: exactly one message a task.", _of_events(True)
    ),
    "progress": Channel(s.progress("{task}", "{node}"), "About one a second for each running transfer.", (Progress,)),
    "heartbeats": Channel(s.heartbeat("{node}"), "What a node says of itself every two seconds.", (Heartbeat,)),
    "rows": Channel(
        s.task("{place}", "{task}"),
        "The table as stored: where a live task stands, secrets included; an empty body says the row is gone.",
        (TaskRow,),
    ),
    "policy": Channel(s.bucket_news(s.POLICY_KEY), "The cluster's policy, as it was set just now.", (Policy,)),
    "wishes": Channel(
        s.bucket_news(s.node_settings_key("{node}")), "What was decided about a node just now.", (NodeWishes,)
    ),
    "shares": Channel(
        s.bucket_news(s.node_share_key("{node}")), "A node's share of the cluster's bandwidth.", (NodeShare,)
    ),
    "apiKeys": Channel(
        s.bucket_news(s.api_key_key("{key}")), "An API key of the gateway was made or revoked.", (ApiKey,)
    ),
    "writtenEvents": Channel(_events(True, "{type}"), "Where events are written; nobody hears it.", _of_events(False)),
    "writtenOutcomes": Channel(
        _events(True, f"{FINISHED}.{{outcome}}"), "Where outcomes are written; nobody hears it.", _of_events(True)
    ),
    "writtenRows": Channel(
        s.task_write("{place}", "{task}"),
        "Where rows are written, each under the sequence it replaces; nobody hears it.",
        (TaskRow,),
    ),
}

OPERATIONS: dict[str, Operation] = {
    "submit": Operation("requests", "send", "producer", "Ask for a download as the owner `default`."),
    "submitAsOwner": Operation("requestsOfOwner", "send", "producer", "Ask for a download."),
    "followEvents": Operation("events", "receive", "viewer", "Hear what happens to tasks."),
    "followOutcomes": Operation("outcomes", "receive", "viewer", "Hear how tasks end."),
    "followProgress": Operation("progress", "receive", "viewer", "Hear how far transfers are."),
    "followNodes": Operation("heartbeats", "receive", "viewer", "Hear the nodes."),
    "takeRows": Operation("rows", "receive", "node", "Hear what is placed here, and what is wished of it."),
    "takeWishes": Operation("wishes", "receive", "node", "Hear what is decided about it; an empty body: nothing more."),
    "takeShare": Operation("shares", "receive", "node", "Hear how much it may download."),
    "followKeys": Operation("apiKeys", "receive", "gateway", "Hear which keys open what."),
    "followPolicy": Operation("policy", "receive", "coordinator", "Hear what operators decide."),
    "report": Operation("writtenEvents", "send", "node", "Report what became of an attempt."),
    "complete": Operation("writtenOutcomes", "send", "node", "Report a whole file: a node writes `completed` only."),
    "tellProgress": Operation("progress", "send", "node", "Tell how far a transfer is."),
    "beat": Operation("heartbeats", "send", "node", "Tell of itself."),
    "place": Operation("writtenRows", "send", "coordinator", "Create, move or change a row by compare-and-set."),
}

QUESTIONS: dict[str, Question] = {
    **{
        f"control.{name}": Question(s.control("{caller}", name), "operator", verb)
        for name, verb in contract.CONTROL.items()
    },
    **{
        f"files.{name}": Question(s.node_verb("{node}", name), "gateway", verb) for name, verb in contract.FILES.items()
    },
}

_HEADERS: dict[str, dict[str, str]] = {
    "Request": {s.MESSAGE_ID: "The producer's id of this request, where its body has no `id`."},
    **{
        kind.__name__: {s.SEQUENCE: "Its sequence in EVENTS.", s.LAST_SEQUENCE: "That of the one before: shows gaps."}
        for kind in contract.EVENTS.values()
    },
    "TaskRow": {s.SEQUENCE: "Its sequence in TASKS."},
    **{kind.__name__: {s.SEQUENCE: "Its revision."} for kind in (Policy, NodeWishes, NodeShare, ApiKey)},
}


def document(server: str = "localhost:4222") -> dict[str, Any]:
    """The AsyncAPI document; `server` is the broker's host and port."""
    told = {kind for channel in CHANNELS.values() for kind in channel.payloads}
    asked = {kind for question in QUESTIONS.values() for kind in (question.verb.query, *question.answers)}
    kinds = sorted(told | asked, key=lambda kind: kind.__name__)
    _, schemas = contract.components([kind for kind in kinds if kind is not bytes], "#/components/schemas/{name}")
    return {
        "asyncapi": VERSION,
        "info": {
            "title": "Downdraft",
            "version": __version__,
            "description": "A distributed download cluster over NATS JetStream: publish requests, hear what becomes "
            "of them. Unknown fields and unknown event types are to be passed over.",
            "license": {"name": "MIT"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "broker": {
                "host": server,
                "protocol": "nats",
                "description": "The cluster's nats-server, with JetStream; put in your own host and port.",
                "security": [{"$ref": "#/components/securitySchemes/credentials"}],
            }
        },
        "channels": _channels(),
        "operations": _operations(),
        "components": {
            "messages": {kind.__name__: _message(kind.__name__, schemas) for kind in kinds},
            "schemas": schemas,
            "parameters": PARAMETERS,
            "securitySchemes": {
                "credentials": {
                    "type": "asymmetricEncryption",
                    "description": "A .creds file of the role that the operation's tag names (`downdraft keys`).",
                }
            },
        },
    }


def _channels() -> dict[str, Any]:
    asked = {name: Channel(asked.address, asked.verb.says, (asked.verb.query,)) for name, asked in QUESTIONS.items()}
    answers = {
        _answer(name): {
            "address": None,
            "description": "The reply subject of the request: an inbox of the caller's own.",
            "messages": _carried(question.answers),
        }
        for name, question in QUESTIONS.items()
    }
    return {name: _channel(channel) for name, channel in (CHANNELS | asked).items()} | answers


def _answer(question: str) -> str:
    return f"{question}.answer"


def _channel(channel: Channel) -> dict[str, Any]:
    names = re.findall(r"\{(\w+)\}", channel.address)
    parameters = {name: {"$ref": f"#/components/parameters/{name}"} for name in names}
    return {
        "address": channel.address,
        "description": channel.says,
        "messages": _carried(channel.payloads),
        **({"parameters": parameters} if parameters else {}),
    }


def _carried(payloads: tuple[type, ...]) -> dict[str, Any]:
    return {kind.__name__: {"$ref": f"#/components/messages/{kind.__name__}"} for kind in payloads}


def _operations() -> dict[str, Any]:
    told = {name: _operation(one, CHANNELS[one.channel].payloads) for name, one in OPERATIONS.items()}
    for name, question in QUESTIONS.items():
        told[name] = _operation(Operation(name, "send", question.role, question.verb.says), (question.verb.query,))
        told[name]["reply"] = {
            "channel": {"$ref": f"#/channels/{_answer(name)}"},
            "messages": _listed(_answer(name), question.answers),
        }
    return told


def _operation(operation: Operation, payloads: tuple[type, ...]) -> dict[str, Any]:
    return {
        "action": operation.action,
        "channel": {"$ref": f"#/channels/{operation.channel}"},
        "summary": operation.says,
        "tags": [{"name": operation.role}],
        "messages": _listed(operation.channel, payloads),
    }


def _listed(channel: str, payloads: tuple[type, ...]) -> list[dict[str, str]]:
    return [{"$ref": f"#/channels/{channel}/messages/{kind.__name__}"} for kind in payloads]


def _message(name: str, schemas: dict[str, Any]) -> dict[str, Any]:
    if name not in schemas:
        return {"name": name, "summary": "A part of a file, as it is.", "contentType": "application/octet-stream"}
    told: dict[str, Any] = {"name": name, "payload": {"$ref": f"#/components/schemas/{name}"}}
    if says := schemas[name].get("description"):
        told["summary"] = says
    if headers := _HEADERS.get(name):
        properties = {header: {"type": "string", "description": text} for header, text in headers.items()}
        told["headers"] = {"type": "object", "properties": properties}
    return told
