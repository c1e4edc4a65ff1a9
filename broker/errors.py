"""What can go wrong with the broker. Foreign exceptions are translated here and nowhere else."""

from schemas.errors import DowndraftError


class BrokerError(DowndraftError):
    """The broker refused something, or could not be asked."""


class NotConnected(BrokerError):
    """No nats-server could be reached."""


class ServersInvalid(BrokerError):
    """What is given as the servers' addresses can't be used."""

    exit_code = 2


class PermissionRefused(BrokerError):
    """These credentials do not allow what was tried: a wrong file, or a wrong role."""


class Unanswered(BrokerError):
    """No answer in time. What was asked for may have happened all the same."""


class SequenceConflict(BrokerError):
    """The broker says another write came first; it may have been one's own earlier try."""


class StoreFull(BrokerError):
    """The stream or the server's store is full; nothing was stored."""


class Unreadable(BrokerError):
    """A stored message that this version can't decode: it is left alone, and so is its task."""


class Deposed(BrokerError):
    """The lease has run out by one's own clock: another may lead, so nothing more is written."""


class ConsumerGone(BrokerError):
    """The consumer no longer exists: its server restarted, or another leader removed it."""


class ApiRefused(BrokerError):
    """Any other refusal of the JetStream API."""

    def __init__(self, subject: str, code: int, description: str) -> None:
        super().__init__(f"{subject}: {description} ({code})")
        self.code = code


CONFLICT_CODES = frozenset({10071})
UNKNOWN_CODES = frozenset({10164, 10158, 10008, 10074})
"""In flight, or the server does not know yet: a leader is being elected."""
FULL_CODES = frozenset({10077, 10047, 10023, 10028, 10076})
NO_MESSAGE = 10037
CONSUMER_NOT_FOUND = 10014
STREAM_NOT_FOUND = 10059
MESSAGE_TOO_LARGE = 10054


def refusal(subject: str, code: int, description: str) -> BrokerError:
    """The error for a JetStream error code."""
    if code in CONFLICT_CODES:
        return SequenceConflict(f"{subject}: {description}")
    if code in UNKNOWN_CODES:
        return Unanswered(f"{subject}: {description}")
    if code in FULL_CODES:
        return StoreFull(f"{subject}: {description}")
    return ApiRefused(subject, code, description)
