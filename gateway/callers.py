"""Who asks, and what they may see. Pure."""

from msgspec import Struct

from schemas.apikey import ApiKey, Scope


class Caller(Struct, frozen=True):
    """Whoever shows a key."""

    key: str
    """Its id; empty where no key is asked for."""
    owner: str
    scopes: tuple[Scope, ...]

    @property
    def is_admin(self) -> bool:
        return Scope.ADMIN in self.scopes

    @property
    def owners(self) -> tuple[str, ...]:
        """Whose tasks it sees; none: everybody's."""
        return () if self.is_admin else (self.owner,)

    def may(self, scope: Scope) -> bool:
        return self.is_admin or scope in self.scopes

    def sees(self, owner: str) -> bool:
        return self.is_admin or owner == self.owner


def caller_of(key: ApiKey) -> Caller:
    return Caller(key.id, key.owner, key.scopes)
