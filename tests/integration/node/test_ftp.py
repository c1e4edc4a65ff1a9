"""Downloads by FTP and SFTP from real servers, on a whole node with real aria2c."""

import hashlib
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from schemas.event import Completed, Failed
from tests.harness.ftp import PASSWORD, USER, FtpOrigin, SftpOrigin, ftp_origin, sftp_origin
from tests.harness.node import Rig

pytestmark = pytest.mark.anyio

BODY = random.Random(1).randbytes(6 << 20)
DIGEST = f"sha-256={hashlib.sha256(BODY).hexdigest()}"
LOGIN = {"ftp-user": USER, "ftp-passwd": PASSWORD}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    served = tmp_path / "served"
    (served / "sub").mkdir(parents=True)
    (served / "f").write_bytes(BODY)
    (served / "sub" / "a b").write_bytes(b"small")
    return served


@pytest.fixture
async def ftp(folder: Path) -> AsyncIterator[FtpOrigin]:
    async with ftp_origin(folder) as origin:
        yield origin


@pytest.fixture
async def sftp(folder: Path) -> AsyncIterator[SftpOrigin]:
    async with sftp_origin(folder) as origin:
        yield origin


async def completed(node: Rig, uri: str, **fields: Any) -> Completed:
    outcome = await node.outcome(await node.submit(uri, **fields), within_s=60)
    assert isinstance(outcome, Completed), outcome
    return outcome


async def failed(node: Rig, uri: str, **fields: Any) -> Failed:
    outcome = await node.outcome(await node.submit(uri, **fields), within_s=60)
    assert isinstance(outcome, Failed), outcome
    return outcome


async def test_ftp_brings_whole_files_without_a_name_and_with_one(node: Rig, ftp: FtpOrigin) -> None:
    done = await completed(node, ftp.url("f"), checksum=DIGEST)
    assert (done.bytes, done.digest, (node.downloads / "f").read_bytes()) == (len(BODY), DIGEST, BODY)
    small = await completed(node, ftp.url("sub/a%20b"), options=LOGIN)
    assert (small.path, (node.downloads / "a b").read_bytes()) == ("a b", b"small")
    assert f"USER {USER}" in ftp.commands
    assert any(one.startswith(("EPSV", "PASV")) for one in ftp.commands), "the node makes all connections"
    assert "TYPE I" in ftp.commands


async def test_active_ftp_works_where_a_request_asks_for_it(node: Rig, ftp: FtpOrigin) -> None:
    await completed(node, ftp.url("f"), options={"ftp-pasv": False})
    assert any(one.startswith(("EPRT", "PORT")) for one in ftp.commands)
    assert not any(one.startswith(("EPSV", "PASV")) for one in ftp.commands)


async def test_ftp_goes_on_after_a_cut(broker: Any, node: Rig, folder: Path) -> None:
    async with ftp_origin(folder, bytes_per_s=2 << 20) as slow:
        task = await node.submit(slow.url("f"), checksum=DIGEST, options={"split": 1})
        await node.partial(task, 2 << 20)
        slow.cut()
        done = await node.outcome(task, within_s=60)
        assert isinstance(done, Completed), done
        assert done.attempt == 1
        resumed = [int(one.split()[1]) for one in slow.commands if one.startswith("REST ")]
        assert max(resumed) >= 1 << 20, "not from the beginning"


async def test_a_wrong_password_a_missing_file_and_a_wrong_digest_fail_for_good(node: Rig, ftp: FtpOrigin) -> None:
    wrong = await failed(node, ftp.url("f"), options={**LOGIN, "ftp-passwd": "no"})
    assert (wrong.attempt, wrong.code) == (1, "login"), wrong
    assert "user and password" in wrong.reason
    assert "no" not in str(wrong.uris)
    missing = await failed(node, ftp.url("nothing"))
    assert (missing.attempt, missing.code) == (1, "http-404")
    other = await failed(node, ftp.url("f"), checksum="sha-256=" + "0" * 64)
    assert "digest" in other.reason or "hecksum" in other.reason


async def test_sftp_brings_whole_files_and_looks_at_the_key_of_the_server(node: Rig, sftp: SftpOrigin) -> None:
    fingerprint = hashlib.sha1(sftp.key.public_data).hexdigest()  # noqa: S324 - what aria2 compares
    options = {**LOGIN, "ssh-host-key-md": f"sha-1={fingerprint}"}
    done = await completed(node, sftp.url("f"), checksum=DIGEST, options=options)
    assert (done.bytes, done.digest) == (len(BODY), DIGEST)
    other = await failed(node, sftp.url("f"), out="g", options={**LOGIN, "ssh-host-key-md": "sha-1=" + "0" * 40})
    assert (other.attempt, other.code) == (1, "host-key"), other


@pytest.mark.slow
async def test_sftp_goes_on_after_a_cut(node: Rig, sftp: SftpOrigin) -> None:
    sftp.pause_s = 0.01
    task = await node.submit(sftp.url("f"), checksum=DIGEST, options={**LOGIN, "split": 1})
    await node.partial(task, 2 << 20)
    sftp.pause_s = 0.0
    sftp.cut()
    done = await node.outcome(task, within_s=60)
    assert isinstance(done, Completed), done


async def test_a_wrong_password_and_a_missing_file_by_sftp_fail_for_good(node: Rig, sftp: SftpOrigin) -> None:
    wrong = await failed(node, sftp.url("f"), options={**LOGIN, "ftp-passwd": "no"})
    assert (wrong.attempt, wrong.code) == (1, "login"), wrong
    missing = await failed(node, sftp.url("nothing"), options=LOGIN)
    assert (missing.attempt, missing.code) == (1, "sftp-open"), missing
