"""The calls of well-known clients of aria2, and the shapes of the answers that they get."""

import json
from collections.abc import Sequence
from typing import Any

from gateway.aria2rpc.defaults import OF_DOWNLOADS
from tests.gateway.rpc import NOWHERE, post

ARIANG_KEYS = [
    *("gid", "totalLength", "completedLength", "uploadSpeed", "downloadSpeed", "connections", "numSeeders", "seeder"),
    *("status", "errorCode", "verifiedLength", "verifyIntegrityPending", "files", "bittorrent", "infoHash"),
]
FORM: dict[str, Any] = {**OF_DOWNLOADS, "ftp-user": "anonymous", "ftp-passwd": "ARIA2USER@", "all-proxy": "", "out": ""}
ADD, GID, OPTIONS = "aria2.addUri", "<gid>", "<options>"
CLIENTS: dict[str, list[tuple[str, list[Any]]]] = {
    "AriaNg": [
        (ADD, [[NOWHERE], {"dir": "<dir>", "header": ["A: b", "C: d"], "split": "64", "pause": "true"}]),
        ("aria2.tellActive", [ARIANG_KEYS]),
        ("aria2.tellWaiting", [0, 1000, ARIANG_KEYS]),
        ("aria2.tellStopped", [-1, 1000, ARIANG_KEYS]),
        ("aria2.getGlobalStat", []),
        ("aria2.getOption", [GID]),
        ("aria2.changeOption", [GID, {"max-download-limit": "100K"}]),
        ("aria2.changeOption", [GID, {"max-connection-per-server": "8"}]),
        ("aria2.changePosition", [GID, 0, "POS_SET"]),
        ("aria2.forceRemove", [GID]),
        (ADD, [[NOWHERE], OPTIONS]),
        ("aria2.forcePause", [GID]),
        ("aria2.forceRemove", [GID]),
    ],
    "webui-aria2": [
        (ADD, [[NOWHERE], {"out": "{a}.bin", "split": 5, "bt-max-peers": "0", "pause": "true"}]),
        ("aria2.getOption", [GID]),
        ("aria2.getFiles", [GID]),
        ("aria2.changeOption", [GID, FORM | {"continue": True, "max-tries": 0, "seed-ratio": "1.0", "out": "{a}.bin"}]),
        ("aria2.changePosition", [GID, -1, "POS_CUR"]),
        ("aria2.remove", [GID]),
    ],
    "Aria2-Explorer": [
        (
            ADD,
            [
                [NOWHERE],
                {"header": ["Cookie: a=1; b", "User-Agent: x"], "referer": "http://r.e", "out": "a b", "pause": "true"},
            ],
        ),
        ("aria2.changeGlobalOption", [{}]),
        ("aria2.forceRemove", [GID]),
    ],
    "Persepolis": [
        (
            ADD,
            [
                [NOWHERE],
                {
                    "gid": "00000000000000cd",
                    "max-tries": "5",
                    "retry-wait": 0,
                    "timeout": 60,
                    "header": ["a=b"],
                    "out": "p",
                    "max-download-limit": "900K",
                    "split": "16",
                    "max-connection-per-server": "16",
                    "min-split-size": "1M",
                    "continue": "true",
                    "check-certificate": "false",
                    "pause": "true",
                },
            ],
        ),
        ("aria2.tellActive", [["gid", "status", "errorMessage", "dir", "files"]]),
        ("aria2.tellStatus", ["00000000000000cd", ["status", "connections", "dir", "totalLength", "files"]]),
        ("aria2.changeOption", ["00000000000000cd", {"max-download-limit": "10K"}]),
        ("aria2.pause", ["00000000000000cd"]),
        ("aria2.remove", ["00000000000000cd"]),
    ],
    "Motrix": [
        ("aria2.getVersion", []),
        (ADD, [[NOWHERE], {"gid": "00000000000000ce", "split": "128", "max-connection-per-server": "128"}]),
        (ADD, [[NOWHERE], {"gid": "00000000000000ce", "max-connection-per-server": "16", "pause": "true"}]),
        ("aria2.getUris", ["00000000000000ce"]),
        ("aria2.getPeers", ["00000000000000ce"]),
        ("aria2.getServers", ["00000000000000ce"]),
        ("aria2.changeUri", ["00000000000000ce", 1, [], []]),
        ("aria2.getDownloadResultCount", []),
        ("aria2.forceRemove", ["00000000000000ce"]),
        ("aria2.getSessionInfo", []),
    ],
}
"""The calls that their sources make, options and all; each adds something paused, or takes it away again."""


PASSED_OVER = frozenset({"node", "header", *OF_DOWNLOADS, *FORM})
"""Of Downdraft alone, never told, or told by name."""


def shape(value: Any) -> Any:
    """What kinds of values there are: an error and a plain answer are told apart to the letter."""
    if isinstance(value, dict):
        if "code" in value:
            return value
        told = {name: shape(one) for name, one in value.items() if name not in PASSED_OVER}
        return told | {"options": sorted(value.keys() & OF_DOWNLOADS.keys())}
    if isinstance(value, list):
        return [shape(one) for one in value[:1]]
    return value if value in ("OK", "waiting", "paused", "true", "false") else type(value)


async def replayed(url: str, secret: str, calls: Sequence[tuple[str, list[Any]]]) -> list[tuple[str, Any]]:
    """The shape of each answer, and what the later calls need of the earlier ones."""
    gid, options, told = "", dict[str, Any](), []
    folder = (await post(url, call_of(secret, "aria2.getGlobalOption", [])))[1]["result"]["dir"]
    for method, params in calls:
        fill: dict[str, Any] = {GID: gid, OPTIONS: {**options, "pause": "true"}}
        filled: list[Any] = [fill.get(one, one) if isinstance(one, str) else one for one in params]
        if method == ADD and filled[1].get("dir") == "<dir>":
            filled[1] = filled[1] | {"dir": folder}
        _, answer = await post(url, call_of(secret, method, filled))
        found = answer.get("result", answer.get("error"))
        if method == ADD and isinstance(found, str):
            gid = found
        if method == "aria2.getOption":
            options = found
        said = json.loads(json.dumps(found).replace(gid, GID)) if gid else found
        told.append((method, shape(said)))
    return told


def call_of(secret: str, method: str, params: list[Any]) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": "x", "method": method, "params": [f"token:{secret}", *params]}
