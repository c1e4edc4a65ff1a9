"""`downdraft drill`: a cluster of its own in a storm of faults, and the books that must balance after it."""

import time

import anyio
import msgspec
from anyio import to_thread

from broker.cluster import Client
from broker.errors import BrokerError
from broker.listen import Heard, listening
from schemas import codec
from schemas import subjects as s
from schemas.control import StatsReply, Steer
from schemas.heartbeat import Heartbeat
from tools.drill import reading
from tools.drill.books import Books, Ledger, judge
from tools.drill.plan import plan
from tools.drill.producer import Producer
from tools.drill.report import Report, Trouble, slowest
from tools.drill.stage import Stage
from tools.drill.storm import Storm
from tools.drill.story import Phase, Story
from tools.drill.wares import wares

QUIET_FOR_S = 60.0
"""When nothing has ended for so long after the storm, what is left is lost: twice the longest back-off here."""
UNSEEN_FOR_S = 20.0
"""When all has ended, a recovery that is still to be seen is waited for so long: a node starts in less."""
SETTLE_WITHIN_S = 600.0
"""… and at the latest so long after it, however slow the machine."""
LOOK_EVERY_S = 0.25
ASK_EVERY_S = 0.25
ASK_WITHIN_S = 1.0
"""A frozen coordinator is asked too, now and then: it does not answer."""


async def drill(stage: Stage, story: Story) -> Report:
    """Run the storm on a stage that is ready, and balance the books."""
    goods = wares(story.seed, story.tasks)
    producer = Producer(stage.sender, story, goods, stage.origin)
    async with anyio.create_task_group() as tasks:
        for watching in (_follow, _hear, _ask):
            await tasks.start(watching, stage.watcher, story)
        story.begin()
        async with anyio.create_task_group() as storm:
            storm.start_soon(Storm(stage, story).rage, plan(story.seed, story.seconds, stage.nodes))
            storm.start_soon(producer.submit)
            storm.start_soon(anyio.sleep, story.seconds)
        story.phase = Phase.SETTLING
        with anyio.move_on_after(SETTLE_WITHIN_S):
            await _until_settled(stage.watcher, story)
        story.phase = Phase.BALANCING
        books = await _balance(stage, story, producer)
        tasks.cancel_scope.cancel()
    return _report(story, producer, books)


async def _until_settled(watcher: Client, story: Story) -> None:
    """Return when everything has ended, table and inbox are empty and every fault's end was seen; or in vain."""
    ended, changed_at, quiet_s = -1, anyio.current_time(), 0.0
    while quiet_s < QUIET_FOR_S:
        if len(story.outcomes) != ended:
            ended, changed_at = len(story.outcomes), anyio.current_time()
        quiet_s = anyio.current_time() - changed_at
        if ended >= story.accepted and (not story.witness.open or quiet_s > UNSEEN_FOR_S):
            try:
                if not await reading.rows_left(watcher) and not await reading.requests_left(watcher):
                    return
            except BrokerError:
                pass  # it is asked again
        await anyio.sleep(LOOK_EVERY_S)


async def _balance(stage: Stage, story: Story, producer: Producer) -> Books:
    disk = await to_thread.run_sync(reading.disk, stage.downloads, stage.nodes)
    served = await to_thread.run_sync(reading.served, story.seed, producer.accepted.values())
    return judge(
        Ledger(
            accepted=producer.accepted,
            refused=producer.refused,
            outcomes=await reading.outcomes(stage.watcher),
            disk=disk,
            served=served,
            rows_left=await reading.rows_left(stage.watcher),
            requests_left=await reading.requests_left(stage.watcher),
        )
    )


def _report(story: Story, producer: Producer, books: Books) -> Report:
    faults = tuple(story.struck)
    return Report(
        seed=story.seed,
        tasks=story.tasks,
        seconds=story.seconds,
        took_s=round(story.last_ended_s, 3),
        faults=faults,
        accepted=len(producer.accepted),
        repeated=story.repeated,
        outcomes=books.outcomes,
        verified=books.verified,
        failed_as_intended=books.failed_as_intended,
        lost=books.count(Trouble.LOST),
        doubled=books.count(Trouble.DOUBLED),
        wrong_files=books.count(Trouble.WRONG_FILE),
        problems=books.problems,
        surplus_files=books.surplus_files,
        partials_left=books.partials,
        retried=story.retried,
        slowest_recovery=slowest(faults),
        spared=story.spared,
        unrecovered=sum(one.recovered_s is None for one in faults),
        balanced=books.balanced,
    )


async def _follow(watcher: Client, story: Story, *, task_status: anyio.abc.TaskStatus[None]) -> None:
    """Take every event of the log, in order, whatever becomes of the broker."""
    async with watcher.follow(0) as follower:
        task_status.started()
        async for found in follower.events():
            story.happened(found.event, found.stored_at)


async def _hear(watcher: Client, story: Story, *, task_status: anyio.abc.TaskStatus[None]) -> None:
    """Take heartbeats and progress."""

    def beat(heard: Heard) -> None:
        story.beat(codec.decode(heard.data, Heartbeat))

    async with listening(watcher.connection, s.HEARTBEATS_ALL, beat), watcher.progress(story.moved):
        task_status.started()
        await anyio.sleep_forever()


async def _ask(watcher: Client, story: Story, *, task_status: anyio.abc.TaskStatus[None]) -> None:
    """Ask whoever leads, again and again, without waiting for one answer before the next question."""

    async def ask() -> None:
        asked_at = time.time()
        subject = s.control("admin", "stats")
        try:
            answer = await watcher.connection.request(subject, codec.encode(Steer()), timeout_s=ASK_WITHIN_S)
            stats = codec.decode(answer.data, StatsReply)
        except (BrokerError, msgspec.MsgspecError):
            return
        story.answered(stats.leader, stats.epoch, stats.inbox, asked_at)

    async with anyio.create_task_group() as asking:
        task_status.started()
        while True:
            asking.start_soon(ask)
            await anyio.sleep(ASK_EVERY_S)
