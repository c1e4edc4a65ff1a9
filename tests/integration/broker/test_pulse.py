"""A process touches a file while it gets on, and no longer."""

from pathlib import Path

import anyio
import pytest

from broker import pulse
from tests.harness.broker import Broker
from tests.harness.leader import coordinator
from tests.harness.waiting import eventually


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse, "EVERY_S", 0.02)


async def test_the_file_is_touched_while_it_gets_on_and_no_longer(tmp_path: Path) -> None:
    file, gets_on, looks = tmp_path / "pulse", False, 0

    def look() -> bool:
        nonlocal looks
        looks += 1
        return gets_on

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(pulse.keep_pulse, file, look)
        await eventually(lambda: looks > 3)
        assert not file.exists()

        gets_on = True
        await eventually(file.exists)

        gets_on = False
        seen = looks
        await eventually(lambda: looks > seen + 1)
        last = file.stat().st_mtime_ns
        await eventually(lambda: looks > seen + 4)
        assert file.stat().st_mtime_ns == last
        tasks.cancel_scope.cancel()


async def test_a_pulse_that_cannot_be_written_ends_nothing(tmp_path: Path) -> None:
    looks = 0

    def look() -> bool:
        nonlocal looks
        looks += 1
        return True

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(pulse.keep_pulse, tmp_path / "missing" / "pulse", look)
        await eventually(lambda: looks > 3)
        tasks.cancel_scope.cancel()


async def test_who_leads_and_who_stands_by_get_on_until_the_broker_is_gone(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coordinator.lead.ASKED_WITHIN_S", 1.0)
    async with coordinator(broker, "leader") as leader, coordinator(broker, "standby") as standby:
        await eventually(lambda: leader.leads or standby.leads)
        both = (leader.coordinator, standby.coordinator)
        await eventually(lambda: all(one.gets_on() for one in both))

        await broker.kill()
        await eventually(lambda: not any(one.gets_on() for one in both), within_s=15)

        await broker.start()
        await eventually(lambda: all(one.gets_on() for one in both), within_s=15)
