"""An aria2c child process: started, watched and stopped by the node, which owns one for each lane."""

import os
import secrets
import socket
import ssl
import sys
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from subprocess import DEVNULL, PIPE
from types import MappingProxyType, TracebackType

import anyio
from anyio import CapacityLimiter
from anyio.abc import ByteReceiveStream, Process, TaskGroup

from node.aria2 import Aria2, Aria2Error, Aria2Gone
from node.upstream import Upstream
from schemas.errors import DowndraftError
from schemas.settings import NodeSettings

START_TRIES_MAX = 5
"""Free ports to try: between finding one and aria2's listening on it another program may take it."""
START_TIMEOUT_S = 10.0
"""From the fork to the first answer; normally 0.1 s, but a loaded machine starts slowly."""
START_CALL_TIMEOUT_S = 2.0
START_POLL_S = 0.02
STOP_GRACE_S = 3.0
"""What SIGTERM gets for saving control files (it needs 0.5 s) before SIGKILL."""
DRAIN_TIMEOUT_S = 1.0
"""For the last words of a child that ended; a grandchild might hold its stderr open."""
STDERR_LINES_KEPT = 20
STDERR_LINE_CHARS_MAX = 500


class Lane(StrEnum):
    """A kind of daemon."""

    SMALL = "small"
    """No control files, one connection: fast for small files."""
    LARGE = "large"
    """Control files, split: resumes after a crash."""
    TORRENT = "torrent"
    """BitTorrent: listens for peers. Started with the first torrent."""


TORRENT_REQUEST_BYTES_MAX = 32 << 20
"""A torrent of 16 MiB, as base64."""
# auto-save-interval holds for a whole daemon, and at 0 small files are 2.4 times as fast: hence two lanes.
LANE_OPTIONS: Mapping[Lane, Mapping[str, str]] = {
    Lane.SMALL: {
        "auto-save-interval": "0",
        "split": "1",
        "max-connection-per-server": "1",
        "min-split-size": "8M",
        # The node itself goes on after a broken connection: it looks first whether the origin's file is still the same.
        "max-tries": "1",
    },
    Lane.LARGE: {
        "auto-save-interval": "1",
        "split": "8",
        "max-connection-per-server": "8",
        "min-split-size": "1M",
    },
    Lane.TORRENT: {
        "auto-save-interval": "1",
        "split": "4",
        "max-connection-per-server": "4",
        "min-split-size": "1M",
        "rpc-max-request-size": str(TORRENT_REQUEST_BYTES_MAX),
        # A tracker that hangs must hold up neither the next one nor the end of a whole download.
        "bt-tracker-connect-timeout": "5",
        "bt-tracker-timeout": "10",
        # It resumes from what is on the disk, and never by what it believes to be there.
        "check-integrity": "true",
    },
}
COMMON_OPTIONS: Mapping[str, str] = {
    "enable-rpc": "true",
    "rpc-listen-all": "false",
    "rpc-allow-origin-all": "false",
    "rpc-max-request-size": "16M",
    "rpc-save-upload-metadata": "false",
    "quiet": "true",
    "summary-interval": "0",
    "show-console-readout": "false",
    "console-log-level": "error",
    "download-result": "hide",
    "max-download-result": "10000",
    "continue": "true",
    # false lets a server without Range support crash the daemon.
    "always-resume": "true",
    "auto-file-renaming": "false",
    "allow-overwrite": "false",
    "allow-piece-length-change": "false",
    "file-allocation": "none",
    "disk-cache": "0",
    "max-tries": "3",
    # 0, or it would ask an origin again that answered 502, 503 or 504, whatever that said in Retry-After.
    "retry-wait": "0",
    "max-file-not-found": "0",
    # true, and aria2 waits its whole time-out for the end of a file whose server said it together with the beginning.
    "ftp-reuse-connection": "false",
    "connect-timeout": "10",
    "timeout": "30",
    "no-netrc": "true",
    "check-certificate": "true",
    "parameterized-uri": "false",
    "follow-metalink": "false",
    "follow-torrent": "false",
    "enable-dht": "false",
    "enable-dht6": "false",
    "bt-enable-lpd": "false",
    "enable-peer-exchange": "false",
    "seed-time": "0",
    "remote-time": "false",
}


class DaemonFailed(DowndraftError):
    """aria2c did not start. The message ends with what it said last."""


class Daemon:
    """One aria2c of one lane. `async with` owns it: however the block is left, the child is stopped.

    Inside, `start` and `stop` may alternate; each start is a new process with a new port and secret.
    """

    def __init__(
        self,
        lane: Lane,
        binary: Path,
        *,
        state: Path,
        downloads: Path,
        slots: int,
        options: Mapping[str, str] = MappingProxyType({}),
        upstream: Upstream | None = None,
    ) -> None:
        """`state` is the node's own folder, where the secret lies while aria2c reads it; both folders are made.

        `options`: of aria2, on top of its lane's; `upstream`: the proxy that it downloads through.
        """
        self.lane = lane
        self._options = options
        self._upstream = upstream
        self.binary = binary
        self.slots = slots
        self._state = state.absolute()
        self._downloads = downloads.absolute()
        self._generation = 0
        self._port = 0
        self._secret = ""
        self._process: Process | None = None
        self._stderr: deque[str] = deque(maxlen=STDERR_LINES_KEPT)
        self._drained = anyio.Event()
        self._tasks: TaskGroup | None = None

    @property
    def port(self) -> int:
        """Where its RPC listens on loopback; 0 before the first start."""
        return self._port

    @property
    def secret(self) -> str:
        return self._secret

    @property
    def generation(self) -> int:
        """How often it was started: downloads added to an earlier generation are gone."""
        return self._generation

    @property
    def pid(self) -> int | None:
        """None while none runs."""
        return self._process.pid if self._process is not None and self.running else None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    @property
    def stderr_tail(self) -> str:
        """The last lines that it wrote."""
        return "\n".join(self._stderr)

    def __repr__(self) -> str:
        state = f"pid {self.pid} at port {self._port}" if self.running else "not running"
        return f"<Daemon {self.lane}, generation {self._generation}, {state}>"

    async def __aenter__(self) -> "Daemon":
        self._tasks = await anyio.create_task_group().__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._tasks is not None
        with anyio.CancelScope(shield=True):
            await self.stop()
        self._tasks.cancel_scope.cancel()
        # The group's tasks only drain; without the block's own error it has nothing to wrap in a group.
        await self._tasks.__aexit__(None, None, None)

    async def start(self) -> None:
        """Start aria2c and return once its RPC answers. Raises DaemonFailed, then nothing runs."""
        if self.running:
            raise DaemonFailed(f"aria2c of lane {self.lane} runs already as process {self.pid}")
        self._state.mkdir(parents=True, exist_ok=True)
        self._downloads.mkdir(parents=True, exist_ok=True)
        for _ in range(START_TRIES_MAX):
            try:
                if await self._try_start():
                    return
            except BaseException:
                with anyio.CancelScope(shield=True):
                    await self.stop()
                raise
            self.kill()
            await self.wait()
            with anyio.move_on_after(DRAIN_TIMEOUT_S):
                await self._drained.wait()
        said = self.stderr_tail or "it said nothing"
        raise DaemonFailed(f"aria2c of lane {self.lane} did not start ({self.binary}): {said}")

    async def stop(self) -> None:
        """SIGTERM, so that control files are saved; SIGKILL after STOP_GRACE_S. Fine when none runs."""
        if self._process is None or not self.running:
            return
        with suppress(ProcessLookupError):
            self._process.terminate()
        with anyio.move_on_after(STOP_GRACE_S):
            await self.wait()
            return
        self.kill()
        await self.wait()

    async def wait(self) -> int | None:
        """Wait until the child has ended; its exit code, negative for a signal, None if none was started."""
        return None if self._process is None else await self._process.wait()

    def kill(self) -> None:
        """SIGKILL, for one that is frozen. Await `wait` after it."""
        if self._process is not None and self.running:
            with suppress(ProcessLookupError):  # it may have ended just now
                self._process.kill()

    async def _try_start(self) -> bool:
        """Start on one port; False where another program has it, or the child ended at once."""
        if self._tasks is None:
            raise DaemonFailed("a Daemon is started inside its `async with` block")
        self._generation += 1
        self._port, self._secret = _free_port(), secrets.token_hex(16)
        conf = self._state / f"aria2-{self.lane}.conf"
        # Where nobody else may read: command lines are for all to see.
        hidden = {"rpc-secret": self._secret, **(self._upstream.options() if self._upstream else {})}
        _write_private(conf, "".join(f"{name}={value}\n" for name, value in hidden.items()))
        try:
            await self._spawn(conf, self._tasks)
            return await self._answers()
        finally:
            conf.unlink(missing_ok=True)

    async def _spawn(self, conf: Path, tasks: TaskGroup) -> None:
        try:
            self._process = await anyio.open_process(
                [str(self.binary), *self._arguments(conf)],
                stdin=DEVNULL,
                stdout=DEVNULL,
                stderr=PIPE,
                env=_without_proxies(os.environ),
                # Ctrl-C in a terminal is for the node, which first gives its tasks back.
                start_new_session=True,
            )
        except OSError as error:
            raise DaemonFailed(f"{self.binary} can't be started: {error}") from error
        assert self._process.stderr is not None
        self._stderr.clear()
        self._drained = anyio.Event()
        tasks.start_soon(self._drain, self._process.stderr, self._drained)

    async def _answers(self) -> bool:
        """Whether this child, and no other program, answers at the port."""
        rpc = Aria2(self._port, self._secret, CapacityLimiter(1), timeout_s=START_CALL_TIMEOUT_S)
        try:
            with anyio.move_on_after(START_TIMEOUT_S):
                while self.running:
                    try:
                        await rpc.version()
                    except Aria2Gone:
                        await anyio.sleep(START_POLL_S)
                    except Aria2Error:
                        # aria2c goes on with IPv6 alone where another program has the IPv4 port: that one spoke.
                        return False
                    else:
                        return True
            return False
        finally:
            rpc.close()

    def _arguments(self, conf: Path) -> list[str]:
        options = {
            "conf-path": str(conf),
            "rpc-listen-port": str(self._port),
            "stop-with-process": str(os.getpid()),
            "dir": str(self._downloads),
            "max-concurrent-downloads": str(self.slots),
            **_authorities(),
            **COMMON_OPTIONS,
            **LANE_OPTIONS[self.lane],
            **self._options,
        }
        return [f"--{name}={value}" for name, value in options.items()]

    async def _drain(self, stderr: ByteReceiveStream, drained: anyio.Event) -> None:
        """Read what the child writes, so that a full pipe never stops it, and keep its end."""
        rest = b""
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            async for chunk in stderr:
                *lines, rest = (rest + chunk).split(b"\n")
                rest = rest[:STDERR_LINE_CHARS_MAX]
                self._stderr.extend(_line(line) for line in lines if line.strip())
        if rest.strip():
            self._stderr.append(_line(rest))
        drained.set()


def torrent_options(settings: NodeSettings) -> dict[str, str]:
    """How peers are found and let in."""
    options = {"listen-port": settings.torrent_ports}
    if settings.dht:
        kept = Path(settings.state).absolute() / "dht.dat"
        options |= {
            "enable-dht": "true",
            "dht-entry-point": settings.dht,
            "dht-listen-port": settings.torrent_ports,
            "dht-file-path": str(kept),
        }
    return options


def _line(raw: bytes) -> str:
    return raw.decode(errors="replace").strip()[:STDERR_LINE_CHARS_MAX]


def _free_port() -> int:
    with socket.socket() as probing:
        probing.bind(("127.0.0.1", 0))
        return int(probing.getsockname()[1])


def _write_private(path: Path, text: str) -> None:
    """Write a file that nobody else may read, not even for a moment, whatever lay there before."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
        opened.write(text)


def _without_proxies(environment: Mapping[str, str]) -> dict[str, str]:
    """aria2 obeys http_proxy and its kin; what a node downloads through is no accident of its shell."""
    return {name: value for name, value in environment.items() if not name.lower().endswith("_proxy")}


def _authorities() -> dict[str, str]:
    """The static aria2c looks for certificates where its builder had them; Python knows where this system does."""
    found = ssl.get_default_verify_paths().cafile if sys.platform == "linux" else None
    return {"ca-certificate": found} if found else {}
