"""Calls that the gateway and a real aria2c must answer alike, to the letter."""

import base64
from typing import Any

from tests.gateway.rpc import NOWHERE, UNKNOWN

SAME: list[tuple[str, tuple[Any, ...]]] = [
    *(("aria2." + method, ()) for method in ("tellStatus", "addUri", "pause", "changeGlobalOption", "addTorrent")),
    *(
        ("aria2." + method, (UNKNOWN,))
        for method in ("tellStatus", "pause", "unpause", "remove", "getFiles", "getUris")
    ),
    *(("aria2." + method, ("zz",)) for method in ("tellStatus", "forcePause", "forceRemove", "getPeers", "getServers")),
    *(("aria2." + method, (UNKNOWN,)) for method in ("getOption", "removeDownloadResult", "getServers")),
    ("aria2.tellStatus", ("",)),
    ("aria2.tellStatus", ("1" * 17,)),
    ("aria2.tellStatus", (5,)),
    ("aria2.addUri", ("x",)),
    ("aria2.addUri", ([],)),
    ("aria2.addUri", ([5],)),
    ("aria2.addUri", (["foo"],)),
    ("aria2.addUri", ([NOWHERE], 5)),
    ("aria2.addUri", ([NOWHERE], {}, "x")),
    ("aria2.addUri", ([NOWHERE], {}, -1)),
    *(
        ("aria2.addUri", ([NOWHERE], {name: value}))
        for name, value in (
            *(("split", "x"), ("split", "0"), ("max-connection-per-server", "64"), ("retry-wait", "601")),
            *(("timeout", "0"), ("continue", "maybe"), ("file-allocation", "zz"), ("proxy-method", "zz")),
            *(("max-download-limit", "5G"), ("min-split-size", "100"), ("pause", "maybe"), ("checksum", "md5=zz")),
            *(("gid", "abc"), ("follow-torrent", "zz"), ("select-file", "x"), ("seed-ratio", "-1")),
        )
    ),
    ("aria2.tellWaiting", ()),
    ("aria2.tellWaiting", (0,)),
    ("aria2.tellWaiting", (0, -1)),
    ("aria2.tellWaiting", ("0", 1)),
    ("aria2.tellStopped", (0, 0)),
    ("aria2.tellActive", (5,)),
    ("aria2.changeGlobalOption", ({"split": "z"},)),
    ("aria2.changeGlobalOption", ({"unheard-of": "z"},)),
    ("aria2.changeGlobalOption", ({"listen-port": "z", "disk-cache": "z", "max-download-result": "9"},)),
    ("aria2.changeGlobalOption", ({"log-level": "z"},)),
    ("aria2.changeGlobalOption", ({"max-concurrent-downloads": "0"},)),
    ("aria2.addTorrent", ("!!",)),
    ("aria2.addMetalink", (base64.b64encode(b"junk").decode(),)),
    ("aria2.pauseAll", ()),
    ("aria2.unpauseAll", ()),
    ("nope", ()),
    ("system.listMethods", ()),
    ("system.listNotifications", ()),
]
"""Methods and parameters."""
BODIES = [
    *(
        b"{",
        b"[]",
        b"1",
        b"1.5",
        b"",
        b"null",
        b"true",
        b'"a"',
        b"[1]",
        b" [] ",
        b'{"id":1}',
        b'{"method":"m"}',
        b'{"id":"x","method":5}',
    ),
    b'{"id":1,"method":"system.listMethods","params":{}}',
    b'[{"id":1,"method":"nope"},5,{"method":"x"}]',
    b'{"id":1,"method":"system.multicall","params":[]}',
    b'{"id":1,"method":"system.multicall","params":["token:s",[]]}',
    (
        b'{"id":1,"method":"system.multicall","params":[[{"methodName":"system.multicall"},5,{"a":1},'
        b'{"methodName":"aria2.getVersion"},{"methodName":"system.listNotifications"}]]}'
    ),
]
"""Envelopes."""
