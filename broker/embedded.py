"""A nats-server of one's own, run from the nats.conf that production uses but for what a setting changes in it."""

import json
import re
import signal
from importlib import resources
from pathlib import Path

import anyio
from anyio.abc import Process

from broker.binaries import find_nats_server
from schemas.errors import DowndraftError
from schemas.settings import BrokerSettings

CONF = "nats.conf"
KEYS = "keys"
START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 5.0

_SYNC_INTERVAL = re.compile(r"^(\s*sync_interval:\s*)\S+$", re.MULTILINE)


class ServerFailed(DowndraftError):
    """nats-server did not start; the message has the end of its log."""


def packaged_conf() -> str:
    """The text of nats.conf: inside the wheel, or at the top of a checkout."""
    packaged = resources.files("broker") / CONF
    if packaged.is_file():
        return packaged.read_text()
    return (Path(__file__).parent.parent / CONF).read_text()


def lay_out(folder: Path, *, sync_interval: str = BrokerSettings().sync_interval) -> Path:
    """Put nats.conf where the server will run: `folder` has (or gets) `keys/`, its data and its log.

    `sync_interval`: `always`, or seconds such as `1s`; see `BrokerSettings`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    conf = folder / CONF
    conf.write_text(with_sync_interval(packaged_conf(), sync_interval))
    return conf


def with_sync_interval(conf: str, sync_interval: str) -> str:
    """The text of a nats.conf that syncs its streams so often. Raises ServerFailed where it does not say how often."""
    changed, count = _SYNC_INTERVAL.subn(rf'\g<1>"{sync_interval}"', conf)
    if count != 1:
        raise ServerFailed(f"nats.conf has {count} lines with sync_interval, one was expected")
    return changed


class EmbeddedServer:
    """A running nats-server process."""

    def __init__(self, process: Process, port: int) -> None:
        self.process = process
        self.port = port

    def __repr__(self) -> str:
        state = "running" if self.process.returncode is None else f"exited {self.process.returncode}"
        return f"<nats-server pid {self.process.pid} port {self.port} {state}>"

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    async def stop(self) -> None:
        """SIGTERM, then SIGKILL: JetStream flushes on the first."""
        if self.process.returncode is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        with anyio.move_on_after(STOP_TIMEOUT_S):
            await self.process.wait()
        if self.process.returncode is None:
            self.process.kill()
            await self.process.wait()


async def start(
    folder: Path,
    *,
    port: int,
    named_binary: str = "",
    host: str = "127.0.0.1",
    within_s: float = START_TIMEOUT_S,
) -> EmbeddedServer:
    """Start nats-server in `folder` (see `lay_out`; `keys/auth.conf` must be there). Port 0: any free one.

    Returns once it accepts clients; one that does not within `within_s` is killed. Raises ServerFailed, BinaryMissing.
    """
    binary = find_nats_server(named_binary)
    log = folder / "nats-server.log"
    command = [
        str(binary), "-c", str((folder / CONF).resolve()), "-a", host, "-p", str(port or -1),
        "-m", "-1", "--ports_file_dir", str(folder.resolve()), "-l", str(log.resolve()),
    ]  # fmt: skip
    for old in folder.glob("nats-server_*.ports"):
        old.unlink()
    # A session of its own: Ctrl-C reaches the supervisor, which ends the broker last.
    process = await anyio.open_process(
        command, cwd=folder, stdin=None, stdout=None, stderr=None, start_new_session=True
    )
    try:
        with anyio.fail_after(within_s):
            while process.returncode is None:
                if (found := _read_port(folder, process.pid)) is not None:
                    return EmbeddedServer(process, found)
                await anyio.sleep(0.02)
    except TimeoutError:
        process.kill()
    except BaseException:
        process.kill()
        raise
    tail = log.read_text().splitlines()[-5:] if log.exists() else []
    raise ServerFailed("nats-server did not start: " + " | ".join(line[-300:] for line in tail))


def _read_port(folder: Path, pid: int) -> int | None:
    """The client port from the file the server writes when it listens, None before."""
    try:
        ports = json.loads((folder / f"nats-server_{pid}.ports").read_text())
        return int(ports["nats"][0].rpartition(":")[2])
    except (OSError, ValueError, KeyError, IndexError):
        return None
