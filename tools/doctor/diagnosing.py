"""The whole of doctor: look, then judge."""

from pathlib import Path

from schemas import __version__
from tools.doctor.findings import Finding
from tools.doctor.judge_broker import judge_broker, judge_streams
from tools.doctor.judge_fleet import judge_fleet
from tools.doctor.judge_machine import judge_machine
from tools.doctor.look_at_cluster import look_at_cluster
from tools.doctor.look_at_machine import look_at_machine


async def diagnose(server: str | None, creds: str | None, config: Path | None) -> list[Finding]:
    """Every finding about this machine and its cluster, from the ground up."""
    machine, loaded, target = await look_at_machine(server, creds, config)
    cluster = await look_at_cluster(target, loaded.settings.broker, machine.credentials)
    return [
        *judge_machine(machine),
        *judge_broker(cluster),
        *judge_streams(cluster),
        *judge_fleet(cluster, __version__),
    ]
