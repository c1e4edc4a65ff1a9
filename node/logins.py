"""FTP and SFTP servers that want another user or password: said so once, for trying again changes nothing. Pure."""

from urllib.parse import urlsplit

from node.failures import Verdict
from schemas.request import Request
from schemas.task import FailureClass

FTP_REFUSED = "aria2-21"
NOT_LOGGED_IN = "status=530"
"""RFC 959. To a nameless visitor busy servers say it, too, so that it is worth another try."""
CODE = "login"


def judged(request: Request, verdict: Verdict) -> Verdict:
    """The verdict on a download by FTP, where its request names a user."""
    if verdict.code != FTP_REFUSED or NOT_LOGGED_IN not in verdict.reason or not _names_user(request):
        return verdict
    return Verdict(FailureClass.PERMANENT, CODE, "the FTP server does not take this user and password")


def _names_user(request: Request) -> bool:
    return "ftp-user" in request.options or any(urlsplit(uri).username for uri in request.uris)
