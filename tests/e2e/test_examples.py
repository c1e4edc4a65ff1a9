"""Every command that the help, the README and the pages of docs show is run on a real cluster, and does its work."""

import json
import re
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import anyio
import pytest

from broker.cluster import Client, open_client
from broker.credentials import Keyring
from broker.embedded import KEYS, lay_out
from broker.roles import Role
from schemas.request import Request
from tests.harness.examples import Ran, Rule, beside, command_line, every_example, run
from tests.harness.processes import Up, running_up
from tests.harness.tracker import make
from tests.harness.waiting import eventually
from tests.integration.node.origin import Origin, serve

EXEMPT = {
    "curl ": "curl is no dependency: tests/gateway asks the same of a gateway",
    "docker ": "needs a Docker engine: tests/compose runs these",
    "make ": "makes an environment and runs this very suite; `make demo` is `downdraft demo`, which is run here",
    "nats ": "the nats command line is no dependency: tests/e2e/test_wire.py speaks the same wire",
}
"""Lines that begin so are not run, and why."""

FILE = b"what the origin serves\n"
QUIET = "--nats-port 0 --no-gateway"
SMALL = f"{QUIET} --nodes 1"
RULES = {
    "downdraft up": Rule("HTTP http://", until_shown=True, apart=True, adds="--nats-port 0 --gateway-port 0"),
    "downdraft up --nodes 2 --slots 8": Rule("nodes node-1, node-2 ", until_shown=True, apart=True, adds=QUIET),
    "downdraft up --detach": Rule("It runs in the background", apart=True, adds=SMALL),
    "downdraft up --nodes 4 --slots 16 --nats-port 0": Rule(
        "node-4", until_shown=True, apart=True, adds="--no-gateway"
    ),
    "downdraft up --node-tag node-2:ssd --allow-net 127.0.0.0/8": Rule(
        "ready", until_shown=True, apart=True, adds=QUIET
    ),
    "downdraft down": Rule("ended 6 processes in their order", apart=True, before=f"up -d {SMALL}"),
    "downdraft down --data downdraft-data --json": Rule('"processes":6', apart=True, before=f"up -d {SMALL}"),
    "downdraft coordinator --server nats://broker:4222 --creds keys/coordinator.creds": Rule(
        "standing by", until_shown=True
    ),
    "downdraft node --id attic --server nats://broker:4222 --creds keys/node-attic.creds --tag ssd": Rule(
        "node ready", until_shown=True
    ),
    "downdraft node --id attic --server nats://broker:4222 --creds keys/node-attic.creds --tag ssd --slots 16": Rule(
        '"slots": ?16', until_shown=True, alone=True
    ),
    (
        "downdraft node --one-of keys --server nats://broker:4222 --downloads /srv/downloads --state /var/lib/downdraft"
    ): Rule('"node": ?"shed"', until_shown=True, swap={"/srv/downloads": "files", "/var/lib/downdraft": "state"}),
    "downdraft gateway --server nats://broker:4222 --creds keys/gateway.creds --port 8080": Rule(
        "gateway ready", until_shown=True, swap={"8080": "0"}
    ),
    'downdraft key create --owner team-a --note "nightly mirror"': Rule(r"^dd_[0-9a-f]{8}_[A-Za-z0-9_-]{32}$"),
    "downdraft key create --owner ops --scope admin --json": Rule('"scopes":\\["admin"\\]'),
    "downdraft key ls --all": Rule("^key +owner"),
    "downdraft key revoke 1a2b3c4d": Rule("there is no API key .1a2b3c4d.", code=1),
    "downdraft keys --folder keys --node attic --node cellar --owner team-a": Rule("keys/node-cellar.creds"),
    "downdraft keys --folder keys --node cabin-1 --node cabin-2 --leaf hub": Rule("keys/leaf.creds"),
    "downdraft keys --folder keys --node attic --node cellar --node shed": Rule("keys/node-shed.creds"),
    "downdraft backup backup-monday": Rule("^TASKS +[0-9,]+ messages"),
    "downdraft backup backup-monday --server nats://broker:4222 --creds keys/admin.creds": Rule("^TASKS .* messages"),
    "downdraft restore backup-monday --server nats://broker:4222 --creds keys/admin.creds": Rule(
        "has streams already", code=1, before="backup backup-monday"
    ),
    "downdraft restore backup-monday --replicas 3 --server nats://broker:4222 --creds keys/admin.creds": Rule(
        "has streams already", code=1, before="backup backup-monday"
    ),
    "nats-server -c nats.conf": Rule(
        "Server is ready", until_shown=True, apart=True, before="keys --folder keys", adds="-a 127.0.0.1 -p -1"
    ),
    "downdraft drill": Rule(
        "^drill: of 40 tasks lost 0, doubled 0", apart=True, adds="--tasks 40 --seconds 5", slow=True
    ),
    "downdraft drill --tasks 2000 --seconds 120": Rule(
        "^drill: of 40 tasks lost 0, doubled 0", apart=True, adds="--tasks 40 --seconds 5", slow=True
    ),
    "downdraft drill --seed 4711 --json": Rule('"balanced":true', apart=True, adds="--tasks 40 --seconds 5", slow=True),
    "downdraft demo": Rule("24 of 24 completed and verified, 1 failed as intended, 0 lost", apart=True, adds="--small"),
    "downdraft submit https://example.org/debian.iso --wait": Rule("completed"),
    "downdraft submit https://example.org/f.iso --wait": Rule("completed"),
    "downdraft submit https://a.example/f https://b.example/f --out f --checksum sha-256=…": Rule(
        r"^[0-9a-f]{16}$", swap={"sha-256=…": f"sha-256={sha256(FILE).hexdigest()}"}
    ),
    "downdraft submit https://example.org/big --tag ssd --priority 5 --label project=mirror": Rule(r"^[0-9a-f]{16}$"),
    "downdraft submit https://example.org/big --prefer-tag zone=eu --avoid-tag metered --bandwidth 20M": Rule(
        r"^[0-9a-f]{16}$"
    ),
    "downdraft submit https://example.org/big --paused": Rule(r"^[0-9a-f]{16}$"),
    "downdraft submit https://example.org/f.iso --dir '{owner}/{date}' --if-exists skip-if-same": Rule(
        r"^[0-9a-f]{16}$"
    ),
    "downdraft submit --torrent debian.torrent --option select-file=1,3 --wait": Rule("completed"),
    "downdraft submit https://example.org/debian.torrent": Rule(r"^[0-9a-f]{16}$"),
    "downdraft submit --torrent debian.torrent --option select-file=1,3": Rule(r"^[0-9a-f]{16}$"),
    (
        "downdraft submit 'magnet:?xt=urn:btih:0123456789abcdef0123456789abcdef01234567"
        "&tr=https%3A%2F%2Ftracker.example%2Fannounce'"
    ): Rule(r"^[0-9a-f]{16}$"),
    "downdraft submit --input-file list.txt --dir mirror --id-prefix nightly-2031-05-01 --wait": Rule("completed"),
    "downdraft ls": Rule(r"[0-9a-f]{16}  completed ", task="completed"),
    "downdraft ls --json": Rule('"state":"completed"', task="completed"),
    "downdraft ls --origin '*.example.org' --label project=mirror --json": Rule(
        '"state":"active"', task="active", swap={"*.example.org": "127.0.0.1"}
    ),
    "downdraft ls --state failed --since 2h": Rule(r"[0-9a-f]{16}  failed .* the origin answered 404", task="failed"),
    "downdraft ls --owner team-a --label project=mirror --json": Rule('"owner":"team-a"', task="completed"),
    "downdraft ls --sort queue --owner team-a": Rule("queued .* archive", task="queued"),
    "downdraft ls --sort queue --limit 20": Rule("queued .* archive", task="queued"),
    "downdraft show 0123456789abcdef": Rule("^state +completed$", task="completed"),
    "downdraft explain 0123456789abcdef": Rule("^waits: (?s:.*)lacks the tag archive", task="queued"),
    "downdraft explain 0123456789abcdef --json": Rule('"excluded":"lacks the tag archive"', task="queued"),
    "downdraft watch": Rule("running", code=130, until_shown=True, stir=True, terminal=True),
    "downdraft events": Rule("finished.completed", code=130, until_shown=True, stir=True),
    "downdraft events --json": Rule('"type":"finished.completed"', code=130, until_shown=True, stir=True),
    "downdraft watch --tag archive": Rule("running", code=130, until_shown=True, terminal=True),
    "downdraft events --since 2h --type failed": Rule("finished.failed", task="failed"),
    """downdraft events --since 10m --follow --quiet --exec 'sh -c "echo $DOWNDRAFT_TASK $DOWNDRAFT_OUTCOME"'""": Rule(
        "^[0-9a-f]{16} completed$", code=130, until_shown=True, stir=True
    ),
    "downdraft events --since 2h --follow --json": Rule(
        '"type":"finished.completed"', code=130, until_shown=True, stir=True
    ),
    "downdraft events 0123456789abcdef --since 7d": Rule("finished.completed", task="completed"),
    "downdraft events --quiet --exec ./on-end.sh": Rule(
        "^script heard completed", code=130, until_shown=True, stir=True
    ),
    "downdraft events --since 1h --follow --quiet --exec ./on-end.sh": Rule(
        "^script heard completed", code=130, until_shown=True, task="completed"
    ),
    "downdraft nodes": Rule(r"node-2.*ssd"),
    "downdraft nodes --json": Rule('"node":"node-2"'),
    "downdraft nodes --server nats://broker:4222 --creds keys/operator.creds": Rule("node-1"),
    "downdraft stats": Rule("^nodes online +[23] "),
    "downdraft stats --json": Rule('"nodes_online":'),
    "downdraft policy show": Rule("^strategy "),
    "downdraft policy show --toml": Rule("^# Revision "),
    "downdraft policy show --json": Rule('"strategies":'),
    "downdraft policy set strategy=bin-pack": Rule("^strategy .* bin-pack$", alone=True),
    "downdraft policy set --strategy spread --spread-tag zone": Rule("^spread_tag .* zone$", adds="--dry-run"),
    "downdraft policy set --owner alice weight=2 queued=1000 --owner '*' queued=10000": Rule(
        r"^owners.\*.queued .* 10,000$", adds="--dry-run"
    ),
    "downdraft policy set --origin '*.example.org' running=4 bytes_per_s=20M --dry-run": Rule("nothing was set"),
    "downdraft policy set --window 'Mon-Fri 08:00-18:00 20M' --time-zone Europe/Berlin": Rule(
        "^bandwidth .* Mon-Fri 08:00-18:00 20 MiB/s$", adds="--dry-run"
    ),
    "downdraft policy set --file policy.toml": Rule("^strategy .* round-robin$", adds="--dry-run"),
    "downdraft cancel 0123456789abcdef": Rule(r"✓ [0-9a-f]{16}  being cancelled", task="active"),
    "downdraft cancel 0123456789abcdef --keep-partial": Rule(r"✓ [0-9a-f]{16}  being cancelled", task="active"),
    "downdraft cancel --label project=mirror --since 2h": Rule("✓ .* being cancelled", alone=True, task="active"),
    "downdraft cancel --state queued --origin '*.example.org' --dry-run": Rule(
        "cancel: [1-9].* nothing was done", task="queued", swap={"*.example.org": "127.0.0.1"}
    ),
    "downdraft cancel --state queued --tag archive --dry-run": Rule("cancel: [1-9].* nothing was done", task="queued"),
    "downdraft cancel --state queued --tag archive": Rule("✓ .* cancelled", alone=True, task="queued"),
    "downdraft pause 0123456789abcdef": Rule("✓ .* paused", task="active"),
    "downdraft pause --node attic --state active": Rule(
        "✓ .* paused", alone=True, task="active", swap={"attic": "node-2"}
    ),
    "downdraft pause --node attic": Rule("✓ .* paused", alone=True, task="active", swap={"attic": "node-2"}),
    "downdraft resume 0123456789abcdef": Rule("✓ .* resumed", task="paused"),
    "downdraft resume --all": Rule("✓ .* resumed", alone=True, task="paused"),
    "downdraft retry 0123456789abcdef": Rule("tried again as [0-9a-f]{16}", task="failed"),
    "downdraft retry --state failed --since 1h": Rule("tried again as [0-9a-f]{16}", alone=True, task="failed"),
    "downdraft prioritise 0123456789abcdef --front": Rule("✓ .* goes first", task="queued"),
    "downdraft prioritise 0123456789abcdef --position 3": Rule("✓ .* priority 0, ", task="queued"),
    "downdraft prioritise 0123456789abcdef --priority 0 --position 3": Rule("✓ .* priority 0, ", task="queued"),
    "downdraft prioritise --label project=mirror --priority 5": Rule(r"✓ .* priority \+5", alone=True, task="queued"),
    "downdraft prioritise --label project=mirror --back": Rule("✓ .* priority 0, ", alone=True, task="queued"),
    "downdraft prioritise --tag archive --priority -5": Rule("✓ .* priority -5, ", alone=True, task="queued"),
    "downdraft clear": Rule("✓ .* cancelled", alone=True, task="queued"),
    "downdraft clear --tag archive --yes": Rule("✓ .* cancelled", alone=True, task="queued"),
    "downdraft get 0123456789abcdef": Rule(r"✓ [0-9a-f]{16}  completed-\d+ ", task="completed"),
    "downdraft get 0123456789abcdef fedcba9876543210 -o ~/Downloads/": Rule(
        r"(?s)(✓.*/Downloads/completed-.*){2}", task="completed"
    ),
    "downdraft get 0123456789abcdef -o ~/Downloads/": Rule(r"✓ .*/Downloads/completed-", task="completed"),
    "downdraft get 0123456789abcdef -o -": Rule(FILE.decode(), task="completed"),
    "downdraft rm 0123456789abcdef": Rule("being cancelled", task="active"),
    "downdraft rm 0123456789abcdef --files --yes": Rule(r"node-\d:completed-\d+ deleted", task="completed"),
    "downdraft cordon attic": Rule("✓ node-2  cordoned", alone=True, swap={"attic": "node-2"}, after="uncordon node-2"),
    'downdraft cordon --with-tag zone=b --reason "switch is replaced"': Rule(
        "✓ node-2  cordoned", alone=True, swap={"zone=b": "ssd"}, after="uncordon node-2"
    ),
    "downdraft uncordon attic": Rule("✓ node-2  takes tasks", alone=True, swap={"attic": "node-2"}),
    "downdraft drain attic": Rule("✓ node-2  draining", alone=True, swap={"attic": "node-2"}, after="uncordon node-2"),
    'downdraft drain attic cellar --now --wait --reason "new disks"': Rule(
        "(?s)✓ node-[12]  drained.*✓ node-[12]  drained",
        alone=True,
        swap={"attic": "node-1", "cellar": "node-2"},
        after="uncordon node-1 node-2",
    ),
    "downdraft node-set attic --slots 4": Rule(
        "✓ node-2  takes tasks, 4 slots", alone=True, swap={"attic": "node-2"}, after="node-set node-2 --own-slots"
    ),
    "downdraft node-set attic --tag ssd --untag slow": Rule(
        "✓ node-2  takes tasks, tags fast$",
        alone=True,
        swap={"attic": "node-2", "ssd": "fast", "slow": "ssd"},
        after="node-set node-2 --own-tags",
    ),
    "downdraft node-set attic --own-slots --own-tags": Rule(
        "✓ node-2  takes tasks", alone=True, swap={"attic": "node-2"}
    ),
    "downdraft node-set attic --download-limit 20M --upload-limit none": Rule(
        "✓ node-2  takes tasks, downloads at 20 MiB/s",
        alone=True,
        swap={"attic": "node-2"},
        after="node-set node-2 --download-limit none",
    ),
    "downdraft node-set attic --paused": Rule(
        "✓ node-2  paused", alone=True, swap={"attic": "node-2"}, after="node-set node-2 --resumed"
    ),
    "downdraft node-set attic --resumed": Rule("✓ node-2  takes tasks", alone=True, swap={"attic": "node-2"}),
    "downdraft limit 0123456789abcdef --download 2M": Rule("✓ .* downloads at 2 MiB/s", task="queued"),
    "downdraft limit --tag archive --download none": Rule(
        "✓ .* downloads without a limit of its own", alone=True, task="queued"
    ),
    "downdraft doctor": Rule("✓ nats-server "),
    "downdraft doctor --json": Rule("binaries.aria2c"),
    "downdraft config": Rule("^nats.url +nats://127.0.0.1:4222 +default"),
    "downdraft config --changed --json": Rule(""),
    "downdraft schema": Rule('"title": "Downdraft'),
    "downdraft schema request": Rule('"title": "Downdraft .*: request"'),
    "downdraft schema finished.completed": Rule('"title": "Downdraft .*: finished.completed"'),
    "downdraft schema --asyncapi": Rule('"asyncapi": "3'),
}
"""Every example, as it is typed up to the first pipe or comment."""

EXAMPLES = [line for line in every_example() if not line.startswith(tuple(EXEMPT))]
OTHER_TASK = "fedcba9876543210"
AT_ONCE = 3
"""Two cores; some wait for downloads."""


class Stage:
    """The cluster, the origin and the placeholders' real values."""

    def __init__(self, cluster: Up, origin: Origin, client: Client) -> None:
        self.cluster = cluster
        self.origin = origin
        self.client = client
        self._keyring = Keyring(cluster.folder / "downdraft-data" / KEYS)
        self._count = 0

    def words(self, tasks: tuple[str, str]) -> dict[str, str]:
        """What stands in the examples, and what it is replaced by."""
        return {
            "https://example.org/": self.origin.url("file/"),
            "https://a.example/": self.origin.url("file/"),
            "https://b.example/": self.origin.url("file/b-"),
            "0123456789abcdef": tasks[0],
            OTHER_TASK: tasks[1],
            "nats://broker:4222": self.cluster.url,
            "keys/coordinator.creds": self.cluster.creds("coordinator"),
            "keys/gateway.creds": self.cluster.creds("gateway"),
            "keys/operator.creds": self.cluster.creds("operator"),
            "keys/admin.creds": self.cluster.creds("admin"),
            "--one-of keys": f"--one-of {self._keys_of('shed')}",
            "keys/node-attic.creds": str(self._keyring.credentials(Role.NODE, "attic")),
        }

    def _keys_of(self, node: str) -> Path:
        """A folder with the credentials of one node and no other."""
        file = self._keyring.credentials(Role.NODE, node)
        folder = self.cluster.folder / f"keys-of-{node}"
        folder.mkdir(exist_ok=True)
        (folder / file.name).write_bytes(file.read_bytes())
        return folder

    async def task(self, state: str) -> str:
        """A task of the owner team-a in a state; '' without one."""
        if not state:
            return "0" * 16
        self._count += 1
        name = f"{state}-{self._count}"
        path = {"active": "slow/big", "paused": "slow/big", "failed": "status/404"}.get(state, f"file/{name}")
        request = Request(
            uris=(self.origin.url(path),),
            out=name,
            labels={"project": "mirror"},
            tags={"queued": ("archive",), "active": ("ssd",)}.get(state, ()),
            id=name,
        )
        task = await self.client.submit(request, "team-a")
        if state == "paused":
            await self.cluster.state(task, "active")
            await self.client.steer("pause", (task,))

        async def is_there() -> bool:
            view = await self.cluster.show(task)
            return view.get("desired") == "pause" if state == "paused" else view.get("state") == state

        await eventually(is_there, within_s=40, what=f"a task that is {state}")
        return str(task)

    @asynccontextmanager
    async def stirring(self, wanted: bool) -> AsyncIterator[None]:
        """Small downloads, one after the other, for the length of the block."""

        async def stir() -> None:
            while True:
                await self.client.submit(Request(uris=(self.origin.url("file/stir"),)))
                await anyio.sleep(0.5)

        async with anyio.create_task_group() as tasks:
            if wanted:
                tasks.start_soon(stir)
            yield
            tasks.cancel_scope.cancel()

    async def run(self, line: str, rule: Rule, folder: Path) -> Ran:
        """Run one example in an empty folder, below the cluster's unless it must be apart."""
        (folder / "Downloads").mkdir(parents=True)
        (folder / "list.txt").write_text(f"{self.origin.url('file/one')}\n{self.origin.url('file/two')}\n")
        # Its web seed is the origin, which has the same file under every name.
        listed = dict.fromkeys(("one", "two", "three"), FILE)
        (folder / "debian.torrent").write_bytes(make("file", listed, web_seeds=[self.origin.url("")]).torrent)
        (folder / "policy.toml").write_text('strategy = "round-robin"\n')
        script = folder / "on-end.sh"
        script.write_text('#!/bin/sh\necho "script heard $DOWNDRAFT_OUTCOME"\n')
        script.chmod(0o755)
        lay_out(folder)
        words = (
            {"~/": f"{folder}/"}
            | dict(rule.swap)
            | self.words((await self.task(rule.task), await self.task(rule.task if OTHER_TASK in line else "")))
        )
        if rule.before:
            await beside(rule.before, folder)
        try:
            async with self.stirring(rule.stir):
                return await run(command_line(line, words, rule.adds), folder, rule)
        finally:
            if rule.after:
                await beside(rule.after, folder)
            if rule.apart:
                await beside("down", folder)


async def run_all(cluster: Up, lines: list[str], apart: Path) -> dict[str, Ran]:
    """Run the examples, most of them at once; a few change what others look at and run after them."""
    ran: dict[str, Ran] = {}
    limiter = anyio.CapacityLimiter(AT_ONCE)
    async with serve() as origin, open_client(cluster.url, cluster.creds("operator")) as client:
        origin.files = Served()
        stage = Stage(cluster, origin, client)

        async def one(line: str) -> None:
            async with limiter:
                rule = RULES[line]
                home = apart if rule.apart else cluster.folder / "examples"
                try:
                    ran[line] = await stage.run(line, rule, home / f"{EXAMPLES.index(line)}")
                except Exception:  # this example's affair; the others go on
                    ran[line] = Ran(-1, "", traceback.format_exc(), shown=False)

        async with anyio.create_task_group() as tasks:
            # Those that start clusters take longest: they begin first.
            for line in sorted(lines, key=lambda line: not RULES[line].apart):
                if not RULES[line].alone:
                    tasks.start_soon(one, line)
        for line in lines:
            if RULES[line].alone:
                await one(line)
    return ran


class Served(dict[str, bytes]):
    """The same small file under every name, and a big one."""

    def get(self, name: str, default: Any = None) -> Any:
        return bytes(64 << 20) if name == "big" else FILE


@pytest.fixture(scope="module")
def ran(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ran]:
    """What came of the examples that this run of the tests selected."""
    chosen = {
        item.callspec.params["line"]
        for item in request.session.items
        if hasattr(item, "callspec") and "line" in item.callspec.params
    }
    lines = [line for line in EXAMPLES if line in chosen and line in RULES]
    with running_up(tmp_path_factory.mktemp("shared"), "--node-tag", "node-2:ssd") as cluster:
        return anyio.run(run_all, cluster, lines, tmp_path_factory.mktemp("apart"))


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "line",
    [
        pytest.param(line, marks=[pytest.mark.slow] if line in RULES and RULES[line].slow else [], id=line)
        for line in EXAMPLES
    ],
)
def test_an_example_does_what_it_says(line: str, ran: dict[str, Ran]) -> None:
    assert line in RULES, (
        f'a new example: add to RULES in {__name__} how to run it and what it must print:\n  {line!r}: Rule("…"),'
    )
    rule, done = RULES[line], ran[line]
    assert done.code == rule.code, done
    assert re.search(rule.says, done.out + done.err, re.MULTILINE), done
    assert "Traceback" not in done.err, done.err
    if "--json" in line:
        for printed in done.out.splitlines():
            json.loads(printed)


def test_no_rule_is_left_of_an_example_that_is_gone() -> None:
    assert set(RULES) - set(EXAMPLES) == set()
