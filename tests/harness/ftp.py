"""Real FTP and SFTP servers on loopback, each with one folder and one user."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from threading import Thread

import asyncssh
from asyncssh.connection import SSHConnection
from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import DTPHandler, FTPHandler, ThrottledDTPHandler
from pyftpdlib.ioloop import IOLoop
from pyftpdlib.servers import FTPServer

USER, PASSWORD = "ann", "s3cret word"
LOOP_S = 0.05


class FtpOrigin:
    """Serves `folder` to USER, and to whom no name is asked of as well."""

    def __init__(self, folder: Path, *, bytes_per_s: int = 0) -> None:
        """`bytes_per_s`: of each connection; 0 for as fast as it goes."""
        self.folder = folder
        self.commands: list[str] = []
        """As they came, without passwords."""
        self._loop = IOLoop()
        self._is_over = False
        self._server = FTPServer(("127.0.0.1", 0), self._handler(bytes_per_s), ioloop=self._loop)
        self.port = int(self._server.address[1])

    def url(self, name: str, login: str = "") -> str:
        return f"ftp://{login}{'@' if login else ''}127.0.0.1:{self.port}/{name}"

    def cut(self) -> None:
        """Break every connection that stands now."""
        self._loop.call_later(0, self._close_all)

    def serve(self) -> None:
        """Until `stop`; in a thread of its own."""
        while not self._is_over:
            self._loop.loop(timeout=LOOP_S, blocking=False)
        self._server.close_all()

    def stop(self) -> None:
        self._is_over = True

    def _close_all(self) -> None:
        for one in list(self._loop.socket_map.values()):
            if isinstance(one, FTPHandler | DTPHandler):
                one.close()

    def _handler(self, bytes_per_s: int) -> type[FTPHandler]:
        who = DummyAuthorizer()
        who.add_user(USER, PASSWORD, str(self.folder), perm="elr")
        who.add_anonymous(str(self.folder), perm="elr")
        commands = self.commands

        class Data(ThrottledDTPHandler):  # type: ignore[misc]
            write_limit = bytes_per_s

        class Handler(FTPHandler):  # type: ignore[misc]
            authorizer = who
            dtp_handler = Data
            use_sendfile = False
            auth_failed_timeout = 0

            def pre_process_command(self, line: str, cmd: str, arg: str) -> None:
                commands.append("PASS" if cmd == "PASS" else line)
                super().pre_process_command(line, cmd, arg)

        return Handler


@asynccontextmanager
async def ftp_origin(folder: Path, *, bytes_per_s: int = 0) -> AsyncIterator[FtpOrigin]:
    """Serve for the length of the block."""
    origin = FtpOrigin(folder, bytes_per_s=bytes_per_s)
    thread = Thread(target=origin.serve, name="ftp origin")
    thread.start()
    try:
        yield origin
    finally:
        origin.stop()
        await asyncio.to_thread(thread.join)


class _Server(asyncssh.SSHServer):
    def begin_auth(self, username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == (USER, PASSWORD)


class SftpOrigin:
    """Serves `folder` to USER."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = 0
        self.key = asyncssh.generate_private_key("ecdsa-sha2-nistp256")
        self.pause_s = 0.0
        """Before each block that is read."""
        self.connections: list[SSHConnection] = []

    def url(self, name: str) -> str:
        return f"sftp://127.0.0.1:{self.port}/{name}"

    def cut(self) -> None:
        """Break every connection that stands now."""
        for one in self.connections:
            one.abort()
        self.connections.clear()


@asynccontextmanager
async def sftp_origin(folder: Path) -> AsyncIterator[SftpOrigin]:
    """Serve for the length of the block."""
    origin = SftpOrigin(folder)

    class Files(asyncssh.SFTPServer):
        def __init__(self, channel: "asyncssh.SSHServerChannel[bytes]") -> None:
            super().__init__(channel, chroot=str(origin.folder).encode())
            origin.connections.append(channel.get_connection())

        async def read(self, file_obj: object, offset: int, size: int) -> bytes:
            if origin.pause_s:
                await asyncio.sleep(origin.pause_s)
            return bytes(super().read(file_obj, offset, size))  # type: ignore[arg-type]

    server = await asyncssh.listen(
        "127.0.0.1", 0, server_factory=_Server, server_host_keys=[origin.key], sftp_factory=Files
    )
    origin.port = server.get_port()
    try:
        yield origin
    finally:
        server.close()
