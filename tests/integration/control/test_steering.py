"""Steering by a filter: each task is judged once more on the very row that is written over."""

from datetime import UTC, datetime

import pytest

from broker.cluster import Refused, open_client
from broker.errors import Unanswered
from broker.roles import Role
from coordinator import moves, steering
from coordinator.listing import Listing
from coordinator.steering import Steering
from schemas.control import Cancel, SetLimits, Steer, SteerReply
from schemas.filter import filter_of
from schemas.ids import task_id
from schemas.lifecycle import Desired, State
from schemas.request import Request
from schemas.task import FailureClass
from tests.harness.broker import STEADY, Broker
from tests.harness.leader import bare_term, coordinator
from tests.harness.producing import producer
from tests.harness.recorder import recording
from tests.harness.scripted import scripted_node
from tests.harness.waiting import eventually
from tests.integration.control.steps import answering
from tools.finding import NoLog
from tools.steering import find, steer_all


async def test_a_task_that_began_to_run_meanwhile_is_not_cancelled_as_queued(broker: Broker) -> None:
    async with (
        producer(broker) as ann,
        coordinator(broker) as leader,
        open_client(broker.url, broker.creds(Role.OPERATOR)) as client,
    ):
        await answering(leader, client)
        runs, waits = await ann.submit(), await ann.submit(tags=["nobody"])
        await eventually(lambda: len(leader.term.book) == 2)
        found = await find(client, "cancel", filter_of(states=["queued"]))
        assert {view.task for view in found.views} == {runs, waits}
        async with scripted_node(broker) as node:
            await node.gets(runs)
            results = (await client.steer("cancel", (runs, waits), found.where)).results
            assert [(result.ok, result.matched) for result in results] == [(False, False), (True, True)]
            assert "does not match any more" in results[0].said
            assert node.rows[runs][1].desired is Desired.RUN


async def test_a_row_that_changed_behind_the_leaders_back_is_judged_anew(broker: Broker) -> None:
    async with bare_term(broker, "one") as term, bare_term(broker, "two", epoch=2) as other:
        row = moves.claimed(
            task=task_id("default", "id:x"),
            owner="default",
            source="id:x",
            request=Request(uris=("http://origin.invalid/f",)),
            submitted=datetime.now(UTC),
        )
        stored = await term.cas(row, 0)
        assert stored is not None
        assert await other.cas(moves.placed(row, "node-1", "i"), stored.sequence) is not None
        assert next(term.book.tops()).row.state is State.QUEUED, "this leader has not heard of it"
        asked = Cancel(ids=(row.task,), where=filter_of(states=["queued"]))
        (result,) = (await Steering(term, Listing(term)).cancel(asked, lambda owner: True)).results
        assert (result.ok, result.matched) == (False, False)
        top = await other.refresh(row.task)
        assert top is not None
        assert top.row.desired is Desired.RUN


async def test_by_its_id_alone_a_running_task_is_not_cleared_and_that_is_a_failure(broker: Broker) -> None:
    async with (
        producer(broker) as ann,
        coordinator(broker) as leader,
        scripted_node(broker) as node,
        open_client(broker.url, broker.creds(Role.OPERATOR)) as client,
    ):
        await answering(leader, client)
        task = await ann.submit()
        await node.gets(task)
        (result,) = (await client.steer("clear", (task,))).results
        assert (result.ok, result.matched, result.said) == (False, True, "it is not queued")


async def test_clear_takes_what_is_queued_and_matches_and_says_if_there_is_more(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steering, "IDS_MAX", 3)
    async with (
        producer(broker) as ann,
        coordinator(broker) as leader,
        open_client(broker.url, broker.creds(Role.OPERATOR)) as client,
    ):
        await answering(leader, client)
        old = [await ann.submit(tags=["nobody"], labels={"old": "yes"}) for _ in range(5)]
        new = await ann.submit(tags=["nobody"])
        await eventually(lambda: len(leader.term.book) == 6)
        where = filter_of(labels=["old"])
        first = await client.ask("clear", Steer(where=where), SteerReply)
        assert ([result.task for result in first.results], first.more) == (old[:3], True)
        second = await client.ask("clear", Steer(where=where), SteerReply)
        assert ([result.task for result in second.results], second.more) == (old[3:], False)
        assert [top.row.task for top in leader.term.book.tops()] == [new]


async def test_hundreds_of_tasks_are_cancelled_by_one_command(
    broker: Broker, capsys: pytest.CaptureFixture[str]
) -> None:
    async with (
        producer(broker) as ann,
        coordinator(broker, settings=STEADY) as leader,
        open_client(broker.url, broker.creds(Role.OPERATOR)) as client,
    ):
        await answering(leader, client)
        for number in range(330):
            await ann.submit(tags=["nobody"], labels={"keep": "yes"} if number % 11 == 0 else {})
        await eventually(lambda: len(leader.term.book) == 330, within_s=60)
        found = await find(client, "cancel", filter_of(states=["queued"]))
        ids = [view.task for view in found.views if "keep" not in view.labels]
        assert await steer_all(client, "cancel", ids, found.where, as_json=False)
        assert capsys.readouterr().out.endswith("cancel: 300 done\n")
        assert len(leader.term.book) == 30


async def test_retry_finds_what_failed_lately_and_each_only_once(broker: Broker) -> None:
    async with (
        producer(broker) as ann,
        recording(broker) as seen,
        scripted_node(broker) as node,
        coordinator(broker) as leader,
        open_client(broker.url, broker.creds(Role.OPERATOR)) as client,
    ):
        await answering(leader, client)
        failed, completed, secret = await ann.submit(), await ann.submit(), await ann.submit(headers={"Cookie": "c"})
        await node.fail(await node.gets(failed), FailureClass.PERMANENT)
        await node.fail(await node.gets(secret), FailureClass.PERMANENT)
        await node.complete(await node.gets(completed))
        for task in (failed, completed, secret):
            await seen.outcome(task)
        found = await find(client, "retry", filter_of(since=datetime(2020, 1, 1, tzinfo=UTC)))
        assert {view.task for view in found.views} == {failed, secret}, "what completed is not fetched again"
        results = {
            one.task: one for one in (await client.steer("retry", (failed, secret, completed), found.where)).results
        }
        assert results[failed].ok
        assert (results[completed].ok, results[completed].matched) == (False, False)
        assert (results[secret].ok, results[secret].matched) == (False, True)
        assert "held secrets" in results[secret].said
        await node.fail(await node.gets(results[failed].new_task), FailureClass.PERMANENT)
        await seen.outcome(results[failed].new_task)
        (again,) = (await client.steer("retry", (failed,), found.where)).results
        assert (again.ok, again.matched, again.new_task) == (False, False, results[failed].new_task)


async def test_who_may_not_read_the_log_is_told_so(broker: Broker) -> None:
    async with (
        producer(broker, "team-a"),
        coordinator(broker) as leader,
        open_client(broker.url, broker.creds(Role.PRODUCER, "team-a")) as client,
    ):
        await answering(leader, client)
        with pytest.raises(NoLog, match="downdraft show"):
            await find(client, "retry", filter_of(states=["failed"]))


async def test_a_condition_the_leader_does_not_know_changes_nothing(broker: Broker) -> None:
    async with (
        producer(broker) as ann,
        coordinator(broker) as leader,
        broker.connected(Role.OPERATOR) as connection,
    ):
        await leader.until_leading()
        task = await ann.submit(tags=["nobody"])
        await eventually(lambda: task in leader.term.book)
        body = f'{{"ids": ["{task}"], "where": {{"colour": "red"}}}}'.encode()

        async def refusal() -> bytes:
            try:
                return (await connection.request("downloads.control.admin.cancel", body)).data
            except Unanswered:  # it leads, but does not answer yet
                return b""

        assert b"colour" in await eventually(refusal)
        assert task in leader.term.book


async def test_a_wish_carried_out_already_is_no_failure(broker: Broker) -> None:
    async with (
        producer(broker) as ann,
        coordinator(broker) as leader,
        open_client(broker.url, broker.creds(Role.OPERATOR)) as client,
    ):
        await answering(leader, client)
        task = await ann.submit(tags=["nobody"])
        await eventually(lambda: task in leader.term.book)
        for _ in range(2):
            (result,) = (await client.steer("pause", (task,), filter_of(tags=["nobody"]))).results
            assert result.ok
        (view,) = (await find(client, "resume", filter_of())).views
        assert (view.task, view.desired) == (task, Desired.PAUSE)


async def test_of_many_each_gets_the_limits_that_mean_something_for_it(broker: Broker) -> None:
    async with (
        producer(broker) as ann,
        coordinator(broker) as leader,
        open_client(broker.url, broker.creds(Role.OPERATOR)) as client,
    ):
        await answering(leader, client)
        task = await ann.submit(tags=["nobody"])
        await eventually(lambda: task in leader.term.book)
        where = filter_of(tags=["nobody"])
        (left,) = (await client.steer("limit", (task,), where, SetLimits(upload=1 << 20))).results
        assert (left.ok, left.matched, left.said) == (False, False, "a file sends nothing: it has no limit for that")
        both = SetLimits(download=2 << 20, upload=1 << 20)
        (done,) = (await client.steer("limit", (task,), where, both)).results
        assert (done.ok, done.said) == (True, "downloads at 2 MiB/s")
        (named,) = (await client.steer("limit", (task,), None, both)).results
        assert (named.ok, named.matched) == (False, True), "who names a task means both"


async def test_other_options_of_a_request_change_with_its_limits(broker: Broker) -> None:
    async with (
        producer(broker) as ann,
        coordinator(broker) as leader,
        open_client(broker.url, broker.creds(Role.OPERATOR)) as client,
    ):
        await answering(leader, client)
        task = await ann.submit(tags=["nobody"])
        await eventually(lambda: task in leader.term.book)
        with pytest.raises(Refused, match=r"options\.split: must be a whole number from 1 to 16"):
            await client.steer("limit", (task,), None, SetLimits(options={"split": 99}))
        asked = SetLimits(upload=1, options={"split": 4, "bt-max-peers": 5})
        (done,) = (await client.steer("limit", (task,), filter_of(), asked)).results
        assert done.ok
        stored = leader.term.book.top(task)
        assert stored is not None
        assert stored.row.request is not None
        assert stored.row.request.options == {"split": "4"}, "what means nothing for a file is left out"
