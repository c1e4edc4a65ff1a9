"""The aria2 options a request may set, and what each may be.

A node sets gid, dir and out itself. What is not listed is refused (`schemas.refusedoptions` says why): some options
(dir, out, proxies, hooks, allow-overwrite, always-resume=false) would let a request leave its folder or its network, or
crash the daemon.
"""

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from schemas.errors import RequestInvalid
from schemas.refusedoptions import why_refused
from schemas.selection import selected_files
from schemas.sizes import parse_size

Value = str | int | float | bool

SEED_MINUTES_MAX = 1440
"""A day: a task that gives to others holds a slot."""
SEED_RATIO_MAX = 100
PEERS_MAX = 200
"""Of one torrent: each is a connection of the node's."""
SPEED_MAX = (2 << 30) - 1
"""Bytes a second; aria2 takes more for something else, as its integers have 32 bits there."""
TEXT_CHARS_MAX = 8192
"""As of a header."""
DOWNLOAD_LIMIT = "max-download-limit"
UPLOAD_LIMIT = "max-upload-limit"
_MIB, _GIB = 1 << 20, 1 << 30
_DECIMAL = re.compile(r"[0-9]{1,6}(\.[0-9]{1,3})?")
_DIGITS = re.compile(r"[0-9]{1,9}")
_ARIA2_SIZE = re.compile(r"[0-9]{1,18}[KMkm]?")
"""What aria2 itself can read; a size is handed to it as typed."""
_PIECES = re.compile(r"(head|tail)(=[0-9]{1,9}[KMkm]?)?(,(head|tail)(=[0-9]{1,9}[KMkm]?)?)?")
_KEY_DIGEST = re.compile(r"(sha-1=[0-9A-Fa-f]{40}|md5=[0-9A-Fa-f]{32})")


class Option(NamedTuple):
    wants: str
    check: Callable[[Value], bool]
    about: str
    """For people, one sentence."""
    only: str = ""
    """The one kind of download that it means something for."""


def _whole(low: int, high: int, about: str) -> Option:
    def check(value: Value) -> bool:
        if isinstance(value, bool | float):
            return False
        return bool(_DIGITS.fullmatch(str(value))) and low <= int(value) <= high

    return Option(f"a whole number from {low} to {high}", check, about)


def _decimal(high: int, about: str) -> Option:
    def check(value: Value) -> bool:
        return not isinstance(value, bool) and bool(_DECIMAL.fullmatch(str(value))) and float(value) <= high

    return Option(f"a number from 0 to {high}", check, about)


def _selection(about: str) -> Option:
    def check(value: Value) -> bool:
        if isinstance(value, bool | float):
            return False
        try:
            return bool(selected_files(str(value)))
        except ValueError:
            return False

    return Option("numbers of files, from 1, such as 1,3-5", check, about, only="several files")


def _bytes(wants: str, low: int, high: int, about: str) -> Option:
    def check(value: Value) -> bool:
        if isinstance(value, bool | float) or not _ARIA2_SIZE.fullmatch(str(value)):
            return False
        try:
            return low <= parse_size(value) <= high
        except ValueError:
            return False

    return Option(wants, check, about)


def _speed(about: str) -> Option:
    return _bytes("a number of bytes such as 500K or 2M, below 2048M", 0, SPEED_MAX, about)


def _mebibytes(about: str) -> Option:
    return _bytes("a number of bytes from 1M to 1024M", _MIB, _GIB, about)


def _text(about: str) -> Option:
    def check(value: Value) -> bool:
        is_line = isinstance(value, str) and len(value) <= TEXT_CHARS_MAX
        return is_line and not any(ch in str(value) for ch in "\r\n\0")

    return Option("a line of text", check, about)


def _yes_or_no(about: str) -> Option:
    def check(value: Value) -> bool:
        return isinstance(value, bool) or value in ("true", "false")

    return Option("true or false", check, about)


def _one_of(about: str, *words: str) -> Option:
    return Option(f"one of {', '.join(words)}", lambda value: value in words, about)


def _like(pattern: re.Pattern[str], wants: str, about: str) -> Option:
    return Option(wants, lambda value: isinstance(value, str) and bool(pattern.fullmatch(value)), about)


def _torrents(option: Option) -> Option:
    return option._replace(only="torrent")


ALLOWED: Mapping[str, Option] = {
    "bt-force-encryption": _torrents(_yes_or_no("Only peers that encrypt all of it.")),
    "bt-max-peers": _torrents(_whole(1, PEERS_MAX, "Peers of the torrent at once.")),
    "bt-min-crypto-level": _torrents(_one_of("How well a peer must encrypt at least.", "plain", "arc4")),
    "bt-prioritize-piece": _torrents(
        _like(_PIECES, "head, tail or both, such as head=2M,tail", "What of each file is fetched first.")
    ),
    "bt-request-peer-speed-limit": _torrents(_speed("More peers are sought below this speed.")),
    "bt-require-crypto": _torrents(_yes_or_no("Only peers that encrypt how they greet.")),
    "connect-timeout": _whole(1, 600, "Seconds to wait for a connection."),
    "enable-http-keep-alive": _yes_or_no("Use a connection again."),
    "enable-http-pipelining": _yes_or_no("Ask on before the answer has come."),
    "ftp-passwd": _text("Password for FTP and SFTP."),
    "ftp-pasv": _yes_or_no("Passive FTP, where the node makes all connections; `false` for active."),
    "ftp-reuse-connection": _yes_or_no(
        "Use an FTP connection again: off as a rule, for after a quick file aria2 may wait for its time-out."
    ),
    "ftp-type": _one_of("How an FTP server sends the file: `ascii` may change its line ends.", "binary", "ascii"),
    "ftp-user": _text("User for FTP and SFTP."),
    "http-auth-challenge": _yes_or_no("Send user and password only when the origin asks for them."),
    "http-no-cache": _yes_or_no("Ask caches on the way not to answer themselves."),
    "http-passwd": _text("Password for HTTP."),
    "http-user": _text("User for HTTP."),
    "lowest-speed-limit": _speed("Give up a connection that is slower."),
    "max-connection-per-server": _whole(1, 16, "Connections to one origin."),
    DOWNLOAD_LIMIT: _speed("What it may receive in a second; 0 for no limit."),
    "max-tries": _whole(1, 10, "Tries within one attempt."),
    UPLOAD_LIMIT: _torrents(_speed("What a torrent may send in a second; 0 for no limit.")),
    "min-split-size": _mebibytes("No part of a file that comes over a connection of its own is smaller."),
    "no-want-digest-header": _yes_or_no("Don't ask an origin for a digest."),
    "piece-length": _mebibytes("How a file is divided while it is downloaded."),
    "referer": _text("The page that the address is from; `*` for the address itself."),
    "retry-wait": _whole(0, 60, "Seconds between tries within one attempt."),
    "reuse-uri": _yes_or_no("Take an address again once all have been taken."),
    "seed-ratio": _torrents(_decimal(SEED_RATIO_MAX, "Give to others until so many times the size is given.")),
    "seed-time": _torrents(_decimal(SEED_MINUTES_MAX, "Give to others for so many minutes.")),
    "select-file": _selection("Which files of a torrent or metalink are wanted."),
    "split": _whole(1, 16, "Connections for one file."),
    "ssh-host-key-md": _like(
        _KEY_DIGEST, "sha-1=<40 hex digits> or md5=<32>", "The digest that the key of an SFTP server must have."
    ),
    "stream-piece-selector": _one_of("Which part comes next.", "default", "inorder", "random", "geom"),
    "timeout": _whole(1, 600, "Seconds to wait for bytes."),
    "uri-selector": _one_of("Which of several addresses is used.", "inorder", "feedback", "adaptive"),
    "use-head": _yes_or_no("Begin with a HEAD request."),
    "user-agent": _text("What the node calls itself."),
}

SECRET = frozenset({"ftp-passwd", "ftp-user", "http-passwd", "http-user"})
OF_TORRENTS = frozenset(name for name, option in ALLOWED.items() if option.only == "torrent")
OF_SEVERAL = "select-file"


def limit_of(options: Mapping[str, Value], name: str) -> int | None:
    """Bytes a second that checked options say for one of the two limits, 0 for none; None where they say nothing."""
    value = options.get(name)
    return None if value is None or isinstance(value, float) else parse_size(value)


def check_options(options: Mapping[str, Value]) -> dict[str, str]:
    """The options as aria2 wants them: all values strings. Raises RequestInvalid."""
    return _checked(options, "not an option a request may set")


def check_defaults(options: Mapping[str, Value]) -> dict[str, str]:
    """`check_options` for those of a node or a cluster, which hold for every task. Raises RequestInvalid."""
    for name in options:
        where = f"options.{name}"
        if name in SECRET:
            raise RequestInvalid(where, "no default: every origin would be told; set it in the request")
        if name in (OF_SEVERAL, "ssh-host-key-md"):
            raise RequestInvalid(where, "no default: it is about one download alone; set it in the request")
    return _checked(options, "not an option that may be set")


def _checked(options: Mapping[str, Value], refusal: str) -> dict[str, str]:
    checked: dict[str, str] = {}
    for name, value in options.items():
        option = ALLOWED.get(name)
        where = f"options.{name}"
        if option is None:
            raise RequestInvalid(where, f"{refusal}; {why_refused(name, ALLOWED)}")
        if not option.check(value):
            shown = "" if name in SECRET else f", not {value!r}"
            raise RequestInvalid(where, f"must be {option.wants}{shown}")
        checked[name] = str(value).lower() if isinstance(value, bool) else str(value)
    return checked
