"""What a failed download means: aria2's errorCode and errorMessage become a class, a code and a sentence.

The codes are those of aria2c(1), EXIT STATUS; the classes were found by making each of them happen.
"""

import re
from typing import NamedTuple

from schemas.task import FailureClass

HTTP_NOT_FOUND = 404
HTTP_RANGE_REFUSED = 416
HTTP_SERVER_ERROR = 500
HTTP_TRY_LATER = frozenset({408, 425, 429})
"""Statuses below 500 by which an origin says that the same request may succeed later."""

HTTP_ASKS_TO_WAIT = frozenset({429, 503})
"""Statuses that come with a Retry-After (RFC 9110, 10.2.3; RFC 6585, 4)."""

STATUS_NAMED = frozenset({"22", "29"})
"""Codes whose messages name the HTTP status: refusals of every kind, and 502 to 504."""
NOT_FOUND = frozenset({"3", "4"})

MESSAGE_CHARS_MAX = 300
"""aria2 quotes whole addresses in its messages; events stay small."""

_STATUS = re.compile(r"\bstatus=(\d{3})\b")


class Verdict(NamedTuple):
    failure: FailureClass
    code: str
    """`http-<status>` where an HTTP answer was the cause, else `aria2-<errorCode>`."""
    reason: str
    """A sentence for people."""
    retry_after_s: float | None = None
    """What the origin asked for, where it is known already."""


class _Meaning(NamedTuple):
    failure: FailureClass
    text: str
    code: str = ""
    """In place of aria2's own."""


_PERMANENT, _TRANSIENT = FailureClass.PERMANENT, FailureClass.TRANSIENT
_NODE, _DAMAGED = FailureClass.NODE, FailureClass.DAMAGED

CODES: dict[str, _Meaning] = {
    "1": _Meaning(_TRANSIENT, "the connection failed, or the file changed under way"),
    "2": _Meaning(_TRANSIENT, "the origin did not answer in time"),
    "3": _Meaning(_PERMANENT, "the origin does not have this file"),
    "4": _Meaning(_PERMANENT, "the origin does not have this file"),
    "5": _Meaning(_TRANSIENT, "slower than lowest-speed-limit"),
    "6": _Meaning(_TRANSIENT, "network trouble"),
    "7": _Meaning(_TRANSIENT, "aria2 stopped before the file was whole"),
    "8": _Meaning(_DAMAGED, "the origin can't continue a partial file"),
    "9": _Meaning(_NODE, "the disk is full"),
    "10": _Meaning(_DAMAGED, "the partial file was begun with other pieces"),
    "11": _Meaning(_TRANSIENT, "the same file is already being downloaded"),
    "12": _Meaning(_TRANSIENT, "the same torrent is already being downloaded"),
    "13": _Meaning(_DAMAGED, "a file that can't be continued is in the way"),
    "14": _Meaning(_DAMAGED, "the file could not be renamed"),
    "15": _Meaning(_NODE, "an existing file could not be opened"),
    "16": _Meaning(_NODE, "the file could not be created"),
    "17": _Meaning(_NODE, "reading or writing the file failed"),
    "18": _Meaning(_NODE, "the folder could not be created"),
    "19": _Meaning(_TRANSIENT, "the host's name could not be resolved"),
    "20": _Meaning(_PERMANENT, "the metalink could not be read"),
    "21": _Meaning(_TRANSIENT, "the FTP server refused"),
    "22": _Meaning(_PERMANENT, "the origin refused"),
    "23": _Meaning(_PERMANENT, "too many redirects"),
    "24": _Meaning(_PERMANENT, "the origin wants other credentials"),
    "25": _Meaning(_PERMANENT, "the torrent could not be read"),
    "26": _Meaning(_PERMANENT, "the torrent is damaged or incomplete"),
    "27": _Meaning(_PERMANENT, "the magnet address is wrong"),
    "28": _Meaning(_PERMANENT, "an option is wrong"),
    "29": _Meaning(_TRANSIENT, "the origin is overloaded or in maintenance"),
    "31": _Meaning(_TRANSIENT, "the download was removed from aria2"),
    "32": _Meaning(_DAMAGED, "the file does not have the expected checksum"),
}
UNKNOWN = _Meaning(_TRANSIENT, "aria2 failed in a way it has no code for")

MESSAGES: tuple[tuple[str, _Meaning], ...] = (
    # A refused addUri has code 1 whatever was wrong: only the text tells.
    ("No URI to download.", _Meaning(_PERMANENT, "aria2 can't use any of the addresses")),
    ("We encountered a problem while processing the option", _Meaning(_PERMANENT, "an option is wrong")),
    (
        "SSH authentication failure",
        _Meaning(_PERMANENT, "the SFTP server does not take this user and password", "login"),
    ),
    (
        "SSH opening SFTP path",
        _Meaning(_PERMANENT, "the SFTP server does not have this file, or does not let it be read", "sftp-open"),
    ),
    ("Unexpected SSH host key", _Meaning(_PERMANENT, "the SFTP server has another key than is asked for", "host-key")),
    # What aria2 says when the origin's file has another size than the control file: it would say so for ever.
    ("Download aborted.", _Meaning(_DAMAGED, "the partial file can't be continued")),
)
"""How messages begin that say more than code 1 does."""
NO_ADDRESS_LEFT = "No URI available."
"""What aria2 says after the last of several tries: the refusal may not have been the only trouble."""


def classify(code: str, message: str) -> Verdict:
    """The verdict on a failed download from aria2's errorCode (decimal text) and errorMessage."""
    status = _http_status(code, message)
    if status is not None:
        return answered(status, f": {_shortened(message)}" if message else "")
    meaning = _meaning(code, message)
    said = f": {_shortened(message)}" if message else ""
    return Verdict(meaning.failure, meaning.code or f"aria2-{code or '?'}", f"{meaning.text}{said}")


def answered(status: int, said: str = "") -> Verdict:
    """The verdict on an origin that refused with an HTTP status."""
    return Verdict(_class_of_status(status), f"http-{status}", f"the origin answered {status}{said}")


def stalled(received: int, seconds: float) -> Verdict:
    """The verdict on a transfer of which so few bytes came that it stands still."""
    return Verdict(_TRANSIENT, "stalled", f"stalled: {received} bytes came in the last {seconds:.0f} s")


def without_peers(seconds: float) -> Verdict:
    """The verdict on a torrent for which nobody was found in so long a time."""
    return Verdict(_TRANSIENT, "no-peers", f"no peers: nobody who has this torrent was found in {seconds:.0f} s")


def _http_status(code: str, message: str) -> int | None:
    if code in NOT_FOUND:
        return HTTP_NOT_FOUND
    found = _STATUS.search(message) if code in STATUS_NAMED else None
    return int(found[1]) if found else None


def _class_of_status(status: int) -> FailureClass:
    if status in HTTP_TRY_LATER or status >= HTTP_SERVER_ERROR:
        return FailureClass.TRANSIENT
    if status == HTTP_RANGE_REFUSED:
        # Only a request to continue names a range: what lies on disk does not fit the origin's file any more.
        return FailureClass.DAMAGED
    return FailureClass.PERMANENT


def _meaning(code: str, message: str) -> _Meaning:
    if code == "1":
        for start, meaning in MESSAGES:
            if message.startswith(start):
                return meaning
    if code in STATUS_NAMED and message.startswith(NO_ADDRESS_LEFT):
        return _Meaning(_TRANSIENT, "the origin refused, after other trouble")
    return CODES.get(code, UNKNOWN)


def _shortened(message: str) -> str:
    return message if len(message) <= MESSAGE_CHARS_MAX else message[: MESSAGE_CHARS_MAX - 1] + "…"
