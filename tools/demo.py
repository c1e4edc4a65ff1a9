"""`downdraft demo`: the main job from end to end, and a check that it was done right."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import anyio
from anyio import to_thread
from rich.console import Console
from rich.markup import escape

from broker.cluster import Client, open_client
from broker.outcomes import latest_outcomes
from broker.roles import Role
from schemas import codec
from schemas import subjects as s
from schemas.control import NodesReply, Steer
from schemas.event import Completed, Failed
from schemas.request import Request
from schemas.sizes import format_size
from tools.cluster import ClusterPlan, running_cluster
from tools.context import DATA_FOLDER
from tools.demo_files import (
    LARGE_BYTES,
    LARGE_BYTES_SMALL,
    TAG,
    Sample,
    check_room,
    make,
    samples,
    spoil,
    trouble,
)
from tools.demo_view import WIDTH_MAX, Following, Show, is_live, nodes_table
from tools.origin import Origin, serving
from tools.signals import until_told

TIMEOUT_S = 180.0
"""From the first request to the last outcome; what has not ended by then counts as lost."""
ASK_AGAIN_S = 5.0
"""Events are for speed: outcomes are read from the log too, for an event may be missed."""
SLOTS = 4
TAGGED_NODE = "node-2"
INTERRUPTED = 130
LARGE_LIMIT = "40M"
TAGGED_LIMIT = "1M"
"""Bytes a second on a terminal, where loopback would be over before anybody has looked."""


class Plan(NamedTuple):
    folder: Path
    kept: bool
    corrupt: bool
    samples: tuple[Sample, ...]

    @property
    def origin(self) -> Path:
        return self.folder / "origin"

    @property
    def downloads(self) -> Path:
        return self.folder / "downloads"

    def cluster(self) -> ClusterPlan:
        return ClusterPlan(
            data=self.folder / DATA_FOLDER,
            downloads=self.downloads,
            slots=SLOTS,
            nats_port=0,
            allow_nets=("127.0.0.0/8",),
            node_tags={TAGGED_NODE: (TAG,)},
        )


class Happened(NamedTuple):
    """The end of the story: what was heard, and each node's tags."""

    following: Following
    tags: dict[str, tuple[str, ...]]


async def run_demo(data: Path | None, *, corrupt: bool, small: bool = False) -> int:
    """The exit code: 0 only if every file arrived whole and the missing one failed.

    Everything lies in `data` and stays there, or in a temporary folder that goes. Raises NoRoom, ClusterFailed.
    """
    codes: list[int] = []

    async def work() -> None:
        codes.append(await _demo(data, corrupt=corrupt, small=small))

    await until_told(work)
    if codes:
        return codes[0]
    _say(Console(stderr=True), "interrupted: the cluster is stopped" + ("" if data else ", its files are deleted"))
    return INTERRUPTED


async def _demo(data: Path | None, *, corrupt: bool, small: bool) -> int:
    console = Console(highlight=False)
    began_at = anyio.current_time()
    with _working_folder(data) as folder:
        plan = Plan(folder, data is not None, corrupt, samples(LARGE_BYTES_SMALL if small else LARGE_BYTES))
        check_room(folder, plan.samples)
        _introduce(console, plan)
        await to_thread.run_sync(make, plan.origin, plan.samples)
        _step(console, f"made {len(plan.samples) - 1} files for the web server to serve")
        happened = await _download(console, plan)
        if plan.corrupt:
            _step(console, spoil(plan.downloads, happened.following.ended()))
        problems = await to_thread.run_sync(_check, plan, happened)
    lost = [sample for sample, outcomes in happened.following.ended().items() if not outcomes]
    _report(console, happened, problems)
    if problems:
        logs = plan.cluster().data / "logs"
        _say(console, f"The logs are in {logs}." if plan.kept else "To keep the logs, run it with --data FOLDER.")
    _point_onwards(console, plan, anyio.current_time() - began_at)
    whole = [sample for sample in plan.samples if not sample.missing]
    verified = sum(sample not in problems for sample in whole)
    failed = sum(sample.missing and sample not in problems for sample in plan.samples)
    verdict = f"demo: {verified} of {len(whole)} completed and verified, {failed} failed as intended, {len(lost)} lost"
    console.print(verdict, style="red" if problems else "green", soft_wrap=True)
    return 1 if problems else 0


@contextmanager
def _working_folder(data: Path | None) -> Iterator[Path]:
    if data is not None:
        data.mkdir(parents=True, exist_ok=True)
        yield data.resolve()
        return
    folder = Path(tempfile.mkdtemp(prefix="downdraft-demo-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _download(console: Console, plan: Plan) -> Happened:
    """Run the cluster and the origin for as long as the downloads take."""
    with console.status("starting the cluster …") as status:
        async with serving(plan.origin) as origin, running_cluster(plan.cluster()) as cluster:
            status.stop()
            operator, producer = str(cluster.creds(Role.OPERATOR)), str(cluster.creds(Role.PRODUCER))
            async with open_client(cluster.url, operator) as watcher, open_client(cluster.url, producer) as sender:
                happened = await _submit_and_follow(console, plan, origin, watcher, sender)
            status.update("stopping the cluster …")
            status.start()
    return happened


async def _submit_and_follow(console: Console, plan: Plan, origin: Origin, watcher: Client, sender: Client) -> Happened:
    addresses = {origin.url(sample.name): sample for sample in plan.samples}
    following = Following(addresses)
    async with watcher.events(following.happened), watcher.progress(following.moved):
        # An answer on the same connection also shows that the broker has the subscriptions.
        reply = await watcher.ask("nodes", Steer(), NodesReply)
        tags = {node.node: node.heartbeat.tags for node in reply.nodes}
        told = ", ".join(f"{node} (tag {', '.join(own)})" if own else node for node, own in sorted(tags.items()))
        _step(console, f"the cluster is ready: nats-server, coordinator, {told}")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(Show(console, following).run)
            with anyio.move_on_after(TIMEOUT_S):
                for address, sample in addresses.items():
                    await _submit(sender, address, sample, following, paced=is_live(console))
                _step(console, f"submitted {len(addresses)} requests, one of them as a bare NATS message without an id")
                await _until_all_ended(following, watcher)
            tasks.cancel_scope.cancel()
    return Happened(following, tags)


async def _submit(sender: Client, address: str, sample: Sample, following: Following, *, paced: bool) -> None:
    if sample.bare:
        await sender.connection.publish(s.REQUESTS, codec.encode({"uri": address}))
        return  # its id is made from where the inbox stored it: the `queued` event tells
    limit = (TAGGED_LIMIT if sample.tags else LARGE_LIMIT) if sample.tags or sample.name == "large.bin" else ""
    request = Request(
        uris=(address,),
        name=sample.name,
        tags=sample.tags,
        options={"max-download-limit": limit} if paced and limit else {},
    )
    following.tasks[await sender.submit(request)] = sample


async def _until_all_ended(following: Following, watcher: Client) -> None:
    while following.count_ended() < following.count_all():
        following.changed = anyio.Event()
        with anyio.move_on_after(ASK_AGAIN_S) as quiet:
            await following.changed.wait()
        if quiet.cancelled_caught:
            for stored in (await latest_outcomes(watcher.connection, 2 * following.count_all())).events:
                if stored.event.task in following.tasks:
                    following.happened(stored.event, stored.sequence)


def _check(plan: Plan, happened: Happened) -> dict[Sample, str]:
    """What is wrong, by sample; empty where all is well."""
    following = happened.following
    found = {
        sample: trouble(sample, outcomes, plan.origin, plan.downloads, happened.tags)
        if outcomes
        else f"lost: not ended within {TIMEOUT_S:g} s ({following.last_heard(sample)})"
        for sample, outcomes in following.ended().items()
    }
    return {sample: problem for sample, problem in found.items() if problem}


def _introduce(console: Console, plan: Plan) -> None:
    whole = [sample for sample in plan.samples if not sample.missing]
    size = format_size(sum(sample.bytes for sample in whole))
    console.print("[bold]Downdraft demo[/bold]")
    _say(
        console,
        f"A broker, a coordinator and two nodes start on this machine. They download {len(whole)} files ({size}) "
        "from a web server on loopback; one more address does not exist and has to fail. Then the SHA-256 of "
        "every file is compared. Nothing comes from the internet or goes there."
        + (" So that there is something to watch, some files are slowed down." if is_live(console) else ""),
    )
    _say(console, f"It all lies in {plan.folder}{'' if plan.kept else ' and is deleted at the end'}.")
    console.print()


def _report(console: Console, happened: Happened, problems: dict[Sample, str]) -> None:
    following = happened.following
    ended = {sample: outcomes[0] for sample, outcomes in following.ended().items() if outcomes}
    console.print()
    console.print(nodes_table(following, happened.tags))
    console.print()
    agree = sum(isinstance(event, Completed) and sample not in problems for sample, event in ended.items())
    _say(console, f"{agree} SHA-256 digests agree: the origin's file, the one on the node's disk, the completed event.")
    for sample, event in ended.items():
        if sample in problems:
            continue
        if sample.bare:
            _say(console, f"{sample.name} was asked for in plain NATS, without an id: it became task {event.task}.")
        elif isinstance(event, Failed):
            _say(console, f"{sample.name} failed, as it should: {event.reason}.")
    placed = [event.node for sample, event in ended.items() if sample.tags and isinstance(event, Completed)]
    if placed:
        nodes = ", ".join(sorted(set(placed)))
        _say(console, f"{len(placed)} files asked for a node with the tag {TAG}: they ran on {nodes}.")
    for sample, problem in problems.items():
        console.print(f"[red]✗[/red] {escape(sample.name)}: {escape(problem)}", soft_wrap=True)


def _point_onwards(console: Console, plan: Plan, seconds: float) -> None:
    where = f"It is all in {plan.folder}." if plan.kept else "All of it is deleted again."
    console.print()
    _say(console, f"That took {seconds:.1f} s. {where} Where to go next:")
    for command, what in (
        ("downdraft up", "a cluster of your own, until Ctrl-C"),
        ("downdraft submit URL --wait", "download something with it"),
        ("downdraft watch", "see what it does, from another terminal"),
        ("downdraft --help", "all commands; README.md tells the rest"),
    ):
        console.print(f"  [bold]{command:<29}[/bold]{what}", soft_wrap=True)
    console.print()


def _step(console: Console, text: str) -> None:
    console.print(f"[green]✓[/green] {escape(text)}", soft_wrap=True)


def _say(console: Console, text: str) -> None:
    """A paragraph, wrapped for people and in one line for whatever reads a pipe."""
    width = min(WIDTH_MAX, console.width) if console.is_terminal else None
    console.print(text, width=width, soft_wrap=width is None, markup=False)
