"""Refusals, in aria2's own words: clients go by these texts."""

GENERAL = 1
PARSE_ERROR = -32700
INVALID_REQUEST = -32600
INVALID_PARAMS = -32602


class RpcError(Exception):
    """Ends one call with an error; the others of its batch go on."""

    def __init__(self, message: str, code: int = GENERAL) -> None:
        super().__init__(message)
        self.message, self.code = message, code

    @property
    def plain(self) -> dict[str, int | str]:
        """As it stands in an answer."""
        return {"code": self.code, "message": self.message}


class TooMany(RpcError):
    """The key asks more than it may in a second."""

    def __init__(self, per_s: int, wait_s: float) -> None:
        again = f"Ask again in {max(wait_s, 0.1):.1f} s."
        super().__init__(f"Too many requests: this key may make {per_s} a second. {again}")
        self.wait_s = wait_s


def unauthorized() -> RpcError:
    return RpcError("Unauthorized")


def bad_option(name: str) -> RpcError:
    return RpcError(f"We encountered a problem while processing the option '--{name}'.")
