"""Why well-known aria2 options may not be set: each refusal says the reason, and what to do instead where there is."""

from collections.abc import Collection, Mapping
from difflib import get_close_matches

_PLACE = "the node decides where a file lies"
_PROXY = "a proxy is set by the node alone: the setting `node.upstream_proxy`"
_DISK = "how its disk is used is decided by the node"
_RESUME = "what is continued and what is overwritten is decided by the node, lest files are mixed"
_FOLLOW = "the field `kind` says what an address leads to"
_METALINK = "the node reads metalinks itself"
_LISTENS = "where it listens and whom it tells of itself is decided by the node"
_DAEMON = "it holds for a whole aria2c, which other tasks share"
_RUNS = "it would run a program on the node"
_READS = "it would read or write a file of the node beside the download"
_TRUST = "whom a node trusts is decided by the machine it runs on"
_MISSING = "what follows a failed try is decided by the cluster: the field `max_attempts`"

REASONS: Mapping[str, str] = {
    "all-proxy": _PROXY,
    "all-proxy-passwd": _PROXY,
    "all-proxy-user": _PROXY,
    "allow-overwrite": f"{_RESUME}; use the field `if_exists`",
    "allow-piece-length-change": _RESUME,
    "always-resume": "aria2 without it crashes at a server that can't resume",
    "async-dns": _DAEMON,
    "async-dns-server": _DAEMON,
    "auto-file-renaming": f"{_RESUME}; use the field `if_exists`",
    "auto-save-interval": _DAEMON,
    "bt-detach-seed-only": _DAEMON,
    "bt-enable-hook-after-hash-check": _RUNS,
    "bt-enable-lpd": _LISTENS,
    "bt-exclude-tracker": "name the trackers in the torrent itself",
    "bt-external-ip": _LISTENS,
    "bt-hash-check-seed": "what lies on the disk is always checked",
    "bt-load-saved-metadata": _READS,
    "bt-metadata-only": "submit the torrent behind a magnet link, not the link alone",
    "bt-remove-unselected-file": "what is not selected gets no place",
    "bt-save-metadata": _READS,
    "bt-seed-unverified": "what lies on the disk is always checked",
    "bt-stop-timeout": "when a download stands still is decided by the setting `node.stall_timeout_s`",
    "bt-tracker": "name the trackers in the torrent itself: the node looks where they lead",
    "ca-certificate": _TRUST,
    "certificate": _READS,
    "check-certificate": "an origin that can't show who it is could be anybody",
    "check-integrity": "what lies on the disk is checked where there is a digest",
    "checksum": "use the field `checksum`",
    "conditional-get": _RESUME,
    "conf-path": _READS,
    "content-disposition-default-utf8": "the node reads the name itself",
    "continue": _RESUME,
    "daemon": _DAEMON,
    "dht-file-path": _READS,
    "dht-listen-port": _LISTENS,
    "dir": "use the field `dir`",
    "disable-ipv6": _DAEMON,
    "disk-cache": _DAEMON,
    "dry-run": "a request is there to be carried out",
    "enable-dht": _LISTENS,
    "enable-mmap": _DISK,
    "enable-peer-exchange": _LISTENS,
    "enable-rpc": _LISTENS,
    "event-poll": _DAEMON,
    "file-allocation": _DISK,
    "follow-metalink": _FOLLOW,
    "follow-torrent": _FOLLOW,
    "force-save": _READS,
    "force-sequential": "submit a request for each file",
    "ftp-proxy": _PROXY,
    "ftp-proxy-passwd": _PROXY,
    "ftp-proxy-user": _PROXY,
    "gid": "the id is given by Downdraft; use the field `id` for your own",
    "hash-check-only": "a request is there to be carried out",
    "header": "use the field `headers`",
    "http-accept-gzip": "size and digest of a file are those of its own bytes",
    "http-proxy": _PROXY,
    "http-proxy-passwd": _PROXY,
    "http-proxy-user": _PROXY,
    "https-proxy": _PROXY,
    "https-proxy-passwd": _PROXY,
    "https-proxy-user": _PROXY,
    "index-out": f"{_PLACE}; the torrent names its files",
    "input-file": _READS,
    "interface": _LISTENS,
    "listen-port": _LISTENS,
    "load-cookies": f"{_READS}; send cookies with the field `headers`",
    "log": _READS,
    "max-concurrent-downloads": "the slots of a node are its own: `downdraft node-set`",
    "max-file-not-found": _MISSING,
    "max-mmap-limit": _DISK,
    "max-overall-download-limit": "the limits of a node are its own: `downdraft node-set`",
    "max-overall-upload-limit": "the limits of a node are its own: `downdraft node-set`",
    "max-resume-failure-tries": _RESUME,
    "metalink-base-uri": _METALINK,
    "metalink-enable-unique-protocol": _METALINK,
    "metalink-file": _READS,
    "metalink-language": _METALINK,
    "metalink-location": _METALINK,
    "metalink-os": _METALINK,
    "metalink-preferred-protocol": _METALINK,
    "metalink-version": _METALINK,
    "min-tls-version": _TRUST,
    "multiple-interface": _LISTENS,
    "netrc-path": _READS,
    "no-conf": _DAEMON,
    "no-file-allocation-limit": _DISK,
    "no-netrc": f"{_READS}: the passwords of whoever runs it",
    "no-proxy": "a proxy is set by the node alone: the setting `node.no_proxy`",
    "on-bt-download-complete": _RUNS,
    "on-download-complete": _RUNS,
    "on-download-error": _RUNS,
    "on-download-pause": _RUNS,
    "on-download-start": _RUNS,
    "on-download-stop": _RUNS,
    "out": "use the field `out`",
    "parameterized-uri": "submit a request for each address",
    "pause": "use the field `paused`, or `downdraft pause`",
    "pause-metadata": "select files with the option `select-file`",
    "private-key": _READS,
    "proxy-method": _PROXY,
    "realtime-chunk-checksum": "what a metalink has digests for is always checked",
    "remote-time": "whether files keep their time is a setting of the node",
    "remove-control-file": _RESUME,
    "rpc-listen-all": _LISTENS,
    "rpc-listen-port": _LISTENS,
    "rpc-save-upload-metadata": _READS,
    "rpc-secret": _LISTENS,
    "save-cookies": _READS,
    "save-not-found": _RESUME,
    "save-session": _READS,
    "server-stat-if": _READS,
    "server-stat-of": _READS,
    "stop": _DAEMON,
    "torrent-file": _READS,
}


def why_refused(name: str, allowed: Collection[str]) -> str:
    """Why an option may not be set, as the rest of a sentence; `allowed`: those that may be."""
    if reason := REASONS.get(name):
        return reason
    for prefix, why in (("rpc-", _LISTENS), ("on-", _RUNS), ("dht-", _LISTENS), ("metalink-", _METALINK)):
        if name.startswith(prefix):
            return why
    if near := get_close_matches(name, allowed, n=1):
        return f"did you mean {near[0]}?"
    return "the list of those that it may is in docs/requests.md"
