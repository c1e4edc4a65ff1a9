"""One gateway process beside a broker, and nothing else: what it shows is what the streams hold."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from secrets import token_bytes
from typing import Any

import aiohttp
import anyio
import msgspec
import psutil

from broker.roles import Role
from schemas.apikey import ID_BYTES, SECRET_BYTES, make_secret
from tests.chaos.process import Process
from tests.harness.broker import Broker
from tests.harness.processes import COMMAND
from tests.harness.waiting import eventually
from tests.harness.web import Web

READY_WITHIN_S = 900.0
"""A million tasks are read first where a benchmark asks for them."""


class GatewayProcess:
    """A real one, with a key that may do everything. `web` asks it."""

    def __init__(self, broker: Broker, folder: Path, name: str = "gateway", **settings: str) -> None:
        """`settings`: of `gateway.`, by name."""
        folder.mkdir(parents=True, exist_ok=True)
        self._key_file = folder / "first.key"
        if not self._key_file.exists():
            self._key_file.write_text(make_secret(token_bytes(ID_BYTES + SECRET_BYTES)).text)
        chosen = {"key_file": str(self._key_file), "key_requests_per_s": "0"} | settings
        creds = str(Path(broker.creds(Role.GATEWAY)).resolve())
        self.process = Process(
            name,
            [*COMMAND, "gateway", "--server", broker.url, "--creds", creds, "--port", "0"],
            folder,
            {f"DOWNDRAFT_GATEWAY_{field.upper()}": value for field, value in chosen.items()},
            ready="gateway ready",
        )
        self.web: Web
        self._opened = AsyncExitStack()

    def __repr__(self) -> str:
        return f"<GatewayProcess {self.process!r}>"

    @property
    def memory(self) -> int:
        """Resident bytes."""
        return int(psutil.Process(self.process.pid).memory_info().rss)

    @property
    def key(self) -> str:
        """It may do everything."""
        return self._key_file.read_text()

    @property
    def said(self) -> list[dict[str, Any]]:
        """Its log since it was started."""
        return [msgspec.json.decode(line) for line in self.process.log.splitlines()]

    async def start(self) -> float:
        """Returns once it has read everything: the seconds that took."""
        began = anyio.current_time()
        self.process.start()
        await self.process.until_ready()
        url = next(line["url"] for line in self.said if line["event"] == "gateway ready")
        session = aiohttp.ClientSession(headers={"X-API-Key": self.key})
        self._opened.push_async_callback(session.close)
        self.web = Web(session, url)
        await eventually(self._is_ready, within_s=READY_WITHIN_S, every_s=0.1, what="the gateway is ready")
        return anyio.current_time() - began

    async def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        await self._opened.aclose()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[float]:
        """Until the block ends; yields what `start` returns."""
        try:
            yield await self.start()
        finally:
            await self.kill()

    async def _is_ready(self) -> bool:
        return await self.web.status("GET", "/readyz") == 200
