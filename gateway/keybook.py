"""API keys as the bucket has them: every replica follows it, so that all agree within moments."""

import anyio
import msgspec
import structlog
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from broker import keys
from broker.connection import Connection
from broker.standing import Changes
from schemas import codec
from schemas import subjects as s
from schemas.apikey import ApiKey, Secret, is_of

log = structlog.get_logger()


class KeyBook:
    """The keys that are valid now."""

    def __init__(self) -> None:
        self._keys: dict[str, ApiKey] = {}
        self.changed = anyio.Event()

    def __repr__(self) -> str:
        return f"<KeyBook of {len(self._keys)} keys>"

    def __len__(self) -> int:
        """How many open something; those that were revoked are kept."""
        return sum(key.revoked is None for key in self._keys.values())

    def get(self, key_id: str) -> ApiKey | None:
        """A key by its id, revoked ones too."""
        return self._keys.get(key_id)

    def find(self, secret: Secret) -> ApiKey | None:
        """The key somebody shows, if it is valid."""
        key = self._keys.get(secret.id)
        return key if key is not None and key.revoked is None and is_of(key, secret) else None

    def is_valid(self, key_id: str) -> bool:
        """Whether a key that was shown before opens anything still."""
        key = self._keys.get(key_id)
        return key is not None and key.revoked is None

    def take(self, changes: Changes) -> None:
        """What stands in the bucket now."""
        for name, found in changes.items():
            key_id = name.rpartition(".")[2]
            self._keys.pop(key_id, None)
            if found is None or not found.body:
                continue
            try:
                self._keys[key_id] = codec.decode(found.body, ApiKey)
            except msgspec.MsgspecError as error:
                log.warning("an API key can't be read: it opens nothing", key=key_id, problem=str(error))
        self.changed.set()
        self.changed = anyio.Event()

    async def follow(self, connection: Connection, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Keep in step until cancelled; it has started once it knows every key."""
        await keys.follow(connection, (s.api_key_key("*"),), self.take, task_status=task_status)
