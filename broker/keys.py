"""Values of the bucket that outlive whoever wrote them: the policy, what is decided about nodes, their shares.

Written by compare-and-set. Followed through what the bucket republishes, for speed, and read again on each reconnect
and every so often, for truth (rule 12). A value is taken away by writing an empty one, which keeps its revision.
"""

from collections.abc import Callable, Sequence

import anyio
import structlog
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from broker import checked
from broker.connection import API, Connection
from broker.errors import STREAM_NOT_FOUND, ApiRefused, BrokerError, SequenceConflict, Unanswered
from broker.listen import Heard, listening
from broker.standing import Changes, Following, Found, present
from schemas import subjects as s

log = structlog.get_logger()

READ_AGAIN_S = 20.0
"""A live subscription may die silently, or the bucket be of an older version that republishes nothing."""
RETRY_S = 0.25
TRIES = 3
"""Writes of one value whose fate stays unknown; each waits some seconds for its answer."""
AT_ONCE_MAX = 256
"""Keys read together: what else the connection carries goes in between."""
TAKEN_AWAY = {"KV-Operation": "DEL"}
"""On an empty value: other programs that read the bucket know it by this."""


async def read(connection: Connection, key: str) -> Found | None:
    """The value of a key, read through the stream's leader; None where there is none. Raises Unanswered, ApiRefused."""
    return present(await _stands(connection, key))


async def read_all(connection: Connection, pattern: str) -> dict[str, Found]:
    """Every value whose key matches (`nodes.*`), read through the stream's leader. Raises Unanswered, ApiRefused."""
    return {key: found for key, found in (await _all_that_stand(connection, pattern)).items() if found.body}


async def read_own(connection: Connection, key: str) -> Found | None:
    """The value of a key, from any replica, which may lag: as a node may read its own keys. Raises Unanswered."""
    return present(await _stands_somewhere(connection, key))


async def write(
    connection: Connection, key: str, body: bytes, *, expected: int | None, ttl_s: int | None = None
) -> int | None:
    """Store a value (b"": take it away) and return its revision. None: another's write stands there; read it.

    `expected` is the revision that the change is based on, 0 where there was no value; None: whatever stands there.
    `ttl_s`: after so long nothing stands there: for what is taken away and whose key nobody ever uses again.
    Lost is not defeated (rule 3): a write without an answer is looked for, and repeated where nothing came of it.
    Raises StoreFull, ApiRefused, and Unanswered where its fate can't be found out.
    """
    based_on = expected
    for _ in range(TRIES):
        headers = {} if based_on is None else {s.EXPECTED_SEQUENCE: str(based_on)}
        lasting = {} if ttl_s is None else {s.TTL: f"{ttl_s}s"}
        try:
            return await connection.store(s.bucket_key(key), body, headers | lasting | ({} if body else TAKEN_AWAY))
        except (SequenceConflict, Unanswered) as error:
            log.debug("write unsure, reading what stands", key=key, problem=str(error))
        stands = await _stands(connection, key)
        if stands is not None and stands.body == body and stands.revision > (based_on or 0):
            return stands.revision  # an earlier try of this write, or another's that says the same
        if based_on is None:
            continue
        if expected == 0 and stands is not None and not stands.body:
            based_on = stands.revision  # a value that was taken away is none
        elif (stands.revision if stands else 0) != based_on:
            return None
    raise Unanswered(f"it is not known whether {key!r} was written; read it, then try again")


async def follow(
    connection: Connection,
    patterns: Sequence[str],
    changed: Callable[[Changes], None],
    *,
    own: bool = False,
    task_status: TaskStatus[None] = TASK_STATUS_IGNORED,
) -> None:
    """Call `changed` with what stands under these keys or patterns, then with each change, until cancelled.

    The first call comes after the first whole reading, then it has started; it is empty where nothing stands. A broker
    that is away is waited for. `own`: exact keys, read as a node may read its own (see `read_own`). Raises ApiRefused.
    """
    following = Following()
    again = anyio.Event()

    def hear(heard: Heard) -> None:
        if s.SEQUENCE in heard.headers:
            found = Found(heard.data, int(heard.headers[s.SEQUENCE]))
            if changes := following.heard(s.key_of_news(heard.subject), found):
                changed(changes)

    def reconnected() -> None:
        again.set()

    async def listen(pattern: str, *, task_status: TaskStatus[None]) -> None:
        async with listening(connection, s.bucket_news(pattern), hear):
            task_status.started()
            await anyio.sleep_forever()

    async with anyio.create_task_group() as tasks:
        for pattern in patterns:
            await tasks.start(listen, pattern)
        stop_watching = connection.on_reconnect(reconnected)
        try:
            is_first = True
            while True:
                again = anyio.Event()
                values = await _read_patiently(connection, patterns, own)
                if (changes := following.has_read(values)) or is_first:
                    changed(changes)
                if is_first:
                    is_first = False
                    task_status.started()
                with anyio.move_on_after(READ_AGAIN_S):
                    await again.wait()
        finally:
            stop_watching()


async def _read_patiently(connection: Connection, patterns: Sequence[str], own: bool) -> dict[str, Found]:
    while True:
        try:
            values: dict[str, Found] = {}
            for pattern in patterns:
                if not own:
                    values |= await _all_that_stand(connection, pattern)
                elif (found := await _stands_somewhere(connection, pattern)) is not None:
                    values[pattern] = found
        except Unanswered:
            await anyio.sleep(RETRY_S)
        except ApiRefused as error:
            if error.code != STREAM_NOT_FOUND:  # a server that came back empty: whoever leads makes the bucket anew
                raise
            await anyio.sleep(RETRY_S)
        else:
            return values


# What was written last, an empty value too, which says that there is none any more.


async def _stands(connection: Connection, key: str) -> Found | None:
    found = await checked.get(connection, s.BUCKET_STREAM, {"last_by_subj": s.bucket_key(key)})
    return Found(found.data, found.sequence) if found else None


async def _stands_somewhere(connection: Connection, key: str) -> Found | None:
    answer = await connection.request(f"{API}.DIRECT.GET.{s.BUCKET_STREAM}.{s.bucket_key(key)}")
    headers = answer.headers or {}
    return Found(answer.data, int(headers[s.SEQUENCE])) if s.SEQUENCE in headers else None


async def _all_that_stand(connection: Connection, pattern: str) -> dict[str, Found]:
    if "*" not in pattern and ">" not in pattern:
        found = await _stands(connection, pattern)
        return {pattern: found} if found else {}
    told = await connection.api(f"STREAM.INFO.{s.BUCKET_STREAM}", {"subjects_filter": s.bucket_key(pattern)})
    keys = [s.key_of(subject) for subject in sorted(told["state"].get("subjects") or ())]
    values: dict[str, Found] = {}
    for start in range(0, len(keys), AT_ONCE_MAX):
        some = keys[start : start + AT_ONCE_MAX]
        queries = [{"last_by_subj": s.bucket_key(key)} for key in some]
        for key, one in zip(some, await checked.get_all(connection, s.BUCKET_STREAM, queries), strict=True):
            if isinstance(one, BrokerError):
                raise one
            if one is not None:
                values[key] = Found(one.data, one.sequence)
    return values
