"""A node that downloads through a proxy, with real aria2c, a real proxy and a real origin."""

import random
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import psutil
import pytest

from node.addresses import check_addresses, reach_of
from node.upstream import upstream_of
from schemas.errors import SettingInvalid
from schemas.event import Completed, Failed
from tests.harness.broker import Broker
from tests.harness.node import rig
from tests.harness.proxy import PASSWORD, USER, Proxy, proxying
from tests.integration.node.origin import Origin

pytestmark = pytest.mark.anyio

BODY = random.Random(1).randbytes(1 << 20)


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    async with proxying() as serving:
        yield serving


async def test_a_node_asks_its_proxy_for_everything_but_its_exceptions(
    broker: Broker, tmp_path: Path, origin: Origin, proxy: Proxy, capfd: pytest.CaptureFixture[str]
) -> None:
    origin.files["f"] = BODY
    own = f"http://{USER}:{quote(PASSWORD, safe='')}@127.0.0.1:{proxy.port}"
    async with rig(broker, tmp_path, upstream_proxy=own, no_proxy=("127.0.0.0/8",)) as node:
        named = origin.url("file/f", host="only-the-proxy-knows.invalid")
        done = await node.outcome(await node.submit(named), within_s=60)
        assert isinstance(done, Completed), done
        assert {one.split(" ")[0] for one in proxy.asked} == {"HEAD", "GET"}, "the node's own look, and aria2"
        assert {one.split(" ")[1] for one in proxy.asked} == {named}
        seen = len(proxy.asked)
        assert isinstance(await node.outcome(await node.submit(origin.url("file/f"), out="g")), Completed)
        assert len(proxy.asked) == seen, "an exception is reached without it"
        lines = [" ".join(child.cmdline()) for child in psutil.Process().children(recursive=True)]
        assert not any(PASSWORD in line or quote(PASSWORD, safe="") in line for line in lines)
    said = capfd.readouterr()
    assert PASSWORD not in said.out + said.err
    assert quote(PASSWORD, safe="") not in said.out + said.err


async def test_a_proxy_is_not_asked_for_this_machine_itself(broker: Broker, tmp_path: Path, proxy: Proxy) -> None:
    async with rig(broker, tmp_path, upstream_proxy=f"http://127.0.0.1:{proxy.port}", allow_nets=()) as node:
        for host in ("127.0.0.1", "localhost"):
            ended = await node.outcome(await node.submit(f"http://{host}:9/f"))
            assert isinstance(ended, Failed)
            assert ended.code == "address-refused"
    assert proxy.asked == []


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.1", "2130706433", "0x7f.1", "::1", "::ffff:127.0.0.1", "a.localhost", "169.254.169.254"]
)
async def test_however_it_is_written_an_address_of_this_machine_is_refused(host: str) -> None:
    reach = reach_of((), upstream_of("http://proxy:1", ()))
    assert await check_addresses(host, 80, reach) is not None
    assert await check_addresses("nobody-knows.invalid", 80, reach) is None, "names are for the proxy"
    assert await check_addresses("notlocalhost", 80, reach) is None


def test_exceptions_are_hosts_domains_and_networks() -> None:
    upstream = upstream_of("http://ann:p%40ss@proxy.example", ("A.org", ".b.org", "10.0.0.0/8", "::1"))
    assert upstream is not None
    served = {
        host: upstream.serves(host) for host in ("a.org", "x.a.org", "b.org", "x.B.org", "10.1.2.3", "11.0.0.1", "::1")
    }
    assert served == {
        "a.org": False,
        "x.a.org": True,
        "b.org": True,
        "x.B.org": False,
        "10.1.2.3": False,
        "11.0.0.1": True,
        "::1": False,
    }
    assert upstream.options() == {
        "all-proxy": "http://proxy.example:8080",
        "all-proxy-user": "ann",
        "all-proxy-passwd": "p@ss",
        "no-proxy": "a.org,.b.org,10.0.0.0/8,::1",
    }
    assert "p@ss" not in repr(upstream)
    assert upstream_of("", ("a.org",)) is None


@pytest.mark.parametrize(
    "proxy",
    ["https://ann:s3cret@proxy", "proxy:3128", "http://ann:s3cret@", "http://ann:s3cret@p/x", "http://a:s3cret%0a@p"],
)
def test_what_is_no_proxy_is_refused_and_no_password_is_quoted(proxy: str) -> None:
    with pytest.raises(SettingInvalid, match=r"node\.upstream_proxy: ") as refused:
        upstream_of(proxy, ())
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize("entry", ["*.a.org", "10.0.0.0/99", "a b"])
def test_what_is_no_exception_is_refused(entry: str) -> None:
    with pytest.raises(SettingInvalid, match=r"node\.no_proxy: "):
        upstream_of("http://proxy", (entry,))
