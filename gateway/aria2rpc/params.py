"""The parameters of a call, taken out one by one; what is missing or of another type is said as aria2 says it. Pure."""

from typing import Any

from gateway.aria2rpc.errors import RpcError

INTEGERS_MAX = 1 << 62


class Params:
    """Positional parameters, the secret taken off."""

    def __init__(self, values: list[Any]) -> None:
        self._values = values

    def __repr__(self) -> str:
        return f"<Params {len(self._values)}>"

    def text(self, at: int) -> str:
        return str(self._checked(at, str, needed=True))

    def integer(self, at: int, *, low: int | None = None) -> int:
        found = int(self._checked(at, int, needed=True))
        if low is not None and found < low:
            raise RpcError(
                f"The integer parameter at {at} has invalid value: the value must be greater than or equal to {low}."
            )
        return found

    def texts(self, at: int) -> list[str]:
        """A list; what is no text in it is passed over, as aria2 does."""
        return [one for one in self._checked(at, list, needed=True) if isinstance(one, str)]

    def items(self, at: int) -> list[Any]:
        return list(self._checked(at, list, needed=True))

    def texts_if_any(self, at: int) -> list[str]:
        return [one for one in self._checked(at, list) or () if isinstance(one, str)]

    def table(self, at: int) -> dict[str, Any]:
        return dict(self._checked(at, dict, needed=True))

    def table_if_any(self, at: int) -> dict[str, Any]:
        return dict(self._checked(at, dict) or {})

    def place_if_any(self, at: int) -> int | None:
        """A position in the queue."""
        found = self._checked(at, int)
        if found is not None and found < 0:
            raise RpcError("Position must be greater than or equal to 0.")
        return None if found is None else int(found)

    def _checked(self, at: int, kind: type, *, needed: bool = False) -> Any:
        if at >= len(self._values):
            if needed:
                raise RpcError(f"The parameter at {at} is required but missing.")
            return None
        found = self._values[at]
        if kind is int and isinstance(found, float) and abs(found) < INTEGERS_MAX:
            found = int(found)  # aria2 cuts off what follows the point
        is_right = isinstance(found, kind) and not isinstance(found, bool)
        if not is_right or (isinstance(found, int) and abs(found) >= INTEGERS_MAX):
            raise RpcError(f"The parameter at {at} has wrong type.")
        return found
