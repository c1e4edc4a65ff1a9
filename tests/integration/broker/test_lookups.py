"""A broker that is away, behind a resolver that takes its time: a process that is told to stop still ends at once."""

import subprocess
import sys
import time

PROGRAM = """
import socket, sys, time
import anyio
from coordinator.main import run_coordinator
from schemas.settings import NatsSettings, Settings

def slow(*_, **__):
    print("looking it up", flush=True)
    time.sleep(30)
    raise socket.gaierror(socket.EAI_AGAIN, "no answer")

socket.getaddrinfo = slow

async def main():
    with anyio.move_on_after(0.5):
        await run_coordinator(Settings(nats=NatsSettings(url="nats://broker.invalid:4222")))

anyio.run(main)
"""


def test_the_end_waits_for_no_look_up() -> None:
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "looking it up" in done.stdout
    assert time.monotonic() - began < 20
