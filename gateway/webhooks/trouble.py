"""Why an event could not be sent, in words for whoever owns the webhook. Pure."""

import errno
import os
import socket
import ssl
from http import HTTPStatus
from urllib.parse import urlsplit

import aiohttp

ANSWER_WITHIN_S = 15.0
"""As Standard Webhooks suggests."""

_NO_WAY = frozenset((errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN))
_CUT_OFF = frozenset((errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED))
_PORTS = {"http": 80, "https": 443}
Known = aiohttp.ClientError | OSError | ValueError


def why_failed(error: Known, url: str) -> str:
    """What went wrong before there was an answer that could be read."""
    where = _place(url)
    match error:
        case TimeoutError():
            return f"no answer within {ANSWER_WITHIN_S:g} s"
        case aiohttp.ClientConnectorCertificateError(certificate_error=found):
            why = getattr(found, "verify_message", "") or str(found)
            return f"{where} shows a certificate that is not to be trusted: {why}"
        case aiohttp.ClientConnectorError(os_error=found):
            return _why_not_connected(found, where)
        case aiohttp.ServerDisconnectedError():
            return f"{where} closed the connection without an answer"
        case OSError(errno=number) if number in _CUT_OFF:
            return f"{where} closed the connection without an answer"
        case aiohttp.ClientResponseError() | aiohttp.ClientPayloadError():
            return f"what {where} answered is not HTTP"
        case aiohttp.InvalidURL():
            return f"{where} can't be sent to: a host is a name, or an address such as 203.0.113.5"
        case OSError():
            return _why_not_connected(error, where)
    return f"{where} could not be asked ({type(error).__name__})"


def why_refused(status: int) -> str:
    """What an answer that does not take the event says."""
    try:
        said = f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        said = str(status)
    if status == HTTPStatus.GONE:
        return f"it answered {said}: it wants nothing more"
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return f"it answered {said}, and redirections are not followed"
    return f"it answered {said}"


def _why_not_connected(error: OSError, where: str) -> str:
    host = where.rpartition(":")[0]
    match error:
        case socket.gaierror(errno=socket.EAI_AGAIN):
            return f"the name {host} can't be looked up at the moment"
        case socket.gaierror():
            return f"there is no host {host}"
        case PermissionError(strerror=str(told)):
            return told  # of the look-up that keeps to public addresses
        case ssl.SSLError(reason=reason):
            return f"{where} does not speak TLS as it should ({reason or 'handshake failed'})"
        case OSError(errno=errno.ECONNREFUSED):
            return f"{where} refuses connections: does anything listen there?"
        case OSError(errno=errno.ETIMEDOUT):
            return f"{where} does not answer"
        case OSError(errno=number) if number in _NO_WAY:
            return f"no way leads to {where} from here"
        case OSError(errno=number) if number in _CUT_OFF:
            return f"{where} closed the connection without an answer"
    return f"{where} can't be reached" + (f" ({os.strerror(error.errno)})" if error.errno else "")


def _place(url: str) -> str:
    """`host:port`: never users and passwords."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError:
        return "its address"
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
