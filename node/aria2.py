"""One aria2 daemon as the rest of the node sees it: a few operations, each one request, none blocking the loop.

The only module that imports aria2p. Its answers become Structs and its errors Aria2Errors here.
"""

import json
from collections.abc import Callable, Iterator, Sequence, Set
from functools import partial
from typing import Any, NamedTuple, TypeVar

import anyio
import aria2p
import msgspec
import requests
from anyio import CapacityLimiter, to_thread
from msgspec import Struct
from requests.adapters import HTTPAdapter

from node.transfers import Addition, Limits, Status, Tick, Transfer
from schemas.errors import DowndraftError
from schemas.options import DOWNLOAD_LIMIT, SPEED_MAX, UPLOAD_LIMIT

T = TypeVar("T")

CALL_TIMEOUT_S = 5.0
"""aria2 answers in milliseconds: one that is silent for so long is frozen."""
BATCH_ITEMS_MAX = 200
BATCH_BYTES_MAX = 8 << 20
"""Half of the daemon's rpc-max-request-size: past that it drops the connection without a word."""
LIST_MAX = 6000
"""Waiting and stopped downloads in one tick: more than any node holds (1,024 slots, four times as many waiting)."""
ANSWER_BYTES_MAX = 32 << 20
"""A tick with three lists full of the longest messages is far below."""
ANSWER_TIMES = 2
"""So many times the time-out, which is for each read, an answer may take as a whole."""
READ_BYTES = 1 << 20
POOL_CONNECTIONS = 16
"""Threads that may call one daemon at once; a limiter above this only opens connections it throws away."""

_KEYS = [
    "gid",
    "status",
    "totalLength",
    "completedLength",
    "downloadSpeed",
    "connections",
    "errorCode",
    "errorMessage",
    # Told of torrents alone.
    "seeder",
    "verifiedLength",
    "verifyIntegrityPending",
]


class Aria2Error(DowndraftError):
    """A call to aria2 that did not do what it should."""


class Aria2Frozen(Aria2Error):
    """The daemon lives but does not answer."""


class Aria2Gone(Aria2Error):
    """Nothing listens where the daemon was."""


class Aria2Refused(Aria2Error):
    """The daemon answered with an error; the message is aria2's own."""


class Aria2Nonsense(Aria2Error):
    """The answer is not what aria2 answers."""


class Turn(NamedTuple):
    tick: Tick
    added: list[Aria2Refused | None]
    """For each addition, in order: None where aria2 has it now, else why not."""


class _Stat(Struct, frozen=True):
    speed: int = msgspec.field(name="downloadSpeed")


class _Version(Struct, frozen=True):
    version: str


class _Fault(Struct, frozen=True):
    code: int
    message: str


Call = tuple[str, list[Any]]


class _Client(aria2p.Client):
    """aria2p's client over connections that are kept and never go through a proxy."""

    def __init__(self, port: int, secret: str, timeout_s: float) -> None:
        super().__init__(host="http://127.0.0.1", port=port, secret=secret, timeout=timeout_s)
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.mount("http://", HTTPAdapter(pool_connections=1, pool_maxsize=POOL_CONNECTIONS))

    def post(self, payload: str) -> dict[str, Any]:
        try:
            content = self._send(payload)
        except requests.ConnectionError as error:
            if _is_timeout(error):
                raise
            # aria2 closes idle connections, perhaps just as one is used again; every call here may be repeated.
            content = self._send(payload)
        # Messages may quote bytes of an origin that are no UTF-8: one such must not hide all other downloads.
        return msgspec.json.decode(content.decode(errors="replace"), type=dict[str, Any])

    def _send(self, payload: str) -> bytes:
        with self.session.post(self.server, data=payload, timeout=self.timeout, stream=True) as answer:
            content = b""
            for part in answer.iter_content(READ_BYTES):
                content += part
                if len(content) > ANSWER_BYTES_MAX:
                    raise msgspec.DecodeError(f"it is longer than {ANSWER_BYTES_MAX} bytes")
            return content


class Aria2:
    """Async client of one daemon. Every method may raise Aria2Frozen, Aria2Gone, Aria2Refused or Aria2Nonsense."""

    def __init__(self, port: int, secret: str, limiter: CapacityLimiter, *, timeout_s: float = CALL_TIMEOUT_S) -> None:
        """`limiter` bounds the threads that wait for aria2: one for all daemons of a node."""
        self._client = _Client(port, secret, timeout_s)
        self._limiter = limiter
        self._answer_s = ANSWER_TIMES * timeout_s

    def __repr__(self) -> str:
        return f"<Aria2 at port {self._client.port}>"

    def close(self) -> None:
        self._client.session.close()

    async def version(self) -> str:
        """aria2's version, such as `1.37.0`."""
        return _decoded(await self._run(self._client.get_version), _Version).version

    async def tick(self) -> Tick:
        """All downloads and the overall speed, in one request."""
        return _tick(await self._multicall(self._looks()))

    async def turn(
        self,
        *,
        forget: Sequence[str],
        remove: Sequence[str],
        add: Sequence[Addition],
        limits: Limits = Limits(),  # noqa: B008 - nothing changes it
    ) -> Turn:
        """Forget what ended, stop, limit, add, and look, in this order and mostly in one request.

        To stop takes effect later: await `removed`, or nothing, in a tick. What can't be stopped or forgotten, for it
        is unknown, or has ended, or runs, stays as it is.
        """
        calls: list[Call] = [(self._client.REMOVE_DOWNLOAD_RESULT, [gid]) for gid in forget]
        calls += [(self._client.FORCE_REMOVE, [gid]) for gid in remove]
        calls += self._limiting(limits, {one.gid for one in add})
        before = len(calls)
        add = [_limited(one, limits) for one in add]
        calls += self._additions(add)
        answers = await self._multicall(calls + self._looks())
        results = _refusals(answers[before : len(calls)])
        if any(results):
            results = await self._resolved(add, results)
            return Turn(await self.tick(), results)
        return Turn(_tick(answers[len(calls) :]), results)

    async def add_many(self, additions: Sequence[Addition]) -> list[Aria2Refused | None]:
        """Add downloads; one entry each: None where aria2 has it now, else why not.

        A gid that aria2 already runs, or has completed, counts as added, so a call may be repeated.
        What an earlier try of the same gid left as `error` or `removed` is forgotten and added anew.
        """
        return await self._resolved(additions, await self._add(additions))

    async def set_concurrency(self, count: int) -> None:
        """How many downloads may run at once."""
        await self._run(partial(self._client.change_global_option, {"max-concurrent-downloads": str(count)}))

    async def _resolved(
        self, additions: Sequence[Addition], results: Sequence[Aria2Refused | None]
    ) -> list[Aria2Refused | None]:
        """What refusals come to: a gid that aria2 holds is added, one that ended badly is added anew."""
        results = list(results)
        refused = [index for index, result in enumerate(results) if result is not None]
        held = await self._statuses([additions[index].gid for index in refused])
        ended = [index for index in refused if held.get(additions[index].gid) in (Status.ERROR, Status.REMOVED)]
        for index in refused:
            if additions[index].gid in held:
                results[index] = None
        if ended:
            await self._multicall([(self._client.REMOVE_DOWNLOAD_RESULT, [additions[index].gid]) for index in ended])
            again = await self._add([additions[index] for index in ended])
            for index, result in zip(ended, again, strict=True):
                results[index] = result
        return results

    async def _add(self, additions: Sequence[Addition]) -> list[Aria2Refused | None]:
        return _refusals(await self._multicall(self._additions(additions)))

    def _additions(self, additions: Sequence[Addition]) -> list[Call]:
        return [self._addition(one) for one in additions]

    def _addition(self, one: Addition) -> Call:
        options = {**one.options, "gid": one.gid}
        if one.torrent:
            return self._client.ADD_TORRENT, [one.torrent, list(one.uris), options]
        return self._client.ADD_URI, [list(one.uris), options]

    def _limiting(self, limits: Limits, added: Set[str]) -> list[Call]:
        """A download that has ended meanwhile refuses, and needs no limit."""
        calls: list[Call] = []
        for name, limit in (
            ("max-overall-download-limit", limits.overall),
            ("max-overall-upload-limit", limits.overall_upload),
        ):
            if limit is not None:
                calls.append((self._client.CHANGE_GLOBAL_OPTION, [{name: _text(limit)}]))
        for name, by_gid in ((DOWNLOAD_LIMIT, limits.tasks), (UPLOAD_LIMIT, limits.uploads)):
            calls += [
                (self._client.CHANGE_OPTION, [gid, {name: _text(limit)}])
                for gid, limit in by_gid.items()
                if gid not in added
            ]
        return calls

    def _looks(self) -> list[Call]:
        return [
            (self._client.TELL_ACTIVE, [_KEYS]),
            (self._client.TELL_WAITING, [0, LIST_MAX, _KEYS]),
            (self._client.TELL_STOPPED, [0, LIST_MAX, _KEYS]),
            (self._client.GET_GLOBAL_STAT, []),
        ]

    async def _statuses(self, gids: Sequence[str]) -> dict[str, Status]:
        """The state of each gid that aria2 knows."""
        answers = await self._multicall([(self._client.TELL_STATUS, [gid, ["status"]]) for gid in gids])
        told = zip(gids, answers, strict=True)
        return {
            gid: _decoded(answer, dict[str, Status])["status"]
            for gid, answer in told
            if not isinstance(answer, Aria2Refused)
        }

    async def _multicall(self, calls: Sequence[Call]) -> list[Any]:
        """One value or Aria2Refused for each call, in order, however many requests that takes."""
        answers: list[Any] = []
        for batch in _batches(calls):
            raw = _decoded(await self._run(partial(self._client.multicall2, batch)), list[Any])
            if len(raw) != len(batch):
                raise Aria2Nonsense(f"aria2 answered {len(raw)} of {len(batch)} calls")
            answers += [_unwrapped(item) for item in raw]
        return answers

    async def _run(self, call: Callable[[], T]) -> T:
        """Run `call` in a thread; a cancelled caller leaves it to end by its own time-out."""
        with anyio.move_on_after(self._answer_s):
            return await to_thread.run_sync(_translated, call, abandon_on_cancel=True, limiter=self._limiter)
        raise Aria2Frozen(f"aria2 did not end its answer within {self._answer_s:g} s")


def _limited(addition: Addition, limits: Limits) -> Addition:
    limit = limits.tasks.get(addition.gid)
    if limit is None:
        return addition
    return msgspec.structs.replace(addition, options={**addition.options, DOWNLOAD_LIMIT: str(limit)})


def _text(limit: int) -> str:
    return str(min(limit, SPEED_MAX))


def _refusals(answers: Sequence[Any]) -> list[Aria2Refused | None]:
    return [answer if isinstance(answer, Aria2Refused) else None for answer in answers]


def _tick(answers: Sequence[Any]) -> Tick:
    for answer in answers:
        if isinstance(answer, Aria2Refused):
            raise answer
    *lists, stat = answers
    transfers = {one.gid: one for told in lists for one in _decoded(told, list[Transfer])}
    return Tick(transfers, _decoded(stat, _Stat).speed)


def _translated(call: Callable[[], T]) -> T:
    """The seam: whatever aria2p, requests and msgspec raise leaves here as an Aria2Error."""
    try:
        return call()
    except requests.Timeout as error:
        raise Aria2Frozen(f"aria2 did not answer in time: {error}") from error
    except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError) as error:
        if _is_timeout(error):
            raise Aria2Frozen(f"aria2 did not take the request in time: {error}") from error
        raise Aria2Gone(f"no connection to aria2: {error}") from error
    except aria2p.ClientException as error:
        raise Aria2Refused(str(error)) from error
    except (requests.RequestException, msgspec.MsgspecError, KeyError, TypeError) as error:
        raise Aria2Nonsense(f"aria2's answer can't be read: {error!r}") from error


def _is_timeout(error: BaseException | None) -> bool:
    """A daemon that freezes while a large request is being sent shows as a broken connection with this cause."""
    while error is not None:
        if isinstance(error, TimeoutError | requests.Timeout):
            return True
        error = error.__cause__ or error.__context__
    return False


def _batches(calls: Sequence[Call]) -> Iterator[list[Call]]:
    batch: list[Call] = []
    size = 0
    for call in calls:
        length = len(json.dumps(call))
        if batch and (len(batch) == BATCH_ITEMS_MAX or size + length > BATCH_BYTES_MAX):
            yield batch
            batch, size = [], 0
        batch.append(call)
        size += length
    if batch:
        yield batch


def _unwrapped(item: Any) -> Any:
    """A multicall's item: `[value]`, or a bare `{code, message}` for a failure."""
    if isinstance(item, list) and len(item) == 1:
        return item[0]
    return Aria2Refused(_decoded(item, _Fault).message)


def _decoded(raw: Any, kind: type[T]) -> T:
    """`raw` as `kind`; aria2 writes numbers as text."""
    try:
        return msgspec.convert(raw, kind, strict=False)
    except msgspec.ValidationError as error:
        raise Aria2Nonsense(f"aria2's answer can't be read: {error}") from error
