"""aria2's options for one download: which there are, what aria2 takes, and what a request may say of it. Pure."""

from collections.abc import Mapping
from typing import NamedTuple

from gateway.aria2rpc.defaults import OF_DOWNLOADS
from gateway.aria2rpc.errors import bad_option
from schemas.options import PEERS_MAX, SEED_MINUTES_MAX, SEED_RATIO_MAX

KNOWN = frozenset(OF_DOWNLOADS) | {
    *("all-proxy", "all-proxy-passwd", "all-proxy-user", "bt-exclude-tracker", "bt-external-ip"),
    *("bt-prioritize-piece", "bt-tracker", "checksum", "ftp-passwd", "ftp-proxy", "ftp-proxy-passwd"),
    *("ftp-proxy-user", "ftp-user", "gid", "header", "http-passwd", "http-proxy", "http-proxy-passwd"),
    *("http-proxy-user", "http-user", "https-proxy", "https-proxy-passwd", "https-proxy-user", "index-out"),
    *("metalink-base-uri", "metalink-language", "metalink-location", "metalink-os", "metalink-version"),
    *("no-proxy", "out", "pause", "referer", "seed-time", "select-file", "ssh-host-key-md"),
}
"""Those of aria2c(1), "Input File". Any other name an add call may say, and aria2 passes it over."""
LINES = frozenset({"header", "index-out"})
"""May come as a list, or as lines of one text."""

_YES_NO = frozenset({"true", "false"})
_NO = frozenset({"false"})
"""What would be asked for by `true` can't be honoured, and nobody would notice."""
CHOICES: Mapping[str, frozenset[str]] = {
    **dict.fromkeys(
        (
            *("allow-overwrite", "allow-piece-length-change", "always-resume", "async-dns", "auto-file-renaming"),
            *("bt-enable-hook-after-hash-check", "bt-enable-lpd", "bt-hash-check-seed", "bt-load-saved-metadata"),
            *("bt-remove-unselected-file", "bt-save-metadata", "bt-seed-unverified", "check-integrity"),
            *("conditional-get", "content-disposition-default-utf8", "continue", "enable-mmap"),
            *("enable-peer-exchange", "force-save", "http-accept-gzip", "metalink-enable-unique-protocol"),
            *("no-netrc", "pause", "realtime-chunk-checksum", "remote-time", "remove-control-file"),
            *("rpc-save-upload-metadata", "save-not-found"),
        ),
        _YES_NO,
    ),
    **dict.fromkeys(("bt-metadata-only", "dry-run", "hash-check-only", "parameterized-uri", "pause-metadata"), _NO),
    "file-allocation": frozenset({"none", "prealloc", "trunc", "falloc"}),
    "follow-metalink": _YES_NO | {"mem"},
    "follow-torrent": _YES_NO | {"mem"},
    "metalink-preferred-protocol": frozenset({"http", "https", "ftp", "none"}),
    "proxy-method": frozenset({"get", "tunnel"}),
}
"""Options that say how a machine goes about it rather than what comes of it: taken, and left to the node."""
NUMBERS = frozenset(
    (
        *("bt-stop-timeout", "bt-tracker-connect-timeout", "bt-tracker-interval", "bt-tracker-timeout"),
        *("max-file-not-found", "max-mmap-limit", "max-resume-failure-tries", "no-file-allocation-limit"),
    )
)
"""The same, numbers."""
IDLE = frozenset(
    (
        *("bt-exclude-tracker", "bt-external-ip", "bt-tracker", "metalink-language", "metalink-location"),
        *("metalink-os", "metalink-version"),
    )
)
"""The same, any text: a torrent's own trackers serve, and a node knows where it stands."""
NUMBER_CHARS_MAX = 18


class Whole(NamedTuple):
    """A whole number: what aria2 takes, and the part of that which a request may say."""

    least: int
    most: int
    low: int
    high: int

    @property
    def lifts(self) -> bool:
        """Whether 0 stands for as many as there may be."""
        return self.least == 0 < self.low


_ANY = 10**NUMBER_CHARS_MAX
WHOLE: Mapping[str, Whole] = {
    "bt-max-peers": Whole(0, _ANY, 1, PEERS_MAX),
    "max-tries": Whole(0, _ANY, 1, 10),
    "retry-wait": Whole(0, 600, 0, 60),
    "split": Whole(1, _ANY, 1, 16),
}
DECIMAL: Mapping[str, int] = {"seed-ratio": SEED_RATIO_MAX, "seed-time": SEED_MINUTES_MAX}
"""The highest that a request may say."""


def within(name: str, value: str) -> str:
    """What aria2 takes, moved into what a request may say. Raises RpcError for what aria2 refuses."""
    if (whole := WHOLE.get(name)) is not None:
        if not _is_number(value) or not whole.least <= int(value) <= whole.most:
            raise bad_option(name)
        if whole.lifts and int(value) == 0:
            return str(whole.high)
        return str(min(int(value), whole.high))
    if (highest := DECIMAL.get(name)) is not None:
        before, _, after = value.partition(".")
        if not _is_number(before or "0") or not _is_number(after or "0"):
            raise bad_option(name)
        return f"{min(float(value or 0), highest):.3f}".rstrip("0").rstrip(".")
    return value


def is_taken(name: str, value: str) -> bool:
    """Whether an option that the cluster does not care about may be said: it changes nothing. Raises RpcError for what
    aria2 refuses."""
    if value in ("", OF_DOWNLOADS.get(name)) or name in IDLE:
        return True
    if (choices := CHOICES.get(name)) is not None:
        return value in choices
    return name in NUMBERS and _is_number(value.removesuffix("K").removesuffix("M"))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= NUMBER_CHARS_MAX
