"""Errors that cross a seam: each message says what was wrong, where, and what to do."""

SHOWN_CHARS_MAX = 600
"""What is wrong may be quoted, but never whole: a refusal must fit where the request did."""


class DowndraftError(Exception):
    """Anything Downdraft says to a person rather than a traceback."""

    exit_code = 1


class RequestInvalid(DowndraftError):
    """A download request that can't be accepted. `where` names the field, '' for the whole body, `what` the rest."""

    exit_code = 2

    def __init__(self, where: str, message: str) -> None:
        where, message = where[:SHOWN_CHARS_MAX], message[:SHOWN_CHARS_MAX]
        super().__init__(f"{where}: {message}" if where else message)
        self.where, self.what = where, message


class PolicyInvalid(DowndraftError):
    """A policy that can't be set. `where` names the field, '' for the whole of it."""

    exit_code = 2

    def __init__(self, where: str, message: str) -> None:
        where, message = where[:SHOWN_CHARS_MAX], message[:SHOWN_CHARS_MAX]
        super().__init__(f"{where}: {message}" if where else message)
        self.where = where


class SettingInvalid(DowndraftError):
    """A setting that can't be used. The message names the setting and where its value came from."""

    exit_code = 2


class IllegalTransition(DowndraftError):
    """A task was asked to do what its state does not allow; nothing was changed."""
