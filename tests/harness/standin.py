"""Stand-ins for aria2c, given by `node.aria2_binary`: scripts that misbehave for a while and then are the real one.

Each start is counted in a file beside the script, so that a test can say which of them are bad.
"""

import stat
import sys
from pathlib import Path

HEADER = """#!{python}
import os, sys
folder, real, lane, bad = {folder!r}, {real!r}, {lane!r}, {bad}
ours = any("aria2-" + lane + ".conf" in argument for argument in sys.argv)
count = 0
if ours:
    with open(folder + "/starts", "a+") as starts:
        starts.write("x")
        starts.flush()
        count = os.path.getsize(folder + "/starts")
if not ours or count > bad:
    os.execv(real, [real, *sys.argv[1:]])
"""

PROXY = """
import socket, subprocess, threading, time
how = {how!r}
port = next(a for a in sys.argv if a.startswith("--rpc-listen-port=")).partition("=")[2]
with socket.socket() as probing:
    probing.bind(("127.0.0.1", 0))
    inner = str(probing.getsockname()[1])
arguments = [a.replace("=" + port, "=" + inner) if "rpc-listen-port" in a else a for a in sys.argv[1:]]
arguments = [a for a in arguments if "stop-with-process" not in a] + ["--stop-with-process=" + str(os.getpid())]
if how == "still":
    hole = socket.create_server(("127.0.0.1", 0), backlog=100)
    arguments.append("--all-proxy=http://127.0.0.1:%d" % hole.getsockname()[1])
child = subprocess.Popen([real, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
fine = {fine}
lock = threading.Lock()

def read(stream):
    head = b""
    while b"\\r\\n\\r\\n" not in head:
        part = stream.recv(65536)
        if not part:
            return None
        head += part
    top, _, body = head.partition(b"\\r\\n\\r\\n")
    length = [int(l.split(b":")[1]) for l in top.split(b"\\r\\n") if l.lower().startswith(b"content-length:")]
    while len(body) < (length or [0])[0]:
        body += stream.recv(65536)
    return top, body

def answer(client):
    global fine
    while True:
        asked = read(client)
        if asked is None:
            return
        if how == "dies" and b"WORD" in asked[1] and b"addUri" in asked[1]:
            child.kill()
            os._exit(1)
        try:
            with socket.create_connection(("127.0.0.1", int(inner))) as server:
                server.sendall(asked[0].replace(b"gzip", b"identity") + b"\\r\\n\\r\\n" + asked[1])
                top, body = read(server)
        except OSError:
            return
        with lock:
            fine -= 1
            is_fine = fine >= 0
        status, kind = "200 OK", "application/json-rpc"
        if not is_fine:
            if how == "500":
                status, body = "500 Internal", b"out of order"
            elif how == "truncated":
                body = body[: len(body) // 2]
            elif how == "html":
                kind, body = "text/html", b"<html>hello</html>"
            elif how == "wrong ids":
                body = body.replace(b'"gid":"', b'"gid":"f')
            elif how == "closes":
                client.close()
                return
            elif how == "endless":
                client.sendall(b"HTTP/1.1 200 OK\\r\\nConnection: close\\r\\n\\r\\n[")
                while True:
                    client.sendall(b" " * 65536)
            elif how == "frozen":
                time.sleep(1000)
        said = "HTTP/1.1 %s\\r\\nContent-Type: %s\\r\\nContent-Length: %d\\r\\n\\r\\n" % (status, kind, len(body))
        client.sendall(said.encode() + body)

def serve(client):
    try:
        with client:
            answer(client)
    except OSError:
        pass

listener = socket.create_server(("127.0.0.1", int(port)))
while True:
    client, _ = listener.accept()
    threading.Thread(target=serve, args=(client,), daemon=True).start()
"""


def _write(folder: Path, script: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "aria2c-stand-in"
    path.write_text(script)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def starts(folder: Path) -> int:
    """How often the lane's stand-in was started."""
    counted = folder / "starts"
    return counted.stat().st_size if counted.exists() else 0


def talks_nonsense(folder: Path, real: Path, lane: str, how: str, *, bad: int = 1, fine: int = 3) -> Path:
    """Its first `bad` starts answer rightly `fine` times, then as `how` says."""
    head = HEADER.format(python=sys.executable, folder=str(folder), real=str(real), lane=lane, bad=bad)
    return _write(folder, head + PROXY.format(how=how, fine=fine))


def dies_of(folder: Path, real: Path, lane: str, word: str) -> Path:
    """It dies whenever it is given an address with `word` in it."""
    head = HEADER.format(python=sys.executable, folder=str(folder), real=str(real), lane=lane, bad=1 << 30)
    proxy = PROXY.format(how="dies", fine=1 << 30)
    return _write(folder, head + proxy.replace("WORD", word))
