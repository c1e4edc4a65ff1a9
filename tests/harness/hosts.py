"""Hosts with addresses of their own on one machine, whose network can be cut and made to lose packets.

Each host is a network namespace, plugged into a switch that is a namespace too: the machine's own network is never
touched. Needs root, iproute2 and nftables; where they are missing `usable` says why.
"""

import asyncio
import ctypes
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from tests.harness.link import Dial, Ends

NETNS = Path("/run/netns")
PREFIX = "downdraft"
CLONE_NEWNET = 0x40000000
_IP = shutil.which("ip") or "ip"
SUBNET = "10.77.9"
"""The same for every run: namespaces of different switches never meet."""
_numbers = count(1)


def usable() -> str:
    """Why there can be no hosts here; empty where there can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if missing := [tool for tool in ("ip", "nft") if shutil.which(tool) is None]:
        return f"network namespaces need {' and '.join(missing)}"
    try:
        with network() as trial:
            trial.host().lose(50)
    except subprocess.CalledProcessError as error:
        return f"no network namespaces here: {error.stderr.strip()}"
    return ""


class Host:
    """One namespace with an address."""

    def __init__(self, network: "Network", number: int) -> None:
        self._network = network
        self._port = f"port{number}"
        """Its plug in the switch."""
        self.name = f"{network.name}-{number}"
        self.address = f"{SUBNET}.{number}"

    def __repr__(self) -> str:
        return f"<Host {self.name} at {self.address}>"

    def command(self, command: Sequence[str]) -> list[str]:
        """The command that runs `command` on this host."""
        return [_IP, "netns", "exec", self.name, *command]

    def dial(self, port: int) -> Dial:
        """For a `Link`: connects from outside to a port of this host, by the host's own loopback.

        That way stays open whatever is cut: it is for looking, not for the processes under test.
        """

        async def connected() -> Ends:
            there = self.open_socket()
            there.setblocking(False)
            await asyncio.get_running_loop().sock_connect(there, ("127.0.0.1", port))
            return await asyncio.open_connection(sock=there)

        return connected

    def open_socket(self) -> socket.socket:
        """A TCP socket of this host's network in the test's own process."""
        made: list[socket.socket | OSError] = []

        def enter() -> None:  # in a thread that ends with it: a namespace is a thread's own affair
            with (NETNS / self.name).open() as namespace:
                if _libc.setns(namespace.fileno(), CLONE_NEWNET):
                    made.append(OSError(ctypes.get_errno(), f"can't enter {self.name}"))
                else:
                    made.append(socket.socket())

        thread = threading.Thread(target=enter)
        thread.start()
        thread.join()
        (result,) = made
        if isinstance(result, OSError):
            raise result
        return result

    def listen(self, port: int) -> socket.socket:
        """For a `Link`: a listening socket at this host's address, for the other hosts."""
        return self._listening(self.address, port)

    def listen_inside(self, port: int) -> socket.socket:
        """For a `Link`: a listening socket on this host's loopback, which nothing cuts off."""
        return self._listening("127.0.0.1", port)

    def _listening(self, address: str, port: int) -> socket.socket:
        listener = self.open_socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(128)
        return listener

    def cut(self) -> None:
        """Every packet from and to this host is lost from now on; nobody is told."""
        self.lose(100, sent=100)

    def lose(self, received: int, *, sent: int = 0) -> None:
        """Lose so many percent of what it receives, and of what it sends; 0: none any more."""
        inward, outward = (self.name, "eth0", received), (self._network.name, self._port, sent)
        for namespace, device, percent in (inward, outward):
            _nft(namespace, f"table netdev {device}\ndelete table netdev {device}")
            if percent:
                chance = "" if percent >= 100 else f"numgen random mod 100 < {percent} "
                hook = f'type filter hook ingress device "{device}" priority 0'
                _nft(namespace, f"table netdev {device} {{ chain lossy {{ {hook}; {chance}counter drop; }}; }}")

    def heal(self) -> None:
        """Lose nothing any more."""
        self.lose(0)


class Network:
    """A switch and its hosts; make it with `network`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.hosts: list[Host] = []

    def host(self) -> Host:
        """Plug one more host in."""
        host = Host(self, len(self.hosts) + 1)
        self.hosts.append(host)
        _ip("netns", "add", host.name)
        _ip("-n", host.name, "link", "set", "lo", "up")
        _ip("link", "add", host._port, "netns", self.name, "type", "veth", "peer", "name", "eth0", "netns", host.name)
        _ip("-n", self.name, "link", "set", host._port, "master", "switch", "up")
        _ip("-n", host.name, "addr", "add", f"{host.address}/24", "dev", "eth0")
        _ip("-n", host.name, "link", "set", "eth0", "up")
        return host


@contextmanager
def network() -> Iterator[Network]:
    """A switch without hosts for the length of the block; afterwards all of it is gone, processes on hosts included."""
    _remove_leftovers()
    made = Network(f"{PREFIX}-{os.getpid()}-{next(_numbers)}")
    try:
        _ip("netns", "add", made.name)
        _ip("-n", made.name, "link", "add", "switch", "type", "bridge")
        _ip("-n", made.name, "link", "set", "switch", "up")
        yield made
    finally:
        for name in [*(host.name for host in made.hosts), made.name]:
            _remove(name)


def _remove(name: str) -> None:
    """A namespace and what runs in it: a process would keep it alive unseen."""
    for pid in _ip("netns", "pids", name, check=False).split():
        with suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
    _ip("netns", "delete", name, check=False)


def _remove_leftovers() -> None:
    """Namespaces of test runs that were killed."""
    for file in NETNS.glob(f"{PREFIX}-*"):
        found = re.fullmatch(rf"{PREFIX}-(\d+)-[\d-]+", file.name)
        if found and not Path("/proc", found[1]).exists():
            _remove(file.name)


def _ip(*arguments: str, check: bool = True) -> str:
    done = subprocess.run([_IP, *arguments], capture_output=True, text=True, check=check)
    return done.stdout


def _nft(namespace: str, rules: str) -> None:
    _ip("netns", "exec", namespace, "nft", rules)


_libc = ctypes.CDLL(None, use_errno=True)
